"""What a service is: a tool in the sandbox asks, the engine's process answers, and the sandbox stays closed.

A service is handed what an agent wrote, so nothing in it is trusted: it answers within seconds, keeps within its own limits on
size, and turns whatever goes wrong outside into words for the agent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class ServiceCommand:
    """A tool on the agent's PATH that asks the service."""

    name: str
    usage: str
    """Such as `literature_search QUERY [COUNT]`."""
    summary: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture for a model that can see."""

    content: bytes
    media_type: str
    """`image/png` or the like."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the tool is told."""

    ok: bool
    text: str
    pictures: tuple[Picture, ...] = ()
    """What the agent is shown beside the action's output."""


class Service(Protocol):
    """One service, for one episode at a time."""

    name: str
    """As it is asked for by name and recorded."""
    commands: tuple[ServiceCommand, ...]

    def open(self, run_directory: Path) -> None:
        """An episode begins; what the service keeps of it goes to its run directory, which is made after this.

        Raises OutputError where it cannot be kept.
        """

    def answer(self, command: str, arguments: Sequence[str], attached: bytes) -> Answer:
        """Serve one call of a command of this service.

        `arguments` are the tool's, as typed; `attached` is the content of a file it sends along, or empty.
        """

    def close(self) -> None:
        """The episode has ended; twice is harmless."""
