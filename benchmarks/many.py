"""64 episodes at once in one process, a thread each: none may fail, and what an idle one keeps in memory.

All of them rest between their steps and their submission; that is when memory is measured. Memory is the proportional size
(smaps_rollup) of every process of the sandboxes, and how much the engine's own has grown, divided by 64.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from benchmarks.measuring import Bench, check
from benchmarks.table import Row
from mlgym_lite import Task

_EPISODES = 64
_STEPS = 20
_LONGEST_SECONDS = 600.0


class _Rest:
    """Where the episodes meet; the last one to come measures."""

    def __init__(self) -> None:
        self.engine_before = _proportional_size(os.getpid())
        self.bytes_each = 0.0
        self.unreadable = 0
        self._barrier = threading.Barrier(_EPISODES, action=self._measure)

    def _measure(self) -> None:
        total = _proportional_size(os.getpid()) - self.engine_before
        for process in psutil.Process().children(recursive=True):
            try:
                total += _proportional_size(process.pid)
            except OSError:
                self.unreadable += 1
        self.bytes_each = total / _EPISODES

    def wait(self) -> None:
        """Wait for the others; where one will not come, go on unmeasured, for only that one has failed."""
        with contextlib.suppress(threading.BrokenBarrierError):
            self._barrier.wait(_LONGEST_SECONDS)

    def abandon(self) -> None:
        """Tell the others not to wait."""
        self._barrier.abort()


def run(bench: Bench) -> list[Row]:
    """Run them all and count the failures."""
    task = bench.tiny_task()
    with bench.episode(task) as first:  # what the engine loads once is no episode's
        first.reset()
    rest = _Rest()
    started = time.perf_counter()
    with ThreadPoolExecutor(_EPISODES) as pool:
        problems = [problem for problem in pool.map(lambda _: _episode(bench, task, rest), range(_EPISODES)) if problem]
    seconds = time.perf_counter() - started
    memory_note = f"{rest.unreadable} processes could not be read" if rest.unreadable else ""
    memory_note = memory_note if rest.bytes_each else "not all episodes came to rest"
    return [
        Row(benchmark="many", what=f"failures of {_EPISODES} at once", ours=len(problems), unit="count", allowed=0,
            note="; ".join(sorted(set(problems))[:3])),
        Row(benchmark="many", what=f"{_EPISODES} times reset, {_STEPS} steps, submit", ours=seconds),
        Row(benchmark="many", what="memory of an idle episode", ours=rest.bytes_each or None, unit="bytes", note=memory_note,
            state="measured" if rest.bytes_each else "not run"),
    ]  # fmt: skip


def _episode(bench: Bench, task: Task, rest: _Rest) -> str:
    """One episode; what went wrong, or nothing."""
    try:
        with bench.episode(task, max_steps=_STEPS + 1) as episode:
            try:
                episode.reset()
                for number in range(_STEPS):
                    step = episode.step(f"echo {number} | tee answer.txt")
                    check(step.observation, f"{number}\n", f"step {step.number}")
            except BaseException:
                rest.abandon()
                raise
            rest.wait()
            check(episode.submit().result["score"]["value"], _STEPS - 1, "submit")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _proportional_size(process_id: int) -> int:
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
