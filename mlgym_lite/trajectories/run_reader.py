"""Reading a run directory back: what was resolved, every step, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlgym_lite.errors import ActionsError


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run directory, read."""

    path: Path
    run: Mapping[str, Any]
    """run.json."""
    steps: tuple[Mapping[str, Any], ...]
    """The lines of trajectory.jsonl."""
    result: Mapping[str, Any] | None
    """result.json; None where the run was killed or still goes on."""
    grading_seeds: tuple[int, ...]
    """What each grading drew, in order; a replay repeats them."""

    @property
    def exported(self) -> dict[str, Any]:
        """What a replay needs to know, for exports."""
        return {"run": self.run, "result": self.result, "grading_seeds": list(self.grading_seeds)}

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
    run = _json(path / "run.json")
    if run is None:
        raise ActionsError(f"{path}: is not a run directory: it has no run.json")
    gradings = [_json(file) or {} for file in sorted((path / "grading").glob("*/grading.json"))]
    return Run(
        path=path,
        run=run,
        steps=tuple(_lines(path / "trajectory.jsonl")),
        result=_json(path / "result.json"),
        grading_seeds=tuple(grading["seed"] for grading in gradings if "seed" in grading),
    )


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ActionsError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ActionsError(f"{path}: expected a JSON object")
    return content


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ActionsError(f"{path}: cannot be read: {error}") from error
    steps: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            step = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break  # the run was killed while it wrote this line
            raise ActionsError(f"{path}: line {number}: is not JSON: {error}") from error
        if not isinstance(step, dict) or not isinstance(step.get("action"), str):
            raise ActionsError(f"{path}: line {number}: expected an object with an action")
        steps.append(step)
    return steps
