"""Snapshots, going back to them, and forks, in a workspace of 10,000 files of which 10 change: against copies and replays.

A copy is what a snapshot or a fork cost at least where nothing is shared: `shutil.copytree` of the workspace. A replay is the
other way to come back to a state: a new episode that runs the actions again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import Bench, check, in_turn, seconds_of
from benchmarks.table import Row
from mlgym_lite import Episode, RunSettings, Snapshot, Task

FILES, CHANGED, FORKS = 10_000, 10, 200
ALLOWED_SNAPSHOT, ALLOWED_RESTORE = 0.5, 0.5
_REPETITIONS = 20
_MAKE = (
    'python3 -c "import os\nfor d in range(100):\n    os.mkdir(str(d))\n    for f in range(100): '
    "open(f'{d}/{f}', 'w').write(f'{d} {f} ' * 50)\"",
    "for n in {1..20}; do python3 -c 'sum(range(10**6))'; done",
)
_CHANGE = f"for n in {{1..{CHANGED}}}; do echo $RANDOM$RANDOM > 7/$n; done"
_LOOK = "ls | wc -l; cat 7/1 | head -c 8"


def run(bench: Bench) -> list[Row]:
    """Measure one episode with a large workspace."""
    task, count = bench.tiny_task(), bench.repetitions(_REPETITIONS)
    with bench.episode(task, max_steps=100_000) as episode:
        episode.reset()
        _play(episode)
        base = episode.snapshot()

        def copy() -> float:
            target = bench.new_path("copy")
            seconds = seconds_of(lambda: shutil.copytree(episode.run_directory / "workspace", target, symlinks=True))
            shutil.rmtree(target)
            return seconds

        def replay() -> float:
            with bench.episode(task) as another:
                return seconds_of(lambda: (another.reset(), _play(another)))

        snapshot = in_turn(lambda: _snapshot(episode), copy, count)
        restore = in_turn(lambda: _restore(episode, base), copy, count)
        again = in_turn(lambda: _restore(episode, base), replay, max(3, count // 4))
        fork = in_turn(lambda: _fork(bench, base), copy, max(3, count // 4))
        episode.restore(base)
        several = _forks(bench, task, bench.repetitions(FORKS))
    what = f"{CHANGED} of {FILES:,} files changed"
    return [
        Row(
            benchmark="fork", what=f"snapshot, {what} : copy", ours=snapshot.ours, other=snapshot.other, allowed=ALLOWED_SNAPSHOT
        ),
        Row(benchmark="fork", what=f"restore, {what} : copy", ours=restore.ours, other=restore.other, allowed=ALLOWED_RESTORE),
        Row(benchmark="fork", what="restore : replay of the actions", ours=again.ours, other=again.other, allowed=1.0),
        Row(benchmark="fork", what=f"fork of {FILES:,} files : copy", ours=fork.ours, other=fork.other),
        Row(benchmark="fork", what="a fork of the starter files, with its first step", ours=several),
    ]


def _play(episode: Episode) -> None:
    for action in _MAKE:
        check(episode.step(action).exit_status, 0, action)


def _snapshot(episode: Episode) -> float:
    check(episode.step(_CHANGE).exit_status, 0, "change")
    kept: list[Snapshot] = []
    return seconds_of(lambda: kept.append(episode.snapshot()))


def _restore(episode: Episode, base: Snapshot) -> float:
    check(episode.step(_CHANGE).exit_status, 0, "change")
    seconds = seconds_of(lambda: episode.restore(base))
    check(episode.step(_LOOK).observation, "101\n7 1 7 1 ", "restore")
    return seconds


def _fork(bench: Bench, base: Snapshot) -> float:
    return _with_fork(bench, base, lambda fork: check(fork.step(_LOOK).observation, "101\n7 1 7 1 ", "fork"))


def _forks(bench: Bench, task: Task, count: int) -> float:
    """Seconds of each of many forks of one small state."""
    with bench.episode(task) as episode:
        episode.reset()
        episode.step("echo 3 > answer.txt")
        base = episode.snapshot()
        see = lambda fork: check(fork.step("cat answer.txt").observation, "3\n", "fork")  # noqa: E731
        return sum(_with_fork(bench, base, see) for _ in range(count)) / count


def _with_fork(bench: Bench, base: Snapshot, first: Callable[[Episode], None]) -> float:
    """Until the fork's first step is done."""
    output: Path = bench.new_path("fork")
    fork = Episode.fork(base, settings=RunSettings(output=output), environment=bench.environment)
    try:
        return seconds_of(lambda: (fork.reset(), first(fork)))
    finally:
        fork.close()
        shutil.rmtree(output, ignore_errors=True)
