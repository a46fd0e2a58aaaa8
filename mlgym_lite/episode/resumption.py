"""Going on with an episode whose engine was killed: everything that is needed lies in its run directory.

    trajectory.jsonl       the steps that are finished; a line that was being written is taken away
    grading/               every grading that was begun counts against the budget
    workspace/, .state/    the agent's files and virtual environment, as they lie
    .state/shell.json      the working directory and exported variables after the last finished step

Processes, background jobs and /tmp are gone. A step that was on its way may have changed files; it is not repeated by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlgym_lite.agents.protocol import Observation, ShownPicture
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.task_file import WORKSPACE, Task
from mlgym_lite.episode.observation import with_notes
from mlgym_lite.episode.outcome import Attempt, Snapshot, Step
from mlgym_lite.episode.recorder import MARK, still_goes_on
from mlgym_lite.episode.run_reader import Run, read_run, recorded_json
from mlgym_lite.errors import ActionsError, EpisodeStateError
from mlgym_lite.isolation.marked_folders import mark_taken
from mlgym_lite.models.protocol import ModelUsage
from mlgym_lite.whole_files import write_whole

SHELL = ".state/shell.json"
NOTE = (
    "[The episode was interrupted here and now goes on. Files are as they were, background jobs and /tmp are gone; an action "
    "that was on its way was cut short and may have changed files.]\n"
)
"""What the agent is told behind the last observation."""


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """What a run directory tells of an episode that has not ended."""

    path: Path
    run: Mapping[str, Any]
    """run.json."""
    steps: tuple[Mapping[str, Any], ...]
    """The lines of trajectory.jsonl."""
    attempts: tuple[Attempt, ...]
    gradings: int
    """How many gradings were begun."""
    validations_used: int
    seconds: float
    """From the first reset to the last finished step."""
    working_directory: str
    variables: str
    root: str

    @property
    def usage(self) -> ModelUsage:
        """What the steps took of a language model."""
        return sum(map(ModelUsage.of_step, self.steps), ModelUsage())

    @property
    def last_step(self) -> Step | None:
        """The last finished step, with a note on what happened since."""
        if not self.steps:
            return None
        step = self.steps[-1]
        return Step(
            number=int(step["step"]), action=step["action"], observation=with_notes(step.get("observation") or "", NOTE),
            exit_status=step.get("exit_status"), working_directory=self.working_directory,
            seconds=float(step.get("seconds") or 0.0),
        )  # fmt: skip

    @property
    def observations(self) -> list[Observation]:
        """What the agent was shown after each step, but for the notes of its own prompts."""
        limits, used, best = self.run["limits"], 0, None
        shown = []
        for number, step in enumerate(self.steps, start=1):
            scored = [one for one in self.attempts if one.step == step["step"] and one.kind == "validate"]
            used += len(scored)
            best = self._best([best, *(one.metrics.get(self._metric) for one in scored if one.metrics)])
            left = limits.get("time_limit_seconds")
            pictures = [self.path / name for name in step.get("pictures") or []]
            shown.append(
                Observation(
                    text=step.get("observation") or "", working_directory=step.get("cwd") or WORKSPACE, steps=number,
                    steps_left=limits["max_steps"] - number, validations_left=limits["validations"] - used, best=best,
                    seconds_left=None if left is None else left - float(step.get("elapsed") or 0.0),
                    exit_status=step.get("exit_status"),
                    pictures=tuple(
                        ShownPicture(path=str(path), media_type=f"image/{path.suffix.removeprefix('.')}") for path in pictures
                    ),
                )
            )  # fmt: skip
        return shown

    @property
    def _metric(self) -> str:
        return str((self.run.get("metric") or {}).get("name"))

    def _best(self, values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        maximize = (self.run.get("metric") or {}).get("direction") != "minimize"
        return None if not known else (max(known) if maximize else min(known))

    def start(self, task: Task, settings: RunSettings) -> Snapshot:
        """Where the shell goes on."""
        return Snapshot(
            task=task, settings=settings, trees={}, working_directory=self.working_directory, variables=self.variables,
            root=self.root, step=len(self.steps), validations_used=self.validations_used, run_directory=self.path,
        )  # fmt: skip


def read_resumption(path: Path) -> Resumption:
    """Read the run directory of an episode that did not end.

    Raises:
        ActionsError: It is no run directory, or a file in it cannot be read.
        EpisodeStateError: The episode has ended, still goes on, or its state was cleaned up.
    """
    run = read_run(path)
    if run.result is not None:
        raise EpisodeStateError(
            f"{path}: this episode has ended ({run.result['ending']['reason']}); there is nothing to go on with"
        )
    with mark_taken(path / MARK) as mark:
        if mark == "held":
            raise still_goes_on(path)
    if not (path / ".state" / "venv").is_dir() or not (path / "workspace").is_dir():
        raise EpisodeStateError(f"{path}: its workspace or virtual environment is gone (`mlgym-lite gc` removes the latter)")
    if not (path / SHELL).is_file():
        raise EpisodeStateError(f"{path}: was killed before its first action could begin. Run it anew")
    try:
        return _read(path, run)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ActionsError(f"{path}: its record cannot be read: {type(error).__name__}: {error}") from error


def _read(path: Path, run: Run) -> Resumption:
    shell = recorded_json(path / SHELL)
    graded = sorted(folder.name for folder in (path / "grading").iterdir())
    attempts = tuple(_attempt(attempt) for step in run.steps for attempt in step.get("scores") or [])
    return Resumption(
        path=path.absolute(), run=run.run, steps=run.steps, attempts=attempts, gradings=len(graded),
        validations_used=max(sum(name.endswith("-validate") for name in graded), sum(one.kind == "validate" for one in attempts)),
        seconds=float(run.steps[-1].get("elapsed") or 0.0) if run.steps else 0.0,
        working_directory=str((run.steps[-1].get("cwd") if run.steps else shell.get("working_directory")) or WORKSPACE),
        variables=str(shell.get("variables") or ""), root=str(shell.get("root") or ""),
    )  # fmt: skip


def check_unchanged(path: Path, run: Mapping[str, Any], task: Task) -> None:
    """Compare a task with the one that a run.json is of; raises EpisodeStateError, which names `path`, where it is another."""
    recorded = run.get("task")
    if not isinstance(recorded, Mapping) or recorded.get("digest") != task.digest:
        raise EpisodeStateError(f"{path}: the task has changed since; a score would be of neither. Run it anew")


def can_go_on(path: Path) -> bool:
    """Whether `read_resumption` reads this run directory."""
    try:
        read_resumption(path)
    except (ActionsError, EpisodeStateError, OSError):
        return False
    return True


_CHANGING = re.compile(
    r"=|\b(?:export|declare|typeset|readonly|unset|read|mapfile|readarray|printf|getopts|eval|source|let|for|select|set)\b"
    r"|\(\(|(?:^|[;&|({])\s*\.\s",
    re.MULTILINE,
)
_LASTING = re.compile(r"\(\s*\)|\b(?:function|alias|trap|source|eval)\b|(?:^|[;&|({])\s*\.\s", re.MULTILINE)


def may_change_variables(action: str) -> bool:
    """Whether an action can have changed what its shell exports, by what is written in it."""
    return _CHANGING.search(action) is not None


def hides_changes(action: str) -> bool:
    """Whether later actions can change what the shell exports without its being written in them: by functions, aliases, traps."""
    return _LASTING.search(action) is not None


def keep_shell(run_directory: Path, variables: str, root: str, working_directory: str) -> None:
    """Keep what a shell exports, for going on; where it is counts until a first step tells it."""
    content = {"variables": variables, "root": root, "working_directory": working_directory}
    write_whole(run_directory / SHELL, json.dumps(content), errors="surrogateescape")


def _attempt(recorded: Mapping[str, Any]) -> Attempt:
    rejected = recorded.get("rejected")
    return Attempt(
        step=recorded["step"],
        kind=recorded["kind"],
        metrics=None if rejected is not None else recorded["metrics"],
        message=rejected or "",
    )
