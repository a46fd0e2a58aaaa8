"""Runs a task of several steps: an episode for each, which begins with what the one before it left.

Each step has a run directory of its own below one folder, and is an episode like any other: its own instruction, agent, limits,
grading and record. `series.json` tells how the whole went. Processes do not outlive a step; files, installed packages, the
working directory and exported variables do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from mlgym_lite.agents.protocol import Agent
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.series_file import Series, SeriesStep
from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.engine import Episode
from mlgym_lite.episode.outcome import Outcome, Snapshot, recorded_outcome
from mlgym_lite.episode.recorder import STEPS_RECORD, already_there, new_run_path
from mlgym_lite.episode.resumption import Resumption, check_unchanged, read_resumption
from mlgym_lite.episode.run_reader import recorded_json
from mlgym_lite.episode.runner import Listeners, run_episode
from mlgym_lite.errors import EpisodeStateError, OutputError
from mlgym_lite.services.protocol import Service
from mlgym_lite.whole_files import write_whole


@dataclass(frozen=True, kw_only=True)
class SeriesOutcome:
    """How a series ended."""

    reward: float | None
    """By the task's strategy; None where it is the last step's score, and that has none."""
    outcomes: Mapping[str, Outcome]
    """Of the steps that were begun, by name and in order; a step that is not here was not reached."""
    folder: Path


def run_series(
    series: Series,
    make_agent: Callable[[Task], Agent],
    settings: RunSettings,
    *,
    cache: Path,
    listeners: Listeners | None = None,
    services: Sequence[Service] = (),
) -> SeriesOutcome:
    """Run the steps until one does not reach what the next one needs; each has an agent that `make_agent` makes.

    `settings.output` is the folder of the whole, which must not exist. Limits of steps and time hold for each step.

    Raises:
        MLGymLiteError: What ended a step that is not its agent's doing; series.json tells of the steps before it.
        OutputError: The folder is there already, or cannot be made.
    """
    run = SeriesRun(series, settings)
    for step in run.steps():
        run.play(step, make_agent(step.task), cache=cache, listeners=listeners, services=services)
    return run.outcome


class SeriesRun:
    """A series on its way: who takes its steps one by one plays each of them before asking for the next."""

    def __init__(
        self,
        series: Series,
        settings: RunSettings,
        *,
        invocation: Mapping[str, Any] | None = None,
        resumed: Path | None = None,
    ) -> None:
        """Nothing is made before the first step begins.

        `invocation` (JSON) is kept in each step's run.json; `resumed` is the folder of a series whose engine was killed within a
        step, to go on with.

        Raises:
            OutputError: The folder of the whole is there already.
            ActionsError: The record of what is to be gone on with cannot be read.
            EpisodeStateError: It has ended, still goes on, was killed between two steps, or the task has changed since.
        """
        folder = (resumed or settings.output or new_run_path(Path.cwd() / "runs", series.name, settings.variant)).absolute()
        if resumed is None and os.path.lexists(folder):
            raise already_there(folder)
        self._series = series
        self._settings = settings
        self._invocation = invocation
        self._left: Snapshot | None = None
        self._goes_on = True
        self.outcome = SeriesOutcome(reward=_reward(series, {}), outcomes={}, folder=folder)
        """As far as it has come."""
        self._resumption = None if resumed is None else self._read_killed()

    def _read_killed(self) -> Resumption:
        """Take on what has ended, and find the step that has not."""
        folder = self.outcome.folder
        for step in self._series.steps:
            path = folder / step.task.step
            if not (path / "run.json").is_file():
                raise EpisodeStateError(
                    f"{folder}: its step {step.task.step} has not begun: it is still being prepared, or the run was killed "
                    "before it. Then run the task anew"
                )
            check_unchanged(folder, recorded_json(path / "run.json"), step.task)
            if not (path / "result.json").is_file():
                return read_resumption(path)
            self._take(step, recorded_outcome(recorded_json(path / "result.json"), path))
            if not self._goes_on:
                break
        self._record(begun=step)
        raise EpisodeStateError(f"{folder}: has ended; there is nothing to go on with")

    def _take(self, step: SeriesStep, outcome: Outcome) -> None:
        """Count how a step ended."""
        outcomes = {**self.outcome.outcomes, step.task.step: outcome}
        self.outcome = replace(self.outcome, reward=_reward(self._series, outcomes), outcomes=outcomes)
        self._goes_on = reached(step, outcome)

    def steps(self) -> Iterator[SeriesStep]:
        """The steps that have no outcome yet, until one does not reach what the next one needs."""
        for step in self._series.steps:
            if step.task.step in self.outcome.outcomes:
                continue
            yield step
            if not self._goes_on:
                break

    def play(
        self,
        step: SeriesStep,
        agent: Agent,
        *,
        cache: Path,
        listeners: Listeners | None = None,
        services: Sequence[Service] = (),
    ) -> Outcome:
        """One step's episode, which begins with what the one before it left."""
        settings = replace(self._settings, output=self.outcome.folder / step.task.step)
        told = listeners or Listeners()
        told = replace(
            told,
            on_start=_both(lambda _: self._record(begun=step), told.on_start),
            on_end=_both(lambda episode: self._end_of(step, episode), told.on_end),
        )
        resumption, self._resumption = self._resumption, None
        return run_episode(
            step.task, agent, settings, cache=cache, listeners=told, services=services, start=self._left, resumption=resumption,
            invocation=self._invocation,
        )  # fmt: skip

    def _end_of(self, step: SeriesStep, episode: Episode) -> None:
        """Record how a step ended, and keep what it left where another one follows."""
        assert episode.outcome is not None
        self._take(step, episode.outcome)
        self._record(begun=step)
        if self._goes_on and step is not self._series.steps[-1]:
            self._left = left_by(episode)

    @property
    def is_begun(self) -> bool:
        """Whether there is a record."""
        return (self.outcome.folder / STEPS_RECORD).is_file()

    def record(self) -> dict[str, Any]:
        """What series.json holds."""
        content: dict[str, Any] = json.loads((self.outcome.folder / STEPS_RECORD).read_text(encoding="utf-8"))
        return content

    def _record(self, begun: SeriesStep) -> None:
        steps = self._series.steps[: self._series.steps.index(begun) + 1]
        content = {
            "schema_version": 1,
            "task": self._series.name,
            "multi_step_reward_strategy": self._series.strategy,
            "reward": self.outcome.reward,
            "steps": [_step_record(step, self.outcome.outcomes.get(step.task.step)) for step in steps],
            "not_begun": [step.task.step for step in self._series.steps[len(steps) :]],
        }
        try:
            write_whole(self.outcome.folder / STEPS_RECORD, json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise OutputError(f"{self.outcome.folder / STEPS_RECORD}: cannot be written: {error.strerror or error}") from error


def left_by(episode: Episode) -> Snapshot:
    """What an episode left, as a beginning with budgets of its own."""
    return replace(episode.snapshot(), step=0, validations_used=0, last_step=None)


def reached(step: SeriesStep, outcome: Outcome) -> bool:
    """Whether a step has a score, and reaches what the next one needs."""
    return outcome.result["score"] is not None and not unmet(step, outcome)


def unmet(step: SeriesStep, outcome: Outcome) -> dict[str, dict[str, float | None]]:
    """What the next step needs and this one does not reach, by metric; a value is None where the grading has no such metric."""
    metrics = (outcome.result["score"] or {}).get("metrics", {})
    values = {name: (least, metrics.get(name)) for name, least in step.least.items()}
    return {name: {"least": least, "value": got} for name, (least, got) in values.items() if got is None or got < least}


def _reward(series: Series, outcomes: Mapping[str, Outcome]) -> float | None:
    scores = [outcomes[step.task.step].score if step.task.step in outcomes else None for step in series.steps]
    return scores[-1] if series.strategy == "final" else fmean(score or 0.0 for score in scores)


def _step_record(step: SeriesStep, outcome: Outcome | None) -> dict[str, Any]:
    """One step in series.json; without an outcome it goes on, or has failed, of which its result.json tells."""
    return {
        "name": step.task.step,
        "score": outcome.result["score"] if outcome else None,
        "reason": outcome.ending.reason if outcome else None,
        "reached": outcome is not None and reached(step, outcome),
        "unmet": unmet(step, outcome) if outcome else {},
    }


def _both(first: Callable[[Episode], None], second: Callable[[Episode], None] | None) -> Callable[[Episode], None]:
    """One listener that calls two."""

    def call(episode: Episode) -> None:
        first(episode)
        if second:
            second(episode)

    return call
