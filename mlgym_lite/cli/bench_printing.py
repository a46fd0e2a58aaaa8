"""What people see of a bench: its plan, how it goes, how it stands."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from mlgym_lite.benchmark.local import Listener
from mlgym_lite.benchmark.overview import Overview
from mlgym_lite.benchmark.plan import Plan, PlannedEpisode
from mlgym_lite.benchmark.tries import Standing
from mlgym_lite.cli.printing import counted, harmless, number, one_line

if TYPE_CHECKING:
    from rich.status import Status


def who(episode: PlannedEpisode) -> str:
    """Agent, model and seed."""
    return f"{episode.agent}{f' {episode.model}' if episode.model else ''}, seed {episode.seed}"


def print_plan(plan: Plan, overview: Overview) -> None:
    """Every group of episodes, what is done of it, and the bounds of time and cost."""
    counts = overview.counts
    for group in overview.groups():
        who = f"{group.agent} {group.model}" if group.model else group.agent
        click.echo(harmless(f"{group.task}: {who}: {counted(group.planned, 'seed')}, {group.done} done"))
    seconds = [episode.most_seconds for episode in plan.episodes]
    hours = None if None in seconds else sum(one for one in seconds if one is not None) / 3600
    cost = "not bounded; limits.cost_usd bounds an episode" if plan.most_cost is None else f"${plan.most_cost:.2f} at most"
    episodes = counted(len(plan.episodes), "episode")
    click.echo(f"{episodes}, {counts['done']} done, {counts['failed']} failed; {harmless(str(plan.results))}")
    click.echo(f"episode hours: {'not bounded' if hours is None else f'{hours:.1f} at most'}; cost of models: {cost}")


def print_overview(overview: Overview) -> None:
    """A table of scores by task and agent, and what failed."""
    from rich.console import Console
    from rich.table import Table

    table = Table("task", "agent", "model", "done", "mean", "best", "baseline", box=None, pad_edge=False)
    for group in overview.groups():
        table.add_row(
            *(harmless(text) for text in (group.task, group.agent, group.model or "")), f"{group.done}/{group.planned}",
            number(group.mean), number(group.best), number(group.baseline),
        )  # fmt: skip
    console = Console(highlight=False, markup=False)
    console.print(table)
    print_standing(overview)


def print_standing(overview: Overview) -> None:
    """What failed, and how many are in each state."""
    for episode in overview.plan.episodes:
        standing = overview.standings[episode.folder]
        if standing.state == "failed":
            click.echo(f"failed: {episode.task}, {who(episode)}: {one_line(standing.why, 160)}")
    counts = overview.counts
    queued = f"{counts['queued']} queued, " if counts["queued"] else ""
    click.echo(
        f"{counts['done']} done, {counts['running']} running, {queued}{counts['waiting']} to do, {counts['failed']} failed; "
        f"{'cost unknown' if overview.cost is None else f'${overview.cost:.2f}'} so far; {harmless(str(overview.plan.results))}"
    )


class BenchProgress:
    """A line for each episode that ended; on a terminal a live line for the whole."""

    def __init__(self, plan: Plan, left: int, *, done: int, quiet: bool) -> None:
        """`left` episodes are to be run, `done` were before."""
        self._done_before = done
        self._left = left
        self._quiet = quiet
        self._running: set[str] = set()
        self._done = self._failed = 0
        self._started = time.monotonic()
        self._best: dict[str, float] = {}
        self._status: Status | None = None
        if not quiet and sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True, highlight=False, markup=False).status("")
            self._status.start()

    def listener(self) -> Listener:
        """What the bench tells it."""
        return Listener(on_begin=self._begin, on_end=self._end, on_tick=self._tick)

    def stop(self) -> None:
        """Take the live line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _begin(self, episode: PlannedEpisode, number: int) -> None:
        self._running.add(episode.folder)
        self._tick()

    def _end(self, episode: PlannedEpisode, standing: Standing) -> None:
        self._running.discard(episode.folder)
        self._left -= standing.state != "waiting"
        self._done += standing.state == "done"
        self._failed += standing.state == "failed"
        if not self._quiet:
            click.echo(harmless(f"{self._words()}  {episode.task}, {who(episode)}: {self._told(episode, standing)}"), err=True)

    def _told(self, episode: PlannedEpisode, standing: Standing) -> str:
        if standing.state != "done" or standing.result is None:
            again = "; it is tried again" if standing.state == "waiting" else ""
            return f"{one_line(standing.why, 120)}{again}"
        result, value = standing.result, standing.result.value
        if value is None:
            return one_line(f"not scored: {result.reason}{', ' if result.detail else ''}{result.detail}", 120)
        better = max if result.maximize else min
        self._best[episode.task] = better(value, self._best.get(episode.task, value))
        return f"{result.metric} {number(value)} (best {number(self._best[episode.task])})"

    def _words(self) -> str:
        done, running = self._done_before + self._done, len(self._running)
        return f"[{done} done, {running} running, {self._left - running} to do, {self._failed} failed]"

    def _tick(self) -> None:
        if self._status is not None:
            self._status.update(f"{self._words()}  {self._time_left()}")

    def _time_left(self) -> str:
        ended = self._done + self._failed
        if not ended:
            return ""
        seconds = (time.monotonic() - self._started) / ended * self._left
        return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"
