"""Runs a task of several steps: an episode for each, which begins with what the one before it left.

Each step has a run directory of its own below one folder, and is an episode like any other: its own instruction, agent, limits,
grading and record. `series.json` tells how the whole went. Processes do not outlive a step; files, installed packages, the
working directory and exported variables do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from mlgym_lite.agents.protocol import Agent
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.series_file import Series, SeriesStep
from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.engine import Episode
from mlgym_lite.episode.outcome import Outcome, Snapshot
from mlgym_lite.episode.recorder import new_run_path
from mlgym_lite.episode.runner import Listeners, run_episode
from mlgym_lite.errors import OutputError
from mlgym_lite.services.protocol import Service

RECORD = "series.json"


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
    folder = settings.output or new_run_path(Path("runs"), series.name, settings.variant)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}; expected a path that does not exist yet") from error
    run = _Run(series, folder)
    for step in series.steps:
        own = replace(settings, output=folder / step.task.step)
        told = _with_end(listeners or Listeners(), run.end_of(step))
        run_episode(step.task, make_agent(step.task), own, cache=cache, listeners=told, services=services, start=run.left)
        if not run.goes_on:
            break
    return run.outcome


class _Run:
    """A series on its way."""

    def __init__(self, series: Series, folder: Path) -> None:
        self._series = series
        self.outcome = SeriesOutcome(reward=None, outcomes={}, folder=folder)
        self.left: Snapshot | None = None
        """What the next step begins with."""
        self.goes_on = True

    def end_of(self, step: SeriesStep) -> Callable[[Episode], None]:
        """What is done when a step's episode has ended: it is recorded, and what it left is kept where another one follows."""

        def end(episode: Episode) -> None:
            assert episode.outcome is not None
            outcomes = {**self.outcome.outcomes, step.task.step: episode.outcome}
            self.outcome = replace(self.outcome, reward=_reward(self._series, outcomes), outcomes=outcomes)
            _record(self._series, self.outcome)
            self.goes_on = reached(step, episode.outcome) and step is not self._series.steps[-1]
            if self.goes_on:
                self.left = replace(episode.snapshot(), step=0, validations_used=0, last_step=None)

        return end


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


def _record(series: Series, made: SeriesOutcome) -> None:
    steps: list[dict[str, Any]] = [
        {
            "name": name,
            "score": outcome.result["score"],
            "reason": outcome.ending.reason,
            "reached": reached(step, outcome),
            "unmet": unmet(step, outcome),
        }
        for step, (name, outcome) in zip(series.steps, made.outcomes.items(), strict=False)
    ]
    content = {
        "schema_version": 1,
        "task": series.name,
        "multi_step_reward_strategy": series.strategy,
        "reward": made.reward,
        "steps": steps,
        "not_begun": [step.task.step for step in series.steps[len(steps) :]],
    }
    aside = made.folder / f"{RECORD}.new"
    aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    aside.replace(made.folder / RECORD)


def _with_end(listeners: Listeners, on_end: Callable[[Episode], object]) -> Listeners:
    """The same listeners, and one more for the end."""

    def both(episode: Episode) -> None:
        on_end(episode)
        if listeners.on_end:
            listeners.on_end(episode)

    return replace(listeners, on_end=both)
