"""A run directory as the viewer reads it: line by line, in little memory, and again when an episode in progress has gone on.

`refresh` takes up what has been written since; of each step only a summary and its place in trajectory.jsonl are held.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlgym_lite.analysis.viewer.step_data import step_summary
from mlgym_lite.episode.run_reader import recorded_json
from mlgym_lite.errors import ActionsError


@dataclass(frozen=True, kw_only=True)
class StepPlace:
    """Where a step's line lies."""

    start: int
    """In bytes."""
    length: int


class FollowedRun:
    """One run directory; nothing in it is held open."""

    def __init__(self, path: Path) -> None:
        """Read run.json.

        Raises:
            ActionsError: It is no run directory, or run.json cannot be read.
        """
        if not (path / "run.json").is_file():
            raise ActionsError(f"{path}: is not a run directory: it has no run.json")
        self.path = path
        self.run: Mapping[str, Any] = recorded_json(path / "run.json")
        self.result: Mapping[str, Any] | None = None
        self.summaries: list[dict[str, Any]] = []
        self.places: list[StepPlace] = []
        self.first: Mapping[str, Any] = {}
        """The first step's line, which has what a language model was told."""
        self.trouble: str | None = None
        """Why the rest of it cannot be read."""
        self._read_bytes = 0
        self._scores: list[Mapping[str, Any]] = []

    @property
    def name(self) -> str:
        """The folder's; of a try of a bench's episode, that of its agent and seed."""
        path = self.path.absolute()
        is_try = path.name.startswith("try-") and (path.parent / "episode.json").is_file()
        return f"{path.parent.parent.name}/{path.parent.name}" if is_try else path.name

    @property
    def attempts(self) -> list[Mapping[str, Any]]:
        """Every scoring; the submission's is in result.json only."""
        return list(self._scores if self.result is None else self.result.get("attempts", []))

    def refresh(self) -> bool:
        """Take up what is new; whether anything is. A line that is still being written is left for the next time.

        What cannot be read is told in `trouble`; what was read before stays.
        """
        if self.trouble is not None:
            return False
        try:
            new = self._take_lines()
            result = self.path / "result.json"
            if self.result is None and result.is_file():
                self.result = recorded_json(result)
                self.trouble = self._missing_steps()
                new = True
        except ActionsError as error:
            self.trouble = str(error)
            return True
        return new

    def step(self, at: int) -> Mapping[str, Any]:
        """The whole line of a step, by its place in order."""
        place = self.places[at]
        with (self.path / "trajectory.jsonl").open("rb") as file:
            file.seek(place.start)
            step: Mapping[str, Any] = json.loads(file.read(place.length))
            return step

    def _missing_steps(self) -> str | None:
        """A run that has ended has all of its lines, unless something happened to its file; a fork's begin later."""
        assert self.result is not None
        wanted = self.result.get("steps")
        if self.run.get("forked_from") or not isinstance(wanted, int) or wanted <= len(self.places):
            return None
        return f"{self.path / 'trajectory.jsonl'}: holds {len(self.places)} of the {wanted} steps that result.json tells"

    def _take_lines(self) -> bool:
        path, before = self.path / "trajectory.jsonl", len(self.places)
        try:
            with path.open("rb") as file:
                file.seek(self._read_bytes)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._take(line)
        except OSError as error:
            raise ActionsError(f"{path}: cannot be read: {error.strerror or error}") from error
        return len(self.places) > before

    def _take(self, line: bytes) -> None:
        try:
            step = json.loads(line)
            if not isinstance(step, dict) or not isinstance(step.get("action"), str):
                raise ValueError("expected an object with an action")
        except (ValueError, RecursionError) as error:
            number = len(self.places) + 1
            raise ActionsError(f"{self.path / 'trajectory.jsonl'}: line {number}: is no step: {error}") from error
        summary = step_summary(step)
        if not self.places:
            self.first = step
        self.places.append(StepPlace(start=self._read_bytes, length=len(line)))
        self.summaries.append(summary)
        self._scores += step.get("scores") or []
        self._read_bytes += len(line)
