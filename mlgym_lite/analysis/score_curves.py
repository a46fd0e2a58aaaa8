"""The best score so far over the steps of runs, as a mean over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlgym_lite.analysis.scored_run import ScoredRun


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The mean over those runs that had a score by then, at each step where one was scored."""

    steps: tuple[int, ...]
    values: tuple[float, ...]


def curves_of(runs: Sequence[ScoredRun]) -> Curve:
    """The curve of runs of one task and method."""
    changes: dict[int, list[tuple[int, float]]] = {}
    for place, run in enumerate(runs):
        for step, value in zip(run.steps, run.values, strict=True):
            changes.setdefault(step, []).append((place, value))
    best: dict[int, float] = {}
    total, values, steps = 0.0, [], sorted(changes)
    for step in steps:
        for place, value in changes[step]:
            better = min if runs[place].task.direction == "minimize" else max
            now = better(value, best.get(place, value))
            total += now - best.get(place, 0.0)
            best[place] = now
        values.append(total / len(best))
    return Curve(steps=tuple(steps), values=tuple(values))
