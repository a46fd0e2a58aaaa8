"""Scores a submission with MLGym's own evaluator, and takes from it nothing but its numbers.

evaluation.json says how the evaluator is called. Where it runs no code of the submission it runs here, beside the hidden
files, and nothing of the agent can reach it but the submission's file. Otherwise it runs in the player's sandbox, which gets
the task's own files over the link; whatever it prints there is the submission's word, and HOLES.md says so.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS))

from mlgym_judge import Context, Rejected, run  # type: ignore[import-not-found]  # noqa: E402
from player import Ended, Workspace  # type: ignore[import-not-found]  # noqa: E402

PRISTINE = TESTS / "pristine"
PIECE_BYTES = 8 << 20
SHOWN_CHARACTERS = 2000
SPARE_SECONDS = 10.0


def grade(context: Context) -> dict[str, float]:
    """Run the evaluator and return its numbers."""
    settings = json.loads((TESTS / "evaluation.json").read_text(encoding="utf-8"))
    ended = in_judge(context, settings) if settings["trusted"] else in_player(context, settings)
    if ended.problem:
        raise Rejected(ended.problem)
    return numbers(ended, settings)


def in_judge(context: Context, settings: dict[str, Any]) -> Ended:
    """Run it here; the workspace holds the task's own files and the submission."""
    workspace = Workspace(os.environ.get("HOME"))
    for name, path in pristine_files():
        workspace.put_file(name, path)
    workspace.lay(context.submission)
    return workspace.evaluate(settings)


def in_player(context: Context, settings: dict[str, Any]) -> Ended:
    """Run it where the submission's code may run."""
    with context.player() as player:
        for name, path in pristine_files():
            for piece in pieces(path):
                player.ask({"put": name, "data": piece})
        answer = player.ask({"evaluate": settings}, timeout_seconds=settings["timeout_seconds"] + SPARE_SECONDS)
    try:
        return Ended(
            status=int(answer["status"]),
            output=str(answer["output"]),
            errors=str(answer["errors"]),
            problem=str(answer["problem"]),
        )
    except (KeyError, TypeError, ValueError):
        raise Rejected("the submission's code broke the evaluation off") from None


def pristine_files() -> Iterator[tuple[str, Path]]:
    """The task's own files, by their names in the workspace."""
    for path in sorted(PRISTINE.rglob("*")):
        if path.is_file():
            yield path.relative_to(PRISTINE).as_posix(), path


def pieces(path: Path) -> Iterator[bytes]:
    """A file's content; one empty piece for an empty file."""
    with path.open("rb") as file:
        yield file.read(PIECE_BYTES)
        while piece := file.read(PIECE_BYTES):
            yield piece


def numbers(ended: Ended, settings: dict[str, Any]) -> dict[str, float]:
    """The evaluator's numbers, found where MLGym looks for them."""
    text = ended.output.strip()
    if settings["kind"] in ("model", "lm"):
        text = next((line for line in ended.output.split("\n") if line.strip().startswith("{")), "")
    try:
        content = json.loads(text)
        assert isinstance(content, dict)
    except (ValueError, AssertionError, RecursionError):
        shown = (ended.output + ended.errors).strip()[-SHOWN_CHARACTERS:] or "nothing"
        raise Rejected(f"the evaluator printed no scores (exit status {ended.status}); it printed:\n{shown}") from None
    found = {name: float(value) for name, value in content.items() if is_number(value)}
    if settings["metric"] not in found:
        raise Rejected(f"the evaluator printed no finite number {settings['metric']!r}: {str(content)[:SHOWN_CHARACTERS]}")
    return found


def is_number(value: object) -> bool:
    """Whether a value of the evaluator's is a finite number."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


if __name__ == "__main__":
    run(grade)
