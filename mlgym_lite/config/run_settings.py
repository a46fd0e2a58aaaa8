"""The settings of one run: everything a person chooses, with what happens when they choose nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from mlgym_lite.config.allowed_hosts import NetworkMode
from mlgym_lite.config.harbor import Count, Positive
from mlgym_lite.config.task_file import ScoringKind, Variant

IsolationChoice = Literal["auto", "bubblewrap", "landlock", "none"]


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What one episode runs with."""

    variant: Variant = "full"
    scoring: ScoringKind = "clean"
    """`parity` scores as MLGym's paper did, to compare with it: on the test split, validations too."""
    profile: str = "default"
    isolation: IsolationChoice = "auto"
    seed: Annotated[int, Field(ge=0)] = 0
    """Given to the agent's sandbox as MLGYM_LITE_SEED; gradings draw their own, fresh ones."""
    max_steps: Count | None = None
    """None: the task's."""
    time_limit_seconds: Positive | None = None
    """Wall time of the episode; None: the task's."""
    gpus: Annotated[int, Field(ge=0)] | None = None
    """None: the task's."""
    data: Path | None = None
    python: Path | None = None
    """An interpreter whose environment the agent's venv is layered over, instead of one built from the requirements."""
    network: NetworkMode | None = None
    """What the person running it grants the agent; None: what the profile grants."""
    allowed_hosts: tuple[str, ...] = ()
    """With the network `allowlist`, its hosts; none: the profile's."""
    wheelhouse: Path | None = None
    """A folder of Python packages from which the agent can install; None: the profile's."""
    output: Path | None = None
    """The run directory, which must not exist; None: a new one below runs/ in the working directory."""


def checked_settings(**values: Any) -> RunSettings:
    """Settings from values that were not checked; a text stands for a path. Raises ValueError with every mistake."""
    try:
        return TypeAdapter(RunSettings).validate_python(values)
    except ValidationError as error:
        told = [f"{'.'.join(map(str, one['loc']))}={one['input']!r:.60}: {one['msg']}" for one in error.errors()]
        raise ValueError("; ".join(told)) from error
