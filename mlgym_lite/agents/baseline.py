"""The agent `baseline`: runs the task's own solution and submits what it leaves."""

from __future__ import annotations


class BaselineAgent:
    """Runs /solution/solve.sh, then submits."""

    name = "baseline"
    task_folders: tuple[str, ...] = ("solution",)
    watches = False

    def __init__(self) -> None:
        self._actions = iter(("bash /solution/solve.sh", "submit"))

    def next_action(self, observation: str) -> str | None:
        """The solution, the submission, and then nothing."""
        return next(self._actions, None)
