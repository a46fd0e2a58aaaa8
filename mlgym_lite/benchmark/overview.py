"""How a whole bench stands: its episodes counted, and what the scored ones reached."""

from __future__ import annotations

import fcntl
import os
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlgym_lite.benchmark.plan import Plan, PlannedEpisode
from mlgym_lite.benchmark.slurm import ALIVE, can_pass, job_states, why_without_result
from mlgym_lite.benchmark.tries import Standing, run_directory, standings_of


@dataclass(frozen=True, kw_only=True)
class GroupScores:
    """The episodes of one task, agent and model, which differ in their seeds."""

    task: str
    agent: str
    model: str | None
    planned: int
    done: int
    scores: tuple[float, ...]
    maximize: bool
    baseline: float | None

    @property
    def mean(self) -> float | None:
        """Of the scores; None without one."""
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def best(self) -> float | None:
        """The best of the scores."""
        return (max if self.maximize else min)(self.scores) if self.scores else None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A plan's episodes with how each stands."""

    plan: Plan
    standings: Mapping[str, Standing]
    """By folder."""

    @property
    def counts(self) -> Counter[str]:
        """How many are in each state."""
        return Counter(standing.state for standing in self.standings.values())

    @property
    def cost(self) -> float | None:
        """US dollars so far; None where a price is not known."""
        costs = [standing.cost for standing in self.standings.values()]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def groups(self) -> list[GroupScores]:
        """Scores by task, agent and model, in the plan's order."""
        grouped: dict[tuple[str, str, str | None], list[PlannedEpisode]] = {}
        for episode in self.plan.episodes:
            grouped.setdefault((episode.task, episode.agent, episode.model), []).append(episode)
        return [self._group(key, episodes) for key, episodes in grouped.items()]

    def _group(self, key: tuple[str, str, str | None], episodes: list[PlannedEpisode]) -> GroupScores:
        done = [one for one in (self.standings[episode.folder] for episode in episodes) if one.state == "done"]
        results = [one.result for one in done if one.result is not None]
        scored = [result for result in results if result.value is not None]
        return GroupScores(
            task=key[0], agent=key[1], model=key[2], planned=len(episodes), done=len(done),
            scores=tuple(result.value for result in scored if result.value is not None),
            maximize=not scored or scored[0].maximize, baseline=scored[0].baseline if scored else None,
        )  # fmt: skip

    def record(self) -> dict[str, Any]:
        """What --json prints."""
        return {
            "results": str(self.plan.results),
            "counts": {state: self.counts[state] for state in ("done", "running", "queued", "waiting", "failed")},
            "cost_usd": self.cost,
            "episodes": [self._episode_record(episode) for episode in self.plan.episodes],
        }

    def _episode_record(self, episode: PlannedEpisode) -> dict[str, Any]:
        standing = self.standings[episode.folder]
        result = standing.result
        return {
            "task": episode.task,
            "agent": episode.agent,
            "model": episode.model,
            "seed": episode.seed,
            "state": standing.state,
            "tries": standing.tries,
            "score": result.value if result else None,
            "ending": result.reason if result else None,
            "why": standing.why,
            "run_directory": str(run_directory(self.plan.results / episode.folder, standing)) if standing.tries else None,
        }


def overview_of(plan: Plan, *, at_work: bool | None = None) -> Overview:
    """Read every episode's folder; `at_work` says whether somebody runs the bench (None: look)."""
    running = is_at_work(plan) if at_work is None else at_work
    standings = standings_of(plan, is_running=running)
    if at_work is None and not running:
        standings = with_jobs(plan, standings)
    return Overview(plan=plan, standings=standings)


def with_jobs(plan: Plan, standings: Mapping[str, Standing]) -> dict[str, Standing]:
    """The standings with what Slurm says of episodes that have no result and were submitted as jobs."""
    told = dict(standings)
    without_result = [folder for folder, standing in standings.items() if standing.state in ("waiting", "failed")]
    for folder, state in job_states(plan, without_result).items():
        standing = told[folder]
        if state == "RUNNING":
            told[folder] = replace(standing, state="running")
        elif state in ALIVE:
            told[folder] = replace(standing, state="queued")
        elif state != "COMPLETED" and standing.result is None:
            why = why_without_result(plan, folder, state)
            told[folder] = replace(standing, state="waiting" if can_pass(state) else "failed", why=why)
    return told


def is_at_work(plan: Plan) -> bool:
    """Whether `mlgym-lite bench` runs these results on this machine now."""
    try:
        descriptor = os.open(plan.results / ".bench.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
