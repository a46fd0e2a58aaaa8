"""A task: its folder and its task.toml, read and checked before anything starts.

`load_task` takes a task.toml, its folder, or a shipped task's name. Every mistake of the file and of the folder is told in
one TaskError, a line each. What comes back is complete: no other module reads task.toml.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from mlgym_lite.config.harbor import Artifact, DataTable, TaskFile
from mlgym_lite.config.toml_errors import TomlProblems, parse, read_toml
from mlgym_lite.errors import TaskError
from mlgym_lite.shipped_files import shipped_task_names, tasks_folder

Variant = Literal["full", "mini"]
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
    """What is handed to the grader, as paths relative to /workspace."""

    @property
    def metric(self) -> str:
        """The name in reward.json that ranks."""
        return self.file.metadata.mlgym_lite.metric

    @property
    def maximize(self) -> bool:
        """Whether more is better."""
        return self.file.metadata.mlgym_lite.direction == "maximize"

    @property
    def instruction(self) -> str:
        """What the agent is told."""
        return (self.folder / "instruction.md").read_text(encoding="utf-8")

    @property
    def data(self) -> DataTable | None:
        """Where its data comes from; None for a task without data."""
        return self.file.metadata.mlgym_lite.data

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


def load_task(reference: str | Path) -> Task:
    """Read a task by its task.toml, its folder or a shipped name; raises TaskError with every mistake found."""
    file = _find(reference)
    folder = file.parent
    try:
        content = parse(TaskFile, _with_docker_hint(folder, read_toml(file)), str(file))
    except TomlProblems as error:
        raise TaskError(f"{file} cannot be used:", _and_of_folder(error.problems, folder)) from error
    problems = (*_folder_problems(folder), *_path_problems(folder, content, str(file)))
    if problems:
        raise TaskError(f"{folder} is not a complete task:", problems)
    artifacts = tuple(_artifact(artifact) for artifact in content.artifacts)
    return Task(name=folder.name, folder=folder, file=content, digest=_digest(folder), artifacts=artifacts)


def _find(reference: str | Path) -> Path:
    path = Path(reference)
    if path.is_dir():
        path = path / "task.toml"
    elif not path.exists() and isinstance(reference, str) and reference in shipped_task_names():
        path = tasks_folder() / reference / "task.toml"
    if not path.exists():
        known = ", ".join(shipped_task_names()) or "none"
        hint = _dockerfile_only(path.parent)
        raise TaskError(
            f"{reference}: no such task. Expected a task.toml, a folder that holds one, or a shipped task ({known})",
            hint,
        )
    return path.resolve()


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


def _and_of_folder(problems: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    return (*problems, *_folder_problems(folder))


def _folder_problems(folder: Path) -> list[str]:
    problems = [
        f"{folder / name}: missing; {what}"
        for name, what in (
            ("instruction.md", "it is what the agent is told"),
            ("tests/test.sh", "it is what grades a submission"),
        )
        if not (folder / name).is_file()
    ]
    for name in ("environment", "tests", "solution", "cheats"):
        problems += [
            f"{path}: a link that leaves the task folder"
            for path in sorted((folder / name).rglob("*"))
            if path.is_symlink() and not path.resolve().is_relative_to(folder)
        ]
    return problems


def _path_problems(folder: Path, content: TaskFile, where: str) -> list[str]:
    ours = content.metadata.mlgym_lite
    named = [
        ("metadata.mlgym_lite.requirements", ours.requirements),
        ("metadata.mlgym_lite.grader_requirements", ours.grader_requirements),
        ("metadata.mlgym_lite.player.program", ours.player.program if ours.player else None),
        ("metadata.mlgym_lite.data.mini", ours.data.mini if ours.data else None),
        ("metadata.mlgym_lite.data.prepare", ours.data.prepare if ours.data else None),
    ]
    problems = [_path_problem(folder, key, value, where) for key, value in named if value is not None]
    for number, artifact in enumerate(content.artifacts):
        problems.append(_artifact_problem(artifact, f"{where}: artifacts[{number}]"))
    for key, variant in (("full", ours.variants.full), ("mini", ours.variants.mini)):
        if variant.baseline and ours.metric not in variant.baseline:
            problems.append(f"{where}: metadata.mlgym_lite.variants.{key}.baseline: lacks the metric {ours.metric!r}")
    if ours.baseline and ours.metric not in ours.baseline:
        problems.append(f"{where}: metadata.mlgym_lite.baseline: lacks the metric {ours.metric!r}")
    return [problem for problem in problems if problem]


def _path_problem(folder: Path, key: str, value: str, where: str) -> str:
    path = folder / value
    if not path.resolve().is_relative_to(folder.resolve()):
        return f"{where}: {key}: {value!r} leaves the task folder; expected a path inside {folder}"
    return "" if path.exists() else f"{where}: {key}: {value!r} does not exist in {folder}"


def _artifact(artifact: str | Artifact) -> str:
    source = artifact if isinstance(artifact, str) else artifact.source
    path = PurePosixPath(WORKSPACE, source)
    return str(path.relative_to(WORKSPACE))


def _artifact_problem(artifact: str | Artifact, where: str) -> str:
    source = artifact if isinstance(artifact, str) else artifact.source
    path = PurePosixPath(os.path.normpath(PurePosixPath(WORKSPACE, source)))
    if ".." in PurePosixPath(source).parts or not path.is_relative_to(WORKSPACE) or str(path) == WORKSPACE:
        return f"{where}: {source!r} leaves {WORKSPACE}; expected a file or folder inside it"
    if not isinstance(artifact, str) and artifact.destination not in (None, artifact.source):
        return f"{where}.destination: not supported: an artifact keeps its path"
    return ""


def _digest(folder: Path) -> str:
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
