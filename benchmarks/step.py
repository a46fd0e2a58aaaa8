"""A step that does nothing, through the engine with everything it records, against a bare bash in the same sandbox."""

from __future__ import annotations

from contextlib import closing

from benchmarks.bare import BareSandboxes, BareShell
from benchmarks.measuring import Bench, in_turn, seconds_of
from benchmarks.table import Row

ALLOWED_RATIO = 5.0
ALLOWED_SECONDS = 0.001
_REPETITIONS = 3000


def run(bench: Bench) -> list[Row]:
    """Measure `true` on both sides in turn."""
    task, count = bench.tiny_task(), bench.repetitions(_REPETITIONS)
    with bench.episode(task, max_steps=count + 2) as episode, closing(BareSandboxes(bench, task)) as sandboxes:
        episode.reset()
        with closing(BareShell(sandboxes)) as shell:
            medians = in_turn(
                lambda: seconds_of(lambda: episode.step("true")),
                lambda: seconds_of(lambda: shell.run("true")),
                count,
            )
    return [
        Row(benchmark="step", what="`true`, engine : bare bash", ours=medians.ours, other=medians.other, allowed=ALLOWED_RATIO),
        Row(benchmark="step", what="`true`, engine", ours=medians.ours, allowed=ALLOWED_SECONDS),
    ]
