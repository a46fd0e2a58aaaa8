"""A reset with the base environment in the cache, until the shell answers, against bare bwrap running `bash -c true`."""

from __future__ import annotations

from contextlib import closing

from benchmarks.bare import BareSandboxes
from benchmarks.measuring import Bench, in_turn, seconds_of
from benchmarks.table import Row
from mlgym_lite import Task, load_task
from mlgym_lite.episode.preparation import prepare_task

ALLOWED_RATIO = 3.0
_REPETITIONS = 60


def run(bench: Bench) -> list[Row]:
    """Measure a task without requirements and one with."""
    with_requirements = load_task("prisoners_dilemma")
    prepare_task(
        with_requirements, bench.places, bench.environment, source=None, with_data=False, on_progress=lambda _: None
    )  # fmt: skip
    return [
        _row(bench, bench.tiny_task(), "no requirements, engine : bwrap"),
        _row(bench, with_requirements, "prisoners_dilemma, engine : bwrap"),
    ]


def _row(bench: Bench, task: Task, what: str) -> Row:
    with closing(BareSandboxes(bench, task)) as sandboxes:
        medians = in_turn(lambda: _reset_seconds(bench, task), sandboxes.seconds_to_end, bench.repetitions(_REPETITIONS))
    return Row(benchmark="reset", what=what, ours=medians.ours, other=medians.other, allowed=ALLOWED_RATIO)


def _reset_seconds(bench: Bench, task: Task) -> float:
    with bench.episode(task) as episode:
        return seconds_of(episode.reset)
