"""Reading a run directory back: what was resolved, every step, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlgym_lite.config.actions_file import json_lines
from mlgym_lite.errors import ActionsError


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run directory, read."""

    path: Path
    recorded: Mapping[str, Any]
    """As `recorded_run` gives it; exports hold it, so that a replay can repeat the run."""
    steps: tuple[Mapping[str, Any], ...]
    """The lines of trajectory.jsonl."""

    @property
    def run(self) -> Mapping[str, Any]:
        """run.json."""
        run: Mapping[str, Any] = self.recorded["run"]
        return run

    @property
    def result(self) -> Mapping[str, Any] | None:
        """result.json; None where the run was killed or still goes on."""
        result: Mapping[str, Any] | None = self.recorded["result"]
        return result

    @property
    def messages_at_start(self) -> list[Mapping[str, Any]]:
        """What a language model was told first; empty for other agents."""
        prompt: list[Mapping[str, Any]] = (self.steps[0].get("details") or {}).get("prompt") or [] if self.steps else []
        return prompt

    def scores_of(self, step: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """What was scored in a step; the submission, which is graded after the step was recorded, is in result.json only."""
        if self.result is None:
            return list(step.get("scores") or [])
        return [attempt for attempt in self.result.get("attempts", []) if attempt["step"] == step["step"]]


def read_run(path: Path) -> Run:
    """Read a run directory; the line that a killed run was writing is left out.

    Raises:
        ActionsError: It is no run directory, or one of its files cannot be read; the message names the file and line.
    """
    if not (path / "run.json").exists():
        raise ActionsError(f"{path}: is not a run directory: it has no run.json")
    return Run(path=path, recorded=recorded_run(path), steps=tuple(_steps(path / "trajectory.jsonl")))


def recorded_run(folder: Path) -> dict[str, Any]:
    """What a replay needs of a run directory: `run` (run.json), `result` (result.json or None), `grading_seeds` in order.

    Raises:
        ActionsError: A file cannot be read or is not what it should be.
    """
    result = folder / "result.json"
    return {
        "run": recorded_json(folder / "run.json"),
        "result": recorded_json(result) if result.is_file() else None,
        "grading_seeds": [_seed(path) for path in sorted((folder / "grading").glob("*/grading.json"))],
    }


def _seed(grading: Path) -> int:
    content = recorded_json(grading)
    if not isinstance(content.get("seed"), int):
        raise ActionsError(f"{grading}: expected a seed")
    return int(content["seed"])


def recorded_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ActionsError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ActionsError(f"{path}: cannot be read: expected a JSON object")
    return content


def _steps(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ActionsError(f"{path}: cannot be read: {error}") from error
    steps = []
    for number, step in json_lines(path, text):
        if not isinstance(step, dict) or not isinstance(step.get("action"), str):
            raise ActionsError(f"{path}: line {number}: expected an object with an action")
        steps.append(step)
    return steps
