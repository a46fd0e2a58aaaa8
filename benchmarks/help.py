"""`mlgym-lite --help` against an interpreter that only imports click."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

from benchmarks.measuring import Bench, in_turn, seconds_of
from benchmarks.table import Row

ALLOWED_RATIO = 2.5
_REPETITIONS = 60


def run(bench: Bench) -> list[Row]:
    """Measure both programs in turn, with the same interpreter and from the same folder."""
    program = Path(sysconfig.get_path("scripts"), "mlgym-lite")
    medians = in_turn(
        lambda: _seconds(bench, str(program), "--help"),
        lambda: _seconds(bench, sys.executable, "-c", "import click"),
        bench.repetitions(_REPETITIONS),
    )
    what = "mlgym-lite --help : import click"
    return [Row(benchmark="help", what=what, ours=medians.ours, other=medians.other, allowed=ALLOWED_RATIO)]


def _seconds(bench: Bench, *command: str) -> float:
    def run_it() -> None:
        subprocess.run(command, cwd=bench.folder, env=bench.environment, stdout=subprocess.DEVNULL, check=True)

    return seconds_of(run_it)
