"""The agent `baseline`: runs the task's own solution and submits what it leaves."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from mlgym_lite.agents.protocol import Action, Observation, PlainAgent, Stop
from mlgym_lite.config.task_file import Task, expand


class BaselineAgent(PlainAgent):
    """Runs /solution/solve.sh, or another script there, with the variables of [solution].env, then submits."""

    name = "baseline"
    task_folders: tuple[str, ...] = ("solution",)

    def __init__(self, task: Task, environment: Mapping[str, str], script: str = "solve.sh") -> None:
        """`environment` fills the ${NAME} of the task's variables."""
        variables = expand(task.file.solution.env, environment, f"{task.name}: [solution].env")
        words = ["env", *(f"{name}={value}" for name, value in variables.items())] if variables else []
        command = f'{shlex.join(words)} bash "$MLGYM_LITE_ROOT/solution/{script}"'
        self._actions = iter((command.lstrip(), "submit"))

    def resume(self, steps: Sequence[Mapping[str, Any]], observations: Sequence[Observation]) -> None:
        """The actions behind those that were run."""
        for _ in steps:
            next(self._actions, None)

    def next_action(self, observation: Observation) -> Action | Stop:
        """The solution, the submission, and then nothing."""
        text = next(self._actions, None)
        return Action(text=text) if text is not None else Stop(reason="gave_up")
