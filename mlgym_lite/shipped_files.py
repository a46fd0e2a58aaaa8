"""Where the files that ship with the project lie: tasks, sandbox profiles and the programs for the sandbox.

In a checkout, tasks/ and sandboxes/ stand beside the package; in an installed wheel they are inside it (hatchling's
force-include puts them under mlgym_lite/shipped). The rest of the project asks here and never computes such a path.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(name: str) -> Path:
    inside_wheel = _PACKAGE / "shipped" / name
    return inside_wheel if inside_wheel.is_dir() else _PACKAGE.parent / name


def tasks_folder() -> Path:
    """The folder with one folder for each shipped task."""
    return _shipped("tasks")


def profiles_folder() -> Path:
    """The folder with the shipped sandbox profiles (*.toml)."""
    return _shipped("sandboxes")


def tools_folder() -> Path:
    """The folder whose bin/ and lib/ become /opt/mlgym/bin and /opt/mlgym/lib."""
    return _PACKAGE / "tools"


def shipped_task_names() -> list[str]:
    """The names of the shipped tasks, sorted."""
    folder = tasks_folder()
    return sorted(path.parent.name for path in folder.glob("*/task.toml")) if folder.is_dir() else []
