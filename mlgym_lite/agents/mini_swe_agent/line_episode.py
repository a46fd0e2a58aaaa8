"""An episode as a program agent sees it: observations come in as lines, actions go out as lines (docs/agents.md, Programs)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TextIO

from mlgym_lite.agents.protocol import Observation, Stop
from mlgym_lite.models.protocol import ModelUsage

_OBSERVED = tuple(one.name for one in fields(Observation))


@dataclass(frozen=True, kw_only=True)
class ToldTask:
    """What the first line tells of the task."""

    name: str
    metric: str
    maximize: bool
    command_seconds: float


class LineEpisode:
    """The engine's episode at the other end of two streams."""

    def __init__(self, reading: TextIO, writing: TextIO, first: Mapping[str, Any]) -> None:
        """`first` is the line that has been read; see `begun`."""
        self._reading = reading
        self._writing = writing
        self.task = ToldTask(
            name=first["task"],
            metric=first["metric"],
            maximize=first["direction"] == "maximize",
            command_seconds=first["command_seconds"],
        )
        self.model: str | None = first["model"]
        """As the command line gave it."""
        self.observation = _observation(first)
        self.outcome: str | None = None
        """Says that the episode has ended; how, the engine does not tell a program."""

    @classmethod
    def begun(cls, reading: TextIO, writing: TextIO) -> LineEpisode | None:
        """The episode, once its first line is there; None where it ended before."""
        line = reading.readline()
        return cls(reading, writing, json.loads(line)) if line else None

    def step(
        self,
        action: str,
        *,
        thought: str | None = None,
        usage: ModelUsage | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Send an action and wait for what came of it; afterwards `outcome` says whether the episode has ended."""
        self._send({"action": action, "thought": thought}, usage, details)
        line = self._reading.readline()
        if line:
            self.observation = _observation(json.loads(line))
        else:
            self.outcome = "ended"

    def stop(self, stop: Stop) -> None:
        """Take no further action."""
        self._send({"stop": stop.detail, "reason": stop.reason}, stop.usage, stop.details)
        self.outcome = "ended"

    def fail(self, why: str, usage: ModelUsage | None = None, details: Mapping[str, Any] | None = None) -> None:
        """The agent itself failed."""
        self._send({"stop": why, "reason": "agent_error"}, usage, details)
        self.outcome = "ended"

    def _send(self, answer: dict[str, Any], usage: ModelUsage | None, details: Mapping[str, Any] | None) -> None:
        told = {"usage": asdict(usage) if usage is not None else None, "details": dict(details or {})}
        self._writing.write(json.dumps({**answer, **told}) + "\n")
        self._writing.flush()


def _observation(line: Mapping[str, Any]) -> Observation:
    return Observation(**{name: line[name] for name in _OBSERVED if name in line})
