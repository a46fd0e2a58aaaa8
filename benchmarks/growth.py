"""Whether a step late in an episode costs more than an early one: the 50 steps from 1,000 on against the 50 from 10 on.

The windows of several episodes take turns (early, late, early, late ...), so that a machine that slows down is no growth.
"""

from __future__ import annotations

import statistics

from benchmarks.measuring import Bench, seconds_of
from benchmarks.table import Row
from mlgym_lite import Task

ALLOWED_RATIO = 1.2
_EARLY, _LATE, _WINDOW = 10, 1000, 50
_EPISODES = 31
_ACTION = "echo a line of output"


def run(bench: Bench) -> list[Row]:
    """Measure both windows in each of several episodes."""
    task = bench.tiny_task()
    episodes = [_windows(bench, task) for _ in range(bench.repetitions(_EPISODES, least=9))]
    early = statistics.median(seconds[_EARLY - 1] for seconds in episodes)
    late = statistics.median(seconds[_LATE - 1] for seconds in episodes)
    what = f"step {_LATE} : step {_EARLY} of an episode"
    return [Row(benchmark="growth", what=what, ours=late, other=early, allowed=ALLOWED_RATIO)]


def _windows(bench: Bench, task: Task) -> dict[int, float]:
    """The median of each window of one episode, by the index of its first step."""
    with bench.episode(task, max_steps=_LATE + 2 * _WINDOW) as episode:
        episode.reset()
        seconds = [seconds_of(lambda: episode.step(_ACTION)) for _ in range(_LATE + _WINDOW)]
    return {first - 1: statistics.median(seconds[first - 1 : first - 1 + _WINDOW]) for first in (_EARLY, _LATE)}
