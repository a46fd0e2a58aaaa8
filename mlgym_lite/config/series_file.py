"""A task of several steps: Harbor's [[steps]], each with its instruction and tests, one behind the other in one workspace.

A step is read as a task of one: what the whole file says, with what the step says instead. Its folder is steps/NAME.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from mlgym_lite.config.harbor import Finite, Table, TaskFile
from mlgym_lite.config.task_file import (
    Task,
    artifact_paths,
    baseline_problems,
    find_task_file,
    folder_digest,
    folder_problems,
    load_task,
    network_problems,
    path_problems,
)
from mlgym_lite.config.toml_errors import TomlProblems, parse, read_toml
from mlgym_lite.errors import TaskError

Strategy = Literal["mean", "final"]
"""What a series is worth: the mean of its steps' scores, 0 for one that has none, or the last step's."""


class StepTable(Table):
    """[[steps]]; [metadata.mlgym_lite.steps.NAME] has what [metadata.mlgym_lite] says otherwise for it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    min_reward: Finite | dict[str, Finite] | None = None
    """What must be reached for the next step to begin: the step's metric, or several by name."""
    agent: dict[str, Any] | None = None
    verifier: dict[str, Any] | None = None
    artifacts: list[Any] | None = None


class _StepsFile(Table):
    steps: Annotated[list[StepTable], Field(min_length=1)]
    multi_step_reward_strategy: Strategy = "mean"


@dataclass(frozen=True, kw_only=True)
class SeriesStep:
    """One of them."""

    task: Task
    least: Mapping[str, float]
    """What must be reached for the next one to begin, by metric."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A task of several steps."""

    name: str
    folder: Path
    strategy: Strategy
    steps: tuple[SeriesStep, ...]


def load_task_or_series(reference: str | Path) -> Task | Series:
    """Read a task of one step or of several, as its file says; raises TaskError with every mistake found."""
    try:
        has_steps = "steps" in read_toml(find_task_file(reference))
    except TomlProblems:  # which loading it tells
        has_steps = False
    return load_series(reference) if has_steps else load_task(reference)


def load_series(reference: str | Path) -> Series:
    """Read a task of several steps by its task.toml or folder; raises TaskError with every mistake found."""
    file = find_task_file(reference)
    folder, where = file.parent, str(file)
    problems: list[str] = []
    steps: list[SeriesStep] = []
    strategy: Strategy = "mean"
    try:
        raw = read_toml(file)
        own: dict[str, Any] = {key: raw.pop(key) for key in ("steps", "multi_step_reward_strategy") if key in raw}
        if "steps" not in own:
            raise TomlProblems((f"{where}: has no [[steps]]; a task of one step is loaded by load_task",))
        read = parse(_StepsFile, own, where)
        strategy = read.multi_step_reward_strategy
        names = [step.name for step in read.steps]
        problems += [f"{where}: steps: two are called {name!r}" for name in sorted({*names}) if names.count(name) > 1]
        problems += _table_problems(raw, names, where)
        for step in read.steps if not problems else ():
            try:
                steps.append(_step(folder, raw, step, strategy, where, problems))
            except TomlProblems as error:
                problems += error.problems
        problems += _unused(folder, names)
    except TomlProblems as error:
        problems += error.problems
    if problems:
        raise TaskError(f"{folder} is no task of several steps that can be used:", tuple(dict.fromkeys(problems)))
    return Series(name=folder.name, folder=folder, strategy=strategy, steps=tuple(steps))


def _step(
    folder: Path, raw: Mapping[str, Any], step: StepTable, strategy: Strategy, where: str, problems: list[str]
) -> SeriesStep:
    """One step as a task; what is wrong with its files goes to `problems`, what is wrong with its keys is raised."""
    place = f"{where}: step {step.name!r}"
    content = _merged(raw, step)
    problems += [*path_problems(folder, content, place), *folder_problems(folder / "steps" / step.name)]
    if (folder / "steps" / step.name / "workdir").exists():
        problems.append(f"{folder / 'steps' / step.name / 'workdir'}: not supported: put the files into environment/")
    file = parse(TaskFile, content, place)
    problems += [*baseline_problems(file, place), *network_problems(file, place)]
    ours = file.metadata.mlgym_lite
    least = step.min_reward if isinstance(step.min_reward, dict) else {ours.metric: step.min_reward}
    if strategy == "mean" and ours.direction == "minimize":
        problems.append(f'{place}: multi_step_reward_strategy = "mean" goes with metrics of which more is better; write "final"')
    if step.min_reward is not None and ours.metric in least and ours.direction == "minimize":
        problems.append(f"{place}: min_reward: not supported for {ours.metric!r}, of which less is better")
    digest = hashlib.sha256(f"{folder_digest(folder)} {step.name}".encode()).hexdigest()
    task = Task(
        name=f"{folder.name}-{step.name}", folder=folder, file=file, digest=digest, artifacts=artifact_paths(file), step=step.name
    )
    return SeriesStep(task=task, least={name: value for name, value in least.items() if value is not None})


def _table_problems(raw: Mapping[str, Any], names: Sequence[str], where: str) -> list[str]:
    """What is wrong with [metadata.mlgym_lite.steps]: it is merged before anything else looks at it."""
    ours = raw.get("metadata", {}).get("mlgym_lite", {}) if isinstance(raw.get("metadata", {}), Mapping) else {}
    tables = ours.get("steps", {}) if isinstance(ours, Mapping) else {}
    place = f"{where}: metadata.mlgym_lite.steps"
    if not isinstance(tables, Mapping):
        return [f"{place}: expected a table for each step that differs"]
    problems = []
    for name, table in tables.items():
        if name not in names or not isinstance(table, Mapping):
            problems.append(f"{place}.{name}: expected the name of a step ({', '.join(names)}) and a table")
        elif "data" in table:
            problems.append(f"{place}.{name}.data: not supported: all steps have the whole task's data")
    return problems


def _unused(folder: Path, names: Sequence[str]) -> list[str]:
    """Folders that look as if they were used, and are not."""
    problems = [
        f"{folder / name}: not used: each step has its own, below steps/NAME"
        for name in ("instruction.md", "tests", "solution", "cheats")
        if (folder / name).exists()
    ]
    folders = sorted(path for path in (folder / "steps").glob("*") if path.is_dir() and path.name[0] not in "._")
    beside = [path for path in folders if path.name not in names]
    return problems + [f"{path}: not used: no step in [[steps]] is called {path.name!r}" for path in beside]


def _merged(raw: Mapping[str, Any], step: StepTable) -> dict[str, Any]:
    """The whole file's content with what the step says instead."""
    content = dict(raw)
    for key, stated in (("agent", step.agent), ("verifier", step.verifier)):
        if stated is not None:
            content[key] = {**raw.get(key, {}), **stated}
    if step.artifacts is not None:
        content["artifacts"] = step.artifacts
    metadata = dict(raw.get("metadata", {}))
    if isinstance(metadata.get("mlgym_lite"), Mapping):
        ours = dict(metadata["mlgym_lite"])
        by_step = ours.pop("steps", {})
        metadata["mlgym_lite"] = {**ours, **by_step.get(step.name, {})}
        content["metadata"] = metadata
    return content
