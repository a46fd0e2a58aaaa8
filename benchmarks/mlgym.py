"""200 commands of an agent in one episode, start included, against two systems that research agents run in.

MLGym is not run: what its code sleeps in every step and at every reset is a fixed cost that its source states, whatever the
machine, and only that is counted. SWE-ReX is run: its local deployment, in a virtual environment of its own, gets the same
commands in turn with ours. It runs them without any sandbox, which is a gift to its side.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.measuring import Bench, check, in_turn
from benchmarks.table import Row
from mlgym_lite import Task
from mlgym_lite.processes import run_program

ALLOWED_RATIO = 1.0
_REPETITIONS = 3
_COMMANDS = 20 * (
    "pwd", "ls", "cat answer.txt", "echo 0.7 > answer.txt", "grep -c 0 answer.txt", "wc -l answer.txt",
    "head -n 1 answer.txt", "export STEP=1", "test -f answer.txt", "true",
)  # fmt: skip
_MLGYM_SECONDS_FOR_A_STEP = 0.5
_MLGYM_SECONDS_FOR_A_RESET = 5.2
_SWE_REX = "swe-rex==1.4.0"
_SWE_REX_TITLE = f"{len(_COMMANDS)} commands, engine : SWE-ReX"


class PeerMissing(Exception):
    """Another system could not be installed or run here; the text says why."""


def run(bench: Bench) -> list[Row]:
    """Measure ours and SWE-ReX in turn; MLGym's cost is arithmetic."""
    task, count = bench.tiny_task(), bench.repetitions(_REPETITIONS, least=1)
    try:
        python = _installed(bench)
        ours = partial(_our_seconds, bench, task)
        medians = in_turn(ours, partial(_swe_rex_seconds, bench, python, task), count, warm_up=False)
    except PeerMissing as error:
        return [
            _mlgym_row(_our_seconds(bench, task)),
            Row(benchmark="mlgym", what=_SWE_REX_TITLE, state="not run", note=str(error)),
        ]
    row = Row(benchmark="mlgym", what=_SWE_REX_TITLE, ours=medians.ours, other=medians.other, allowed=ALLOWED_RATIO)
    return [_mlgym_row(medians.ours), row]


def _mlgym_row(ours: float) -> Row:
    fixed = len(_COMMANDS) * _MLGYM_SECONDS_FOR_A_STEP + _MLGYM_SECONDS_FOR_A_RESET
    note = (
        f"fixed cost by its source, computed and not run here: {len(_COMMANDS)} x {_MLGYM_SECONDS_FOR_A_STEP:g} s of a step "
        f"+ {_MLGYM_SECONDS_FOR_A_RESET:g} s of a reset"
    )
    what = f"{len(_COMMANDS)} commands, engine : MLGym"
    return Row(benchmark="mlgym", what=what, ours=ours, other=fixed, allowed=ALLOWED_RATIO, note=note)


def _our_seconds(bench: Bench, task: Task) -> float:
    with bench.episode(task, max_steps=len(_COMMANDS) + 1) as episode:
        started = time.perf_counter()
        episode.reset()
        for command in _COMMANDS:
            check(episode.step(command).exit_status, 0, command)
        return time.perf_counter() - started


def _swe_rex_seconds(bench: Bench, python: Path, task: Task) -> float:
    """Run the commands in a copy of the starter files; the program measures itself, without its imports."""
    folder = bench.new_path("swe-rex")
    folder.mkdir()
    (folder / "answer.txt").write_bytes((task.folder / "environment" / "answer.txt").read_bytes())
    (folder / "commands.json").write_text(json.dumps(_COMMANDS), encoding="utf-8")
    _run_or_tell([python, Path(__file__).with_name("swe_rex_program.py"), folder], bench, folder)
    return float((folder / "seconds.txt").read_text(encoding="ascii"))


def _installed(bench: Bench) -> Path:
    """The interpreter of a virtual environment with SWE-ReX, made at the first call."""
    folder = bench.peers / _SWE_REX.replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "complete").is_file():
        _run_or_tell([sys.executable, "-m", "venv", "--clear", folder], bench)
        _run_or_tell([python, "-m", "pip", "install", "--quiet", _SWE_REX], bench)
        (folder / "complete").touch()
    return python


def _run_or_tell(command: Sequence[str | Path], bench: Bench, folder: Path | None = None) -> None:
    try:
        result = run_program(command, environment=bench.environment, working_directory=folder, timeout_seconds=600)
    except (OSError, TimeoutError) as error:
        raise PeerMissing(str(error)) from error
    if result.status != 0:
        last = (result.output.strip().splitlines() or ["no reason given"])[-1]
        raise PeerMissing(f"{Path(command[0]).name} {command[1]} ended with exit status {result.status}: {last}")
