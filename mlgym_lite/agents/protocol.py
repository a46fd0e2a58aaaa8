"""What an agent is to the engine: something that is shown how things stand and decides what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from mlgym_lite.models.protocol import ModelUsage

StopReason = Literal["gave_up", "time_limit", "cost_limit", "context_limit", "format_errors"]


@dataclass(frozen=True, kw_only=True)
class ShownPicture:
    """A picture that the agent asked to see."""

    path: str
    """Of the copy in the run directory, on the host."""
    media_type: str


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the agent is shown before it decides."""

    text: str
    """At first the task's instruction, later what the last action showed."""
    working_directory: str
    steps: int = 0
    """Steps taken so far."""
    steps_left: int = 0
    seconds_left: float | None = None
    """Wall time left; None without a limit."""
    validations_left: int = 0
    best: float | None = None
    """The best score so far of the metric that ranks."""
    exit_status: int | None = None
    """Of the last action; None before the first, and where it ended the shell."""
    pictures: tuple[ShownPicture, ...] = ()
    """What the last action asked to see."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """What the agent does next: one shell input."""

    text: str
    thought: str | None = None
    usage: ModelUsage = field(default_factory=ModelUsage)
    """What it took to decide."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further facts for the record, such as the messages of a model; must be JSON."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """The agent takes no further action. At a limit, what lies in the workspace is scored; after giving up it is not."""

    reason: StopReason
    detail: str = ""
    usage: ModelUsage = field(default_factory=ModelUsage)
    details: Mapping[str, Any] = field(default_factory=dict)


class Agent(Protocol):
    """One agent at work on one episode; it lives as long as that episode."""

    name: str
    model: str | None
    """The language model's name, for the record."""
    task_folders: tuple[str, ...]
    """Folders of the task, such as `solution`, that its sandbox shows read-only at / under the same name."""
    watches: bool
    """Whether it wants output while a command runs, and Ctrl-C for the command (a person does)."""

    def next_action(self, observation: Observation) -> Action | Stop:
        """Decide. Raises AgentError where the agent fails."""

    def resume(self, steps: Sequence[Mapping[str, Any]], observations: Sequence[Observation]) -> None:
        """The episode was interrupted behind these steps (lines of trajectory.jsonl) and goes on; comes before any action.

        `observations` are what the agent was shown after each, as far as it is known.
        """

    def close(self) -> None:
        """The episode has ended; twice is harmless."""


class PlainAgent:
    """What agents have in common that need nothing of their own."""

    name = "agent"
    model: str | None = None
    task_folders: tuple[str, ...] = ()
    watches = False

    def resume(self, steps: Sequence[Mapping[str, Any]], observations: Sequence[Observation]) -> None:
        """Nothing was held: what it is shown next is all it needs."""

    def close(self) -> None:
        """Nothing is held."""
