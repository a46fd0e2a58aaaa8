"""How a run was asked for, kept in its run.json so that it can be asked for again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PATHS = ("data", "python", "wheelhouse", "output", "actions", "memory")
_LISTS = ("allowed_hosts", "tools")
_NAMES_OR_FILES = ("agent", "profile")


def as_invocation(task: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `mlgym-lite run` as JSON that means the same in any folder."""
    named = {key: str(value.absolute()) if isinstance(value, Path) else value for key, value in options.items()}
    for key in _NAMES_OR_FILES:
        if named[key] is not None and Path(named[key]).is_file():
            named[key] = str(Path(named[key]).absolute())
    return {"task": str(task.absolute()), **named}


def from_invocation(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The options again, and `task`."""
    options: dict[str, Any] = {
        key: Path(value) if key in _PATHS and value is not None else value for key, value in recorded.items()
    }
    return {**options, **{key: tuple(options[key]) for key in _LISTS}}
