"""The agent `scripted`: plays actions that were recorded or written beforehand."""

from __future__ import annotations

from collections.abc import Sequence


class ScriptedAgent:
    """Plays the given actions in order, whatever they show."""

    name = "scripted"
    watches = False

    def __init__(self, actions: Sequence[str], task_folders: tuple[str, ...] = ()) -> None:
        self.task_folders = task_folders
        self._actions = iter(actions)

    def next_action(self, observation: str) -> str | None:
        """The next of them, and then nothing."""
        return next(self._actions, None)
