"""The plan of a bench: every episode with its folder, the command that runs it, and what it needs.

A folder's name tells its episode, so that a bench which is run again finds what is done:

    RESULTS/plan.json                                every episode, for reports: missing ones are shown
    RESULTS/VARIANT/TASK/AGENT[=MODEL]/seed-N/       one episode: episode.json (its command), try-1/ (a run directory), try-1.log
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlgym_lite.analysis.planned_runs import PLAN
from mlgym_lite.config.agent_file import load_agent_file, shipped_agent_names
from mlgym_lite.config.bench_file import BenchAgent, BenchFile, load_bench_file
from mlgym_lite.config.task_file import Task, load_task
from mlgym_lite.errors import AgentError, BenchError, TaskError
from mlgym_lite.shipped_files import tasks_folder
from mlgym_lite.whole_files import write_whole

_PLAIN_AGENTS = ("baseline",)
_MODEL_PROGRAMS = ("mini-swe-agent", "mini-swe-agent-text")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+=-]")


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedEpisode:
    """One episode of a bench."""

    task: str
    """Its name."""
    agent: str
    model: str | None
    seed: int
    folder: str
    """Below the bench's results."""
    arguments: tuple[str, ...]
    """Of `mlgym-lite run`, without --output."""
    identity: tuple[str, ...]
    """The same without where this installation and the bench file lie, so that a bench can be moved."""
    cpus: float
    memory_bytes: int
    gpus: int
    most_seconds: float | None
    most_cost: float | None
    """US dollars; 0 where no model is asked, None where nothing bounds it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A bench, resolved."""

    file: Path
    bench: BenchFile
    results: Path
    tasks: tuple[Task, ...]
    episodes: tuple[PlannedEpisode, ...]

    @property
    def most_cost(self) -> float | None:
        """US dollars that all of them can cost at most; None where nothing bounds one."""
        costs = [episode.most_cost for episode in self.episodes]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def record(self) -> dict[str, Any]:
        """The content of plan.json."""
        shown = ("task", "agent", "model", "seed", "folder")
        return {
            "schema_version": 1,
            "file": str(self.file),
            "variant": self.bench.variant,
            "scoring": self.bench.scoring,
            "tasks": {task.name: _ranking(task) for task in self.tasks},
            "episodes": [{key: value for key, value in asdict(episode).items() if key in shown} for episode in self.episodes],
        }


def plan_bench(path: Path) -> Plan:
    """Read a bench file and everything it names.

    Raises:
        BenchError: With every mistake found: in the file, in a task, in an agent.
    """
    bench = load_bench_file(path)
    here = path.absolute().parent
    results = here / (bench.output or f"{path.stem}-results")
    problems: list[str] = []
    tasks = list(_tasks(bench, here, problems))
    agents = list(_agents(bench, here, problems))
    if bench.budget.cost_usd is not None and bench.limits.cost_usd is None:
        problems.append("budget.cost_usd: needs limits.cost_usd, so that it is known what an episode can cost")
    if bench.models and not any(agent.model in bench.models for agent in agents) and not problems:
        problems.append("models: no agent asks for them; a program's stand in its table")
    if problems:
        raise BenchError(f"{path} cannot be used:\n  " + "\n  ".join(dict.fromkeys(problems)))
    episodes = [
        _episode(bench, here, task, agent, seed) for seed in dict.fromkeys(bench.seeds) for task in tasks for agent in agents
    ]
    twice = [folder for folder, count in Counter(episode.folder for episode in episodes).items() if count > 1]
    if twice:
        raise BenchError(f"{path}: {sorted(twice)[0]}: two tasks or agents of one name; give their folders or files other names")
    return Plan(file=path.absolute(), bench=bench, results=results, tasks=tuple(tasks), episodes=tuple(episodes))


def _ranking(task: Task) -> dict[str, str]:
    """What a report needs of a task none of whose episodes was begun."""
    ours = task.file.metadata.mlgym_lite
    return {"metric": ours.metric, "direction": ours.direction, "feedback": ours.feedback}


def write_plan(plan: Plan) -> None:
    """Write plan.json, aside and into place."""
    plan.results.mkdir(parents=True, exist_ok=True)
    write_whole(plan.results / PLAN, json.dumps(plan.record(), indent=1) + "\n")


@dataclass(frozen=True, kw_only=True)
class _PlannedAgent:
    entry: BenchAgent
    reference: str
    name: str
    model: str | None
    asks_a_model: bool
    cost_limit: float | None


def _tasks(bench: BenchFile, here: Path, problems: list[str]) -> Iterator[Task]:
    for reference in bench.tasks:
        try:
            task = load_task(_path(here, reference) or reference)
            yield task.in_parity() if bench.scoring == "parity" else task
        except TaskError as error:
            problems.append(f"tasks: {error}")


def _agents(bench: BenchFile, here: Path, problems: list[str]) -> Iterator[_PlannedAgent]:
    for entry in bench.agents:
        try:
            yield from _planned_agents(bench, here, entry)
        except (AgentError, BenchError) as error:
            problems.append(f"agents: {error}")


def _planned_agents(bench: BenchFile, here: Path, entry: BenchAgent) -> Iterator[_PlannedAgent]:
    """One for each of its models."""
    path = _path(here, entry.agent)
    reference = str(path) if path is not None else entry.agent
    own_model = own_limit = None
    if entry.agent in shipped_agent_names() or reference.endswith(".toml"):
        name, settings, _ = load_agent_file(reference)
        own_model, own_limit, asks = settings.model.name, settings.limits.cost_usd, True
    elif entry.agent in (*_PLAIN_AGENTS, *_MODEL_PROGRAMS):
        name, asks = entry.agent, entry.agent in _MODEL_PROGRAMS
    elif path is not None and path.is_file():
        name, asks = path.stem, bool(entry.models)
    else:
        known = ", ".join([*_PLAIN_AGENTS, *shipped_agent_names(), *_MODEL_PROGRAMS])
        raise BenchError(f"{entry.agent}: no such agent; expected one of {known}, or a file beside the bench file")
    models: list[str | None] = list(entry.models or ([own_model] if own_model else bench.models)) if asks else [None]
    if not models:
        raise BenchError(f"{entry.agent}: asks a model, and none is named: models = [...]")
    for model in models:
        yield _PlannedAgent(
            entry=entry,
            reference=reference,
            name=name,
            model=model,
            asks_a_model=asks,
            cost_limit=bench.limits.cost_usd or own_limit,
        )


def _episode(bench: BenchFile, here: Path, task: Task, agent: _PlannedAgent, seed: int) -> PlannedEpisode:
    environment, limits = task.file.environment, bench.limits
    who = agent.name if agent.model is None else f"{agent.name}={agent.model}"
    arguments = tuple(_arguments(bench, here, task, agent, seed))
    return PlannedEpisode(
        task=task.name,
        agent=agent.name,
        model=agent.model,
        seed=seed,
        folder="/".join((_folder_name(_kind(bench)), _folder_name(task.name), _folder_name(who), f"seed-{seed}")),
        arguments=arguments,
        identity=tuple(_without_place(argument, here) for argument in arguments),
        cpus=environment.cpus or 1.0,
        memory_bytes=(environment.memory_mb or 2048) << 20,
        gpus=environment.gpus if bench.options.gpus is None else bench.options.gpus,
        most_seconds=limits.time_limit_seconds or task.file.agent.timeout_sec,
        most_cost=agent.cost_limit if agent.asks_a_model else 0.0,
    )


def _kind(bench: BenchFile) -> str:
    return bench.variant if bench.scoring == "clean" else f"{bench.variant}-{bench.scoring}"


def _arguments(bench: BenchFile, here: Path, task: Task, agent: _PlannedAgent, seed: int) -> Iterator[str]:
    limits, options = bench.limits, bench.options
    wanted: Mapping[str, Any] = {
        "agent": agent.reference,
        "variant": bench.variant,
        "seed": seed,
        "max-steps": limits.max_steps,
        "time-limit": limits.time_limit_seconds,
        "isolation": options.isolation,
        "profile": _placed(here, options.profile),
        "gpus": options.gpus,
        "network": options.network,
        "wheelhouse": _placed(here, options.wheelhouse),
        "data": _placed(here, options.data),
        "python": _placed(here, options.python),
        "model": agent.model,
        "base-url": agent.entry.base_url,
        "cost-limit": limits.cost_usd if agent.asks_a_model else None,
        "token-limit": limits.tokens if agent.asks_a_model else None,
        "memory": None if agent.entry.memory is None else here / agent.entry.memory,
    }
    yield str(task.folder)
    yield from (f"--{name}={value}" for name, value in wanted.items() if value is not None)
    yield from (f"--allow-host={host}" for host in options.allowed_hosts)
    yield from (f"--tool={tool}" for tool in agent.entry.tools)
    if bench.scoring == "parity":
        yield "--parity"


def _without_place(argument: str, here: Path) -> str:
    option, equals, value = argument.rpartition("=") if argument.startswith("--") else ("", "", argument)
    for place, shown in ((tasks_folder(), ""), (here, "./")):
        if value.startswith(f"{place}/"):
            value = shown + value.removeprefix(f"{place}/")
    return f"{option}{equals}{value}"


def _path(here: Path, reference: str) -> Path | None:
    """The file or folder beside the bench file that a name means; None where it is a plain name, of something shipped."""
    path = here / Path(reference).expanduser()
    return path if "/" in reference or path.suffix in (".toml", ".py") else None


def _placed(here: Path, reference: str | None) -> str | None:
    path = None if reference is None else _path(here, reference)
    return reference if path is None else str(path)


def _folder_name(text: str) -> str:
    """A name that any file system takes; where something had to go, a digest keeps it apart from others."""
    safe = _UNSAFE.sub("_", text)[:80].lstrip(".")
    is_told = safe == text.replace("/", "_")
    return safe if is_told else f"{safe}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"
