"""A gym for AI-research agents: scored machine-learning tasks in a sandbox, without Docker, root or internet.

Importing this package does nothing and loads nothing; the names below load where they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mlgym_lite.agents.protocol import Observation
    from mlgym_lite.config.run_settings import RunSettings
    from mlgym_lite.config.task_file import Task, load_task
    from mlgym_lite.episode.engine import Episode
    from mlgym_lite.episode.outcome import Attempt, Ending, Outcome, Snapshot, Step

__all__ = [
    "Attempt",
    "Ending",
    "Episode",
    "Observation",
    "Outcome",
    "RunSettings",
    "Snapshot",
    "Step",
    "Task",
    "load_task",
]

_HOMES = {
    "Attempt": "episode.outcome",
    "Ending": "episode.outcome",
    "Episode": "episode.engine",
    "Observation": "agents.protocol",
    "Outcome": "episode.outcome",
    "RunSettings": "config.run_settings",
    "Snapshot": "episode.outcome",
    "Step": "episode.outcome",
    "Task": "config.task_file",
    "load_task": "config.task_file",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module at first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mlgym_lite' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"mlgym_lite.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
