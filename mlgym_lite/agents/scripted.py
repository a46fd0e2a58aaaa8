"""The agent `scripted`: plays actions that were recorded or written beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlgym_lite.agents.protocol import Action, Observation, PlainAgent, Stop


class ScriptedAgent(PlainAgent):
    """Plays the given actions in order, whatever they show."""

    name = "scripted"

    def __init__(self, actions: Sequence[str], task_folders: tuple[str, ...] = ()) -> None:
        self.task_folders = task_folders
        self._actions = iter(actions)

    def resume(self, steps: Sequence[Mapping[str, Any]], observations: Sequence[Observation]) -> None:
        """The actions behind those that were run."""
        for _ in steps:
            next(self._actions, None)

    def next_action(self, observation: Observation) -> Action | Stop:
        """The next of them, and then nothing."""
        text = next(self._actions, None)
        return Action(text=text) if text is not None else Stop(reason="gave_up")
