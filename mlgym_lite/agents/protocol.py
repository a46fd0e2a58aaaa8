"""What an agent is to the engine: something that is asked for the next action."""

from __future__ import annotations

from typing import Protocol


class Agent(Protocol):
    """One agent at work on one episode; it lives as long as that episode."""

    name: str
    task_folders: tuple[str, ...]
    """Folders of the task, such as `solution`, that its sandbox shows read-only at / under the same name."""
    watches: bool
    """Whether it wants output while a command runs, and Ctrl-C for the command (a person does)."""

    def next_action(self, observation: str) -> str | None:
        """The next action (one shell input), given what the last one showed; None when there is nothing more to do.

        At the first call, `observation` is the task's instruction. Raises AgentError where the agent fails.
        """
