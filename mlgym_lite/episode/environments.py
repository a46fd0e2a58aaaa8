"""The Python environments of a task: its agent's, its grader's, and the one that prepares its data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from mlgym_lite.config.places import Places
from mlgym_lite.config.task_file import Task
from mlgym_lite.isolation.torch_builds import Accelerator
from mlgym_lite.isolation.virtual_environments import (
    BaseEnvironment,
    BuildRequest,
    Interpreter,
    bare_environment,
    built_environment,
    existing_environment,
    find_interpreter,
)

Progress = Callable[[str], None]


def agent_base(
    task: Task,
    python: Path | None,
    places: Places,
    environment: Mapping[str, str],
    on_progress: Progress | None,
    accelerators: tuple[Accelerator, ...],
) -> BaseEnvironment:
    """What the agent's virtual environment is layered over."""
    if python is not None:
        return existing_environment(find_interpreter(python))
    return _built(task, task.file.metadata.mlgym_lite.requirements, places, environment, on_progress, accelerators)


def grader_base(task: Task, places: Places, environment: Mapping[str, str], on_progress: Progress | None) -> BaseEnvironment:
    """What the grader's virtual environment is layered over; never the agent's choice."""
    return _built(task, task.file.metadata.mlgym_lite.grader_requirements, places, environment, on_progress)


def _built(
    task: Task,
    requirements: str | None,
    places: Places,
    environment: Mapping[str, str],
    on_progress: Progress | None,
    accelerators: tuple[Accelerator, ...] = ("cpu", "gpu"),
) -> BaseEnvironment:
    interpreter: Interpreter = find_interpreter()
    if requirements is None:
        return bare_environment(interpreter)
    return built_environment(
        BuildRequest(
            requirements=task.path(requirements),
            interpreter=interpreter,
            cache=places.cache,
            environment=environment,
            timeout_seconds=task.file.environment.build_timeout_sec,
            task_reference=task.reference,
            on_progress=on_progress,
            accelerators=accelerators,
        )
    )


def preparing_python(task: Task, places: Places, environment: Mapping[str, str], on_progress: Progress | None) -> Path:
    """The Python that prepares the data: this one, or one with the packages the task asks for."""
    requirements = task.data.prepare_requirements if task.data else None
    base = _built(task, requirements, places, environment, on_progress)
    return Path(sys.executable) if base.folder is None else base.folder / "bin" / "python"
