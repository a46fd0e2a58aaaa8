"""A task: its folder and its task.toml, read and checked before anything starts.

`load_task` takes a task.toml, its folder, or a shipped task's name. Every mistake of the file and of the folder is told in
one TaskError, a line each. What comes back is complete: no other module reads task.toml.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from mlgym_lite.config.harbor import DataTable, TaskFile, VariantTable, VariantTables
from mlgym_lite.config.network_grant import Network
from mlgym_lite.config.toml_errors import TomlProblems, parse, read_toml
from mlgym_lite.errors import TaskError
from mlgym_lite.shipped_files import shipped_task_names, tasks_folder

Variant = Literal["full", "mini"]
VARIANTS: tuple[Variant, ...] = ("full", "mini")
ScoringKind = Literal["clean", "parity"]
WORKSPACE = "/workspace"

_REFERENCE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task, complete."""

    name: str
    """The folder's name; what users type."""
    folder: Path
    file: TaskFile
    """task.toml as it stands."""
    digest: str
    """sha256 over every file of the folder, so that results tell which text of the task they belong to."""
    artifacts: tuple[str, ...]
    """What is handed to the grader, as paths relative to /workspace; "." is all of it."""
    scoring: ScoringKind = "clean"
    """`parity` where it scores as MLGym's paper did."""
    step: str = ""
    """Which step of a task of several it is, by its folder below steps/; empty for a task of one."""

    @property
    def metric(self) -> str:
        """The name in reward.json that ranks."""
        return self.file.metadata.mlgym_lite.metric

    @property
    def maximize(self) -> bool:
        """Whether more is better."""
        return self.file.metadata.mlgym_lite.direction == "maximize"

    @property
    def command_seconds(self) -> float:
        """How long one command of the agent may run."""
        return self.file.metadata.mlgym_lite.command_timeout_sec

    @property
    def own_folder(self) -> Path:
        """Where its instruction, tests and solution lie: the task's folder, or the step's."""
        return self.folder / "steps" / self.step if self.step else self.folder

    @property
    def whole_name(self) -> str:
        """The name of the whole task, under which its data is kept, also where this is one step of it."""
        return self.folder.name

    @property
    def reference(self) -> str:
        """What the command line takes for the whole task, as a word for a shell: a shipped task's name, or its folder."""
        is_shipped = self.folder.parent == tasks_folder().resolve()
        return self.folder.name if is_shipped else shlex.quote(str(self.folder))

    @property
    def instruction(self) -> str:
        """What the agent is told."""
        return (self.own_folder / "instruction.md").read_text(encoding="utf-8")

    @property
    def left_out(self) -> frozenset[str]:
        """Names right in the workspace that are not handed to the grader where all else is."""
        return frozenset(name for artifact in self.file.artifacts for name in artifact.exclude)

    @property
    def data(self) -> DataTable | None:
        """Where its data comes from; None for a task without data."""
        return self.file.metadata.mlgym_lite.data

    @property
    def asked_network(self) -> Network | None:
        """What the agent is to reach, where the file states it; [agent] wins over [environment]."""
        return _asked_network(self.file)

    def path(self, name: str) -> Path:
        """A file or folder of the task by its name in task.toml."""
        return self.folder / name

    def is_better(self, value: float, other: float) -> bool:
        """Whether one score beats another."""
        return value > other if self.maximize else value < other

    def stated_baseline(self, variant: Variant) -> Mapping[str, float] | None:
        """The baseline the file states for a variant, if any."""
        ours = self.file.metadata.mlgym_lite
        stated = (ours.variants.full if variant == "full" else ours.variants.mini).baseline
        return stated or (ours.baseline if variant == "full" else None)

    def score_noise(self, variant: Variant) -> float:
        """How far two honest gradings of the same work may differ."""
        ours = self.file.metadata.mlgym_lite
        stated = (ours.variants.full if variant == "full" else ours.variants.mini).score_noise
        return ours.score_noise if stated is None else stated

    def goal(self, variant: Variant) -> float | None:
        """The score that is as good as can be hoped for, if the file states one."""
        ours = self.file.metadata.mlgym_lite
        stated = (ours.variants.full if variant == "full" else ours.variants.mini).goal
        return ours.goal if stated is None else stated

    def in_parity(self) -> Task:
        """The task as MLGym's paper scored it; raises TaskError where its file does not say how."""
        if self.scoring == "parity":
            return self
        ours = self.file.metadata.mlgym_lite
        if ours.parity is None:
            raise TaskError(f"{self.name}: has no [metadata.mlgym_lite.parity], so it cannot be scored as MLGym's paper did")
        stated = ours.parity.model_dump(exclude_none=True)
        variants = {"variants": VariantTables(full=VariantTable(baseline=ours.parity.baseline))}
        table = ours.model_copy(update={"baseline": None, **stated, **variants, "feedback": "test"})
        metadata = self.file.metadata.model_copy(update={"mlgym_lite": table})
        return replace(self, scoring="parity", file=self.file.model_copy(update={"metadata": metadata}))


def same_score(score: float, other: float, noise: float = 0.0) -> bool:
    """Whether two scores differ by no more than noise and rounding."""
    return math.isclose(score, other, rel_tol=1e-9, abs_tol=noise * (1 + 1e-9))


def load_task(reference: str | Path) -> Task:
    """Read a task by its task.toml, its folder or a shipped name; raises TaskError with every mistake found."""
    file = find_task_file(reference)
    folder = file.parent
    problems: list[str] = []
    content: TaskFile | None = None
    try:
        raw = read_toml(file)
        if "steps" in raw:
            hint = f"{file}: steps: only `run`, `resume`, `check` and `prepare` take several (docs/tasks/several-steps.md)"
            raise TaskError(f"{folder} is no task of one step:", (hint,))
        problems += path_problems(folder, raw, str(file))
        content = parse(TaskFile, _with_docker_hint(folder, raw), str(file))
        problems += baseline_problems(content, str(file))
        problems += network_problems(content, str(file))
    except TomlProblems as error:
        problems = [*error.problems, *problems]
    problems += folder_problems(folder)
    if content is None or problems:
        raise TaskError(f"{folder} is no task that can be used:", tuple(dict.fromkeys(problems)))
    artifacts = artifact_paths(content)
    return Task(name=folder.name, folder=folder, file=content, digest=folder_digest(folder), artifacts=artifacts)


def find_task_file(reference: str | Path) -> Path:
    path = Path(reference)
    if path.is_dir() and str(reference):
        path = path / "task.toml"
    elif not path.exists() and isinstance(reference, str) and reference in shipped_task_names():
        path = tasks_folder() / reference / "task.toml"
    if not path.exists():
        if Path(reference).is_dir():
            raise TaskError(f"{reference}: holds no task.toml", _dockerfile_only(path.parent))
        known = ", ".join(shipped_task_names()) or "none"
        hint = _dockerfile_only(path.parent) or _nearest_shipped(Path(reference).name)
        raise TaskError(
            f"{reference or repr('')}: no such task. Expected a task.toml, a folder that holds one, or a shipped task ({known})",
            hint,
        )
    return path.resolve()


def _nearest_shipped(name: str) -> tuple[str, ...]:
    close = difflib.get_close_matches(name.lower().replace("-", "_"), shipped_task_names(), n=1)
    return (f"did you mean {close[0]!r}, which is shipped?",) if close else ()


def _dockerfile_only(folder: Path) -> tuple[str, ...]:
    if (folder / "environment" / "Dockerfile").is_file():
        return (f"{folder} has a Dockerfile but no task.toml; see docs/tasks for the file this project needs",)
    return ()


def _with_docker_hint(folder: Path, content: dict[str, object]) -> dict[str, object]:
    metadata = content.get("metadata")
    ours = isinstance(metadata, dict) and "mlgym_lite" in metadata
    if not ours and (folder / "environment" / "Dockerfile").is_file():
        raise TomlProblems(
            (
                f"{folder / 'environment' / 'Dockerfile'}: this task describes its environment by a Dockerfile only. Missing: "
                "[metadata.mlgym_lite] with metric, direction and requirements (the Python packages the Dockerfile installs)",
            )
        )
    return content


def folder_problems(folder: Path) -> list[str]:
    """What a task's folder, or that of one of its steps, lacks or should not hold."""
    problems = [
        f"{folder / name}: missing; {what}"
        for name, what in (
            ("instruction.md", "it is what the agent is told"),
            ("tests/test.sh", "it is what grades a submission"),
        )
        if not (folder / name).is_file()
    ]
    if (folder / "instruction.md").is_file() and not _is_text(folder / "instruction.md"):
        problems.append(f"{folder / 'instruction.md'}: is not UTF-8 text")
    for name in ("environment", "tests", "solution", "cheats"):
        problems += [
            f"{path}: a link that leaves the task folder"
            for path in (folder / name, *sorted((folder / name).rglob("*")))
            if path.is_symlink() and not _is_inside(path, folder)
        ]
    return problems


def _is_text(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a path, links followed, stays in a folder; a link that leads round in a circle stays."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


_NAMED_FILES = (
    ("requirements",),
    ("grader_requirements",),
    ("player", "program"),
    ("data", "mini_program"),
    ("data", "prepare"),
    ("data", "prepare_requirements"),
)
_NAMED_FOLDERS = (("data", "mini"),)


def path_problems(folder: Path, raw: Mapping[str, Any], where: str) -> list[str]:
    """What is wrong with the paths a file names, looked at before its other mistakes are known."""
    problems: list[str] = []
    for keys in (*_NAMED_FILES, *_NAMED_FOLDERS):
        value = _value_at(raw, ("metadata", "mlgym_lite", *keys))
        if isinstance(value, str):
            problem = _path_problem(folder, value, is_file=keys in _NAMED_FILES)
            problems += [f"{where}: metadata.mlgym_lite.{'.'.join(keys)}: {problem}"] if problem else []
    artifacts = raw.get("artifacts")
    return problems + (_artifact_problems(artifacts, where) if isinstance(artifacts, list) else [])


def _value_at(table: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table


def _path_problem(folder: Path, value: str, *, is_file: bool) -> str:
    if "\0" in value:
        return f"{value!r} is no path"
    if not _is_inside(folder / value, folder):
        return f"{value!r} leaves the task folder; expected a path inside {folder}"
    path = folder / value
    if not path.exists():
        return f"{value!r} does not exist in {folder}"
    wanted, is_there = ("file", path.is_file()) if is_file else ("folder", path.is_dir())
    return "" if is_there else f"{value!r} is no {wanted}"


def _artifact_problems(artifacts: list[Any], where: str) -> list[str]:
    problems: list[str] = []
    seen: list[PurePosixPath] = []
    for number, artifact in enumerate(artifacts):
        source = artifact.get("source") if isinstance(artifact, Mapping) else artifact
        if not isinstance(source, str) or not source:
            continue
        path = PurePosixPath(os.path.normpath(PurePosixPath(WORKSPACE, source)))
        place = f"{where}: artifacts[{number}]"
        is_whole = path == PurePosixPath(WORKSPACE)
        if (
            "\0" in source
            or ".." in PurePosixPath(source).parts
            or (not is_whole and PurePosixPath(WORKSPACE) not in path.parents)
        ):
            problems.append(f"{place}: {source!r} leaves {WORKSPACE}; expected a file or folder inside it")
        elif any(path == other or path in other.parents or other in path.parents for other in seen):
            problems.append(f"{place}: {source!r} is named twice, or lies in a folder that is named too")
        elif isinstance(artifact, Mapping) and (problem := _exclusion_problem(artifact.get("exclude"), is_whole=is_whole)):
            problems.append(f"{place}.exclude: {problem}")
        elif isinstance(artifact, Mapping) and artifact.get("destination") not in (None, source):
            problems.append(f"{place}.destination: not supported: an artifact keeps its path")
        seen.append(path)
    return problems


def _exclusion_problem(names: Any, *, is_whole: bool) -> str:
    if not names:
        return ""
    if not is_whole:
        return 'goes with the source "." only; otherwise name the files themselves'
    wrong = [name for name in names if not isinstance(name, str) or len(PurePosixPath(name).parts) != 1 or name == ".."]
    return f"expected names right in the workspace, not {wrong[0]!r}" if isinstance(names, list) and wrong else ""


def artifact_paths(content: TaskFile) -> tuple[str, ...]:
    """What is handed in, relative to the workspace."""
    return tuple(str(PurePosixPath(WORKSPACE, artifact.source).relative_to(WORKSPACE)) for artifact in content.artifacts)


def baseline_problems(content: TaskFile, where: str) -> list[str]:
    """What is wrong with stated baselines, and with the data that a file names."""
    ours = content.metadata.mlgym_lite
    stated = (
        ("baseline", ours.baseline),
        ("variants.full.baseline", ours.variants.full.baseline),
        ("variants.mini.baseline", ours.variants.mini.baseline),
    )
    problems = [
        f"{where}: metadata.mlgym_lite.{key}: lacks the metric {ours.metric!r}"
        for key, baseline in stated
        if baseline and ours.metric not in baseline
    ]
    parity = ours.parity
    if parity and parity.baseline and (parity.metric or ours.metric) not in parity.baseline:
        problems.append(f"{where}: metadata.mlgym_lite.parity.baseline: lacks the metric {parity.metric or ours.metric!r}")
    return problems + _data_problems(ours.data, where)


def _data_problems(data: DataTable | None, where: str) -> list[str]:
    if data is None:
        return []
    place = f"{where}: metadata.mlgym_lite.data"
    both = [f"{place}: has mini and mini_program; expected one of them"] if data.mini and data.mini_program else []
    idle = [
        f"{place}.{key}: goes with `prepare`, which is missing"
        for key in ("prepare_requirements", "source", "download")
        if getattr(data, key) is not None and data.prepare is None
    ]
    twice = [f"{place}: has source and download; expected one of them"] if data.source and data.download else []
    return both + idle + twice


def _asked_network(content: TaskFile) -> Network | None:
    mode = content.agent.network_mode or content.environment.network_mode
    if mode is None:
        return None
    own = content.agent.allowed_hosts
    hosts = (content.environment.allowed_hosts if own is None else own) or []
    return Network(mode=mode, allowed_hosts=tuple(hosts) if mode == "allowlist" else ())


def network_problems(content: TaskFile, where: str) -> list[str]:
    """What is wrong with the network that a file asks for."""
    agent, environment = content.agent, content.environment
    modes = {"environment": environment.network_mode, "agent": agent.network_mode or environment.network_mode}
    stated = {"environment": environment.allowed_hosts, "agent": agent.allowed_hosts}
    problems = [
        f'{where}: {table}.allowed_hosts: goes with network_mode = "allowlist" only'
        for table, hosts in stated.items()
        if hosts and modes[table] != "allowlist"
    ]
    asked = _asked_network(content)
    if asked is not None and asked.mode == "allowlist" and not asked.allowed_hosts:
        table = "agent" if agent.network_mode else "environment"
        problems.append(f'{where}: {table}.network_mode: "allowlist" needs allowed_hosts, a list of hosts')
    return problems


def folder_digest(folder: Path) -> str:
    """sha256 over the names and contents of every file of a folder, in hexadecimal digits."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape")
            total.update(b"%d:%s%d:" % (len(name), name, path.stat().st_size))
            total.update(path.read_bytes())
    return total.hexdigest()


def expand(values: Mapping[str, str], environment: Mapping[str, str], where: str) -> dict[str, str]:
    """Fill ${VAR} and ${VAR:-default} in an env table from the engine's environment, as Harbor does."""
    missing: list[str] = []

    def fill(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if name not in environment and default is None:
            missing.append(name)
        return environment.get(name, default or "")

    filled = {key: _REFERENCE.sub(fill, value) for key, value in values.items()}
    if missing:
        raise TaskError(f"{where}: needs the environment variables {', '.join(missing)}: set them and run again")
    return filled
