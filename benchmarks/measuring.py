"""What every benchmark shares: a place to work in, a tiny task, and two sides measured in turn.

A machine's speed changes while a benchmark runs, so the two sides of a ratio take turns (A B A B ...) and each is told as
its median. No number of one run is ever compared with one of another.
"""

from __future__ import annotations

import itertools
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mlgym_lite import Episode, RunSettings, Task, load_task
from mlgym_lite.config.places import Places, places

Side = Callable[[], float]
"""Does the thing once and tells how many seconds it took."""

_TASK = {
    "task.toml": """\
schema_version = "1.4"
artifacts = ["answer.txt"]

[metadata.mlgym_lite]
domain = "benchmarks"
metric = "Score"
direction = "maximize"
baseline = { Score = 1.0 }
max_steps = 20
command_timeout_sec = 60
validations = 3

[agent]
timeout_sec = 3600.0

[verifier]
timeout_sec = 120.0

[environment]
memory_mb = 512
storage_mb = 64
""",
    "instruction.md": "Write a number into answer.txt.\n",
    "environment/answer.txt": "0.5\n",
    "tests/test.sh": """printf '{"Score": %s}' "$(cat /submission/answer.txt)" > /logs/verifier/reward.json\n""",
}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a benchmark is given; lives for one command."""

    folder: Path
    """Empty at the start and removed at the end."""
    peers: Path
    """Where other systems are installed."""
    environment: Mapping[str, str]
    """The engine's environment."""
    quick: bool
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def places(self) -> Places:
        """Where the engine keeps base environments."""
        return places(self.environment)

    def repetitions(self, full: int, *, least: int = 3) -> int:
        """How often to measure: a tenth, but not below `least`, where it must be quick."""
        return max(least, full // 10) if self.quick else full

    def new_path(self, name: str) -> Path:
        """A path in the folder that does not exist."""
        return self.folder / f"{name}-{next(self._numbers)}"

    def tiny_task(self) -> Task:
        """A task without requirements, data or player."""
        folder = self.new_path("tiny")
        for name, text in _TASK.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return load_task(folder)

    @contextmanager
    def episode(self, task: Task, *, max_steps: int | None = None) -> Iterator[Episode]:
        """An episode that is not reset yet; it is closed and its run directory removed."""
        output = self.new_path("run")
        settings = RunSettings(output=output, max_steps=max_steps)
        episode = Episode(task, settings=settings, environment=self.environment)
        try:
            yield episode
        finally:
            episode.close()
            shutil.rmtree(output, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class Medians:
    """Two sides, measured in turn."""

    ours: float
    other: float


class WrongAnswer(Exception):
    """A side did not do what was measured, so its time means nothing."""


def check(answer: object, wanted: object, what: str) -> None:
    """Raise WrongAnswer unless the answer is the wanted one."""
    if answer != wanted:
        raise WrongAnswer(f"{what}: answered {answer!r}, expected {wanted!r}")


def seconds_of(function: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def in_turn(ours: Side, other: Side, repetitions: int, *, warm_up: bool = True) -> Medians:
    """The medians of two sides that take turns, after a turn that does not count unless `warm_up` is off."""
    if warm_up:
        ours()
        other()
    pairs = [(ours(), other()) for _ in range(repetitions)]
    return Medians(ours=statistics.median(pair[0] for pair in pairs), other=statistics.median(pair[1] for pair in pairs))
