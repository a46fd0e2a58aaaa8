"""A bench on this machine: as many episodes at once as its CPUs, memory and GPUs allow, each a process of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from mlgym_lite.background import BackgroundProgram
from mlgym_lite.benchmark.plan import Plan, PlannedEpisode, write_plan
from mlgym_lite.benchmark.slurm import episodes_to_run
from mlgym_lite.benchmark.tries import Standing, end_try, go_on_or_begin, standing_of, standings_of
from mlgym_lite.errors import BenchError
from mlgym_lite.isolation.limits import cpu_count
from mlgym_lite.isolation.marked_folders import take
from mlgym_lite.isolation.waiting import readable

_TICK_SECONDS = 1.0
_MEMORY_SHARE = 0.9


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What episodes may use together."""

    cpus: float
    memory_bytes: int
    gpus: int
    workers: int | None = None

    @classmethod
    def of_this_machine(cls, gpus: int, workers: int | None = None) -> Capacity:
        """Its CPUs and nine tenths of the memory that is free now."""
        free = int(psutil.virtual_memory().available * _MEMORY_SHARE)
        return cls(cpus=cpu_count(), memory_bytes=free, gpus=gpus, workers=workers)

    def words(self, episodes: Sequence[PlannedEpisode]) -> str:
        """What decides how many run at once."""
        if self.workers is not None:
            return f"{self.workers} at once"
        cpus = max(episode.cpus for episode in episodes)
        memory = max(episode.memory_bytes for episode in episodes) / (1 << 30)
        return (
            f"as many at once as {self.cpus:g} CPUs and {self.memory_bytes / (1 << 30):.1f} GiB of memory allow, "
            f"where an episode may use up to {cpus:g} and {memory:.1f}; --workers says another number"
        )

    def has_room(self, running: list[PlannedEpisode], episode: PlannedEpisode) -> bool:
        """Whether one more fits; where nothing runs, anything does, and its own error tells what is missing."""
        if not running:
            return True
        if self.workers is not None:
            fits = len(running) < self.workers
        else:
            fits = sum(one.cpus for one in running) + episode.cpus <= self.cpus
            fits = fits and sum(one.memory_bytes for one in running) + episode.memory_bytes <= self.memory_bytes
        return fits and sum(one.gpus for one in running) + episode.gpus <= max(self.gpus, episode.gpus and 1)


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Who is told how a bench goes."""

    on_begin: Callable[[PlannedEpisode, int], None] = lambda *_: None
    """Gets an episode and the number of its try."""
    on_end: Callable[[PlannedEpisode, Standing], None] = lambda *_: None
    on_tick: Callable[[], None] = lambda: None
    """Called about once a second."""


@dataclass(frozen=True, kw_only=True)
class _Running:
    episode: PlannedEpisode
    number: int
    program: BackgroundProgram


class LocalBench:
    """Runs what is left of a plan; use `run` once."""

    def __init__(
        self,
        plan: Plan,
        capacity: Capacity,
        listener: Listener,
        *,
        again: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`again` also tries what has failed before, once more."""
        self._plan = plan
        self._capacity = capacity
        self._listener = listener
        self._again = again
        self._environment = environment
        self._running: list[_Running] = []
        self._costs: dict[str, float] = {}

    def run(self) -> None:
        """Run every episode that has no result yet, until none can be begun.

        Raises:
            BenchError: Another bench is at work on the same results, or a folder is of another bench.
            KeyboardInterrupt: After the running episodes were stopped; they go on when the bench is run again.
        """
        with _alone(self._plan.results):
            write_plan(self._plan)
            waiting = self._left()
            try:
                while waiting or self._running:
                    self._begin_what_fits(waiting)
                    if not self._running:
                        return  # the budget allows no more
                    self._wait(waiting)
            except BaseException:
                self._stop()
                raise

    def _left(self) -> list[PlannedEpisode]:
        standings = standings_of(self._plan)
        self._costs = {folder: standing.cost or 0.0 for folder, standing in standings.items()}
        return episodes_to_run(self._plan, standings, again=self._again)

    def _standing(self, episode: PlannedEpisode) -> Standing:
        return standing_of(self._plan.results / episode.folder, self._plan.bench.attempts)

    def _begin_what_fits(self, waiting: list[PlannedEpisode]) -> None:
        """In the plan's order; a large episode that does not fit holds up no smaller one of another kind."""
        for episode in list(waiting):
            running = [one.episode for one in self._running]
            if self._is_affordable(running, episode) and self._capacity.has_room(running, episode):
                waiting.remove(episode)
                self._begin(episode)

    def _is_affordable(self, running: list[PlannedEpisode], episode: PlannedEpisode) -> bool:
        most = self._plan.bench.budget.cost_usd
        bound = sum(one.most_cost or 0.0 for one in (*running, episode))
        return most is None or not episode.most_cost or sum(self._costs.values()) + bound <= most

    def _begin(self, episode: PlannedEpisode) -> None:
        number, command = go_on_or_begin(self._plan.results, episode)
        log = self._plan.results / episode.folder / f"try-{number}.log"
        self._running.append(_Running(episode=episode, number=number, program=BackgroundProgram(command, log, self._environment)))
        self._listener.on_begin(episode, number)

    def _wait(self, waiting: list[PlannedEpisode]) -> None:
        """Wait until one ends or a second is over, and take up those that have ended."""
        readable([one.program.descriptor for one in self._running], _TICK_SECONDS)
        for one in self._ended():
            standing = self._standing(one.episode)
            self._costs[one.episode.folder] = standing.cost or 0.0
            if standing.state == "waiting":
                waiting.append(one.episode)
            self._listener.on_end(one.episode, standing)
        self._listener.on_tick()

    def _ended(self) -> list[_Running]:
        ended = []
        for one in list(self._running):
            status = one.program.exit_status()
            if status is not None:
                self._running.remove(one)
                end_try(self._plan.results / one.episode.folder, one.number, status)
                ended.append(one)
        return ended

    def _stop(self) -> None:
        """Leave what runs as it stands: all of it is on disk, behind its last finished step."""
        for one in self._running:
            one.program.kill()
        while self._running:
            readable([one.program.descriptor for one in self._running], None)
            self._running = [one for one in self._running if one.program.exit_status() is None]


@contextlib.contextmanager
def _alone(results: Path) -> Iterator[None]:
    """Hold the results; where locks are refused, as on some network file systems, work goes on without."""
    results.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(results / ".bench.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not take(descriptor, results):
            raise BenchError(f"{results}: another `mlgym-lite bench` is at work there; `mlgym-lite status` shows how it stands")
        yield
    finally:
        os.close(descriptor)
