"""What people see: progress on stderr, results at the end, and text of the agent's made harmless for a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from mlgym_lite.analysis.shown_text import harmless as harmless  # commands take it from here

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import Progress as Status

    from mlgym_lite.episode.engine import Episode
    from mlgym_lite.episode.outcome import Outcome, Step
    from mlgym_lite.episode.runner import Listeners
    from mlgym_lite.episode.series import SeriesRun

_SHOWN_COMMAND = 60


def one_line(text: str, length: int = _SHOWN_COMMAND) -> str:
    """The beginning of a text on one line."""
    line = harmless(" ".join(text.split()))
    return line if len(line) <= length else line[: length - 1] + "…"


def print_json(value: Mapping[str, Any] | list[Any]) -> None:
    """The one thing on stdout with --json."""
    click.echo(json.dumps(value))


def number(value: float | None) -> str:
    """A score for people."""
    return "—" if value is None else f"{value:.6g}"


class Progress:
    """Tells a person how an episode goes: a line for each step, and on a terminal a live line for the running command."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._status: Status | None = None
        self._run_directory: Path | None = None
        if not quiet and sys.stderr.isatty():
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False, markup=False)
            self._live = True
        else:
            self._live = False

    def listeners(self) -> Listeners:
        """What the engine tells it."""
        from mlgym_lite.episode.runner import Listeners

        return Listeners(on_progress=self.line, on_start=self._start, on_action=self._action, on_step=self._step)

    def line(self, text: str) -> None:
        """A line of its own."""
        self.stop()
        if not self._quiet:
            click.echo(harmless(text), err=True)

    def tell_record(self) -> None:
        """Where the record of an episode lies that ended with an error."""
        if self._run_directory is not None:
            self.line(f"record: {self._run_directory}")

    def stop(self) -> None:
        """Take the live line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _start(self, episode: Episode) -> None:
        self._run_directory = episode.run_directory
        self.line(f"{episode.task.name}: run directory {episode.run_directory}")

    def _action(self, episode: Episode, action: str) -> None:
        if not self._live:
            return
        from rich.progress import Progress as LiveLine
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        text = (
            f"step {episode.budget.steps_used + 1}/{episode.budget.max_steps}  best {number(episode.best)}  $ {one_line(action)}"
        )
        columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
        self._status = LiveLine(*columns, console=self._console, transient=True)
        self._status.add_task(text, total=None)
        self._status.start()

    def _step(self, episode: Episode, step: Step) -> None:
        status = "—" if step.exit_status is None else str(step.exit_status)
        self.line(
            f"step {step.number}/{episode.budget.max_steps}  {step.seconds:.2f} s  exit {status}  "
            f"best {number(episode.best)}  $ {one_line(step.action)}"
        )


def _compared(value: float, baseline: float, improvement: float) -> str:
    from mlgym_lite.config.task_file import same_score

    if same_score(value, baseline):
        return "equal to it"
    return f"{'better' if improvement > 0 else 'worse'} by {abs(improvement):.6g}"


def counted(count: int, thing: str) -> str:
    """The number with its noun."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _weaker(weakened: list[str]) -> str:
    if len(weakened) <= 1:
        return "".join(f"; weaker: {text}" for text in weakened)
    return f"; weaker in {len(weakened)} points, which `mlgym-lite doctor` and isolation.weakened in result.json list"


def print_outcome(outcome: Outcome) -> None:
    """The end of an episode, for a person."""
    result = outcome.result
    ending, score = result["ending"], result["score"]
    lines = []
    if score is None:
        lines.append(f"not scored: {ending['reason']}" + (f" ({ending['detail']})" if ending["detail"] else ""))
    else:
        baseline = result["baseline"]["metrics"].get(score["metric"])
        better = result["improvement"]
        change = "" if better is None else f", {_compared(score['value'], baseline, better)}"
        lines.append(f"{score['metric']} = {number(score['value'])} ({score['direction']}; baseline {number(baseline)}{change})")
        others = {name: value for name, value in score["metrics"].items() if name != score["metric"]}
        if others:
            lines.append("also: " + ", ".join(f"{name} = {number(value)}" for name, value in others.items()))
        how = "autosubmitted" if ending["autosubmitted"] else ending["reason"]
        if ending["autosubmitted"]:
            how += f" ({ending['reason'].replace('_', ' ')})"
        lines.append(f"{how} after {counted(result['steps'], 'step')}, {counted(result['validations_used'], 'validation')}")
    labels = [result["variant"]]
    labels += ["scored as in MLGym's paper"] if result["scoring"] == "parity" else []
    labels += ["test feedback"] if result["feedback"] == "test" else []
    isolation = result["isolation"]
    lines.append(
        f"{result['task']} [{', '.join(labels)}]  {result['seconds']['total']:.1f} s  "
        f"{isolation['mechanism']}, limits by {isolation['limits']}" + _weaker(isolation["weakened"])
    )
    lines.append(f"record: {result['run_directory']}")
    click.echo(harmless("\n".join(lines)), err=True)


def print_series(run: SeriesRun) -> None:
    """The end of a task of several steps, for a person."""
    record = run.record()
    lines = [
        f"{step['name']}: {metric} = {number(unmet['value'])}, and min_reward asks for {number(unmet['least'])}"
        for step in record["steps"]
        for metric, unmet in step["unmet"].items()
        if step["score"] is not None
    ]
    if record["not_begun"]:
        lines.append(f"not begun: {', '.join(record['not_begun'])}")
    how = "the last step's score" if record["multi_step_reward_strategy"] == "final" else "the mean of the steps' scores"
    lines.append(f"{record['task']}: reward {number(record['reward'])}, {how}")
    lines.append(f"record: {run.outcome.folder / 'series.json'}")
    click.echo(harmless("\n".join(lines)), err=True)
