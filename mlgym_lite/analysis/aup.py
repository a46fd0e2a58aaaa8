"""Performance profiles and the area under them (AUP): pure functions of one score for each task and method.

As MLGym computes them (arXiv 2502.14499 and its evaluation script), for a task with the scores s of methods and baseline:

    feasible    s is a number, is not negative, and is not worse than the baseline's
    ratio       r = best / s where more is better, s / best where less is; best over the feasible methods
    others      r = 1.05 · worst, where worst is the largest ratio of a feasible method; missing scores too
    tau_max     ceil(10 · log10 c) / 10, where c is the largest ceil(1.05 · worst) over all tasks and all tables to be compared
    profile     P_m(tau) = the share of tasks with log10 r <= tau
    AUP         the sum over 500 points from 0 to tau_max of P_m(tau_i) · (tau_{i+1} - tau_i), which is a left Riemann sum

A baseline below zero is itself not feasible. One extreme score widens the range, and so moves every method's AUP: they compare
only within one pool. The fixed version differs in two points, so that a single score moves another method's value by at most
1 / number of tasks: its range is always 0 to 1 (up to ten times worse than the best), and what is not feasible counts nowhere.

Where MLGym's arithmetic divides by zero, this is chosen: a score of 0 in a task where more is better is not feasible unless
nothing is better; in a task where less is better and 0 is reached, only 0 is. A task without feasible scores is solved by nobody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BASELINE = "baseline"
"""The method whose score the others must reach."""
PENALTY = 1.05
"""How much worse than the worst feasible method one without a feasible score counts."""
POINTS = 500
"""Of the grid."""
FIXED_TAU_MAX = 1.0


@dataclass(frozen=True, kw_only=True)
class TaskScores:
    """One score of each method in one task."""

    direction: str
    """`maximize` or `minimize`."""
    scores: Mapping[str, float | None]
    """By method, with the baseline's under `baseline`; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class TaskRatios:
    """How many times worse than the best each method is in one task."""

    feasible: Mapping[str, float]
    """1 or more; of the feasible methods only."""

    @property
    def worst(self) -> float:
        """The largest; infinite where no method is feasible."""
        return max(self.feasible.values(), default=math.inf)

    def ratio(self, method: str) -> float:
        """Of any method: what is not feasible counts a little worse than the worst that is."""
        return self.feasible.get(method, PENALTY * self.worst)


def task_ratios(task: TaskScores) -> TaskRatios:
    """The ratios of one task's feasible methods."""
    more_is_better = task.direction != "minimize"
    scores = _feasible(task, more_is_better=more_is_better)
    if not scores:
        return TaskRatios(feasible={})
    best = max(scores.values()) if more_is_better else min(scores.values())
    return TaskRatios(feasible={method: _ratio(score, best, more_is_better) for method, score in scores.items()})


def range_of(tables: Sequence[Sequence[TaskRatios]]) -> float:
    """tau_max as MLGym computes it, over all the tables that are to share it; 0 where nothing is feasible."""
    worst = [task.worst for table in tables for task in table if task.feasible]
    largest = max((math.ceil(PENALTY * ratio) for ratio in worst), default=1)
    return math.ceil(10 * math.log10(largest)) / 10


def profile(tasks: Sequence[TaskRatios], method: str, grid: Sequence[float]) -> list[float]:
    """The share of tasks that the method solves within each tolerance of the grid."""
    logs = [math.log10(task.ratio(method)) for task in tasks]
    return [sum(log <= tau for log in logs) / len(tasks) for tau in grid] if tasks else [0.0 for _ in grid]


def grid_to(tau_max: float) -> list[float]:
    """The tolerances at which profiles are taken: as numpy's linspace."""
    step = tau_max / (POINTS - 1)
    return [*(index * step for index in range(POINTS - 1)), tau_max]


def aup(tasks: Sequence[TaskRatios], method: str, tau_max: float) -> float:
    """The area under a method's profile, as MLGym computes it; not rounded."""
    grid = grid_to(tau_max)
    shares = profile(tasks, method, grid)
    return sum((grid[index + 1] - grid[index]) * shares[index] for index in range(POINTS - 1))


def fixed_aup(tasks: Sequence[TaskRatios], method: str) -> float:
    """The area under a method's profile of its feasible scores from 0 to 1, exactly: the mean over tasks of max(0, 1 - log10 r).

    It is 1 for the best everywhere, 0 for feasible nowhere.
    """
    ratios = [task.feasible.get(method, math.inf) for task in tasks]
    return sum(max(0.0, FIXED_TAU_MAX - math.log10(ratio)) for ratio in ratios) / len(tasks) if tasks else 0.0


def _feasible(task: TaskScores, *, more_is_better: bool) -> dict[str, float]:
    baseline = task.scores.get(BASELINE)
    found = {}
    for method, score in task.scores.items():
        if score is None or not math.isfinite(score) or score < 0:
            continue
        if baseline is not None and (score < baseline if more_is_better else score > baseline):
            continue
        found[method] = score
    return _without_division_by_zero(found, more_is_better=more_is_better)


def _without_division_by_zero(scores: dict[str, float], *, more_is_better: bool) -> dict[str, float]:
    zeros = {method: score for method, score in scores.items() if score == 0}
    positive = {method: score for method, score in scores.items() if score > 0}
    return (positive or zeros) if more_is_better else (zeros or positive)


def _ratio(score: float, best: float, more_is_better: bool) -> float:
    if score == best:
        return 1.0
    return min(_LARGEST_RATIO, best / score if more_is_better else score / best)


_LARGEST_RATIO = 1e300
"""Finite, whatever the scores."""
