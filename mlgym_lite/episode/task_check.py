"""Checking a task: its baseline must be scored, an empty submission must not be, and no cheat may gain anything.

Each check is an episode of its own. A cheat is a script in the task's cheats/ folder; it runs in the agent's sandbox and then
submits. It has gained when it is scored better than the baseline by more than the task's `score_noise`: than the score task.toml
states, which has no noise of its own, or where it states none than the one just measured. On request the better method is checked
too: solution/better.sh must gain, or the task cannot tell methods apart.

Of a task of several steps each is checked as a task of its own, from what the baseline of the step before left.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from mlgym_lite.agents.baseline import BaselineAgent
from mlgym_lite.agents.protocol import Agent
from mlgym_lite.agents.scripted import ScriptedAgent
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.series_file import Series, SeriesStep
from mlgym_lite.config.task_file import Task, same_score
from mlgym_lite.episode.engine import Episode
from mlgym_lite.episode.outcome import Outcome, Snapshot, Step
from mlgym_lite.episode.runner import Listeners, run_episode
from mlgym_lite.episode.series import left_by, unmet
from mlgym_lite.errors import GraderError, IsolationError, MLGymLiteError
from mlgym_lite.isolation.limits import cpu_count
from mlgym_lite.isolation.marked_folders import LOCK_NAME, TEMPORARY_PREFIX, marked

_SHOWN_LINES = 15
_EMPTY = 'find "$MLGYM_LITE_ROOT/workspace/" -mindepth 1 -delete'


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One thing that was checked."""

    task: str
    name: str
    """`baseline`, `empty submission`, `better method`, a cheat's file name, or `cheats` where none was run."""
    passed: bool
    score: float | None
    detail: str
    seconds: float
    """Wall time of the episode."""
    record: str | None = None
    """The run directory of what failed, which is kept."""


def check_task(
    task: Task | Series,
    settings: RunSettings,
    cache: Path,
    on_result: Callable[[CheckResult], None],
    *,
    better: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> list[CheckResult]:
    """Check one task, telling each result as it comes; with `better`, also that solution/better.sh beats the baseline.

    `on_progress` gets a line for what is made before the first check, such as environments and mini data.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}check-"))
    results: list[CheckResult] = []
    try:
        with marked(folder / LOCK_NAME):
            context = _Context(settings, cache, on_progress)
            for result in _results(task, context, folder, better):
                on_result(result)
                results.append(result)
    finally:
        if all(result.passed or result.record is None for result in results):  # what failed can be looked into
            shutil.rmtree(folder, ignore_errors=True)
    return results


class _Context(NamedTuple):
    """What all checks of a task share."""

    settings: RunSettings
    cache: Path
    on_progress: Callable[[str], None] | None


def _results(task: Task | Series, context: _Context, folder: Path, better: bool) -> Iterator[CheckResult]:
    """The checks of a task, or of one step after the other; what follows a baseline that was not scored cannot be checked."""
    if isinstance(task, Task):
        yield from _Checker(task, context, folder).results(better)
        return
    left: Snapshot | None = None
    for number, step in enumerate(task.steps):
        before = task.steps[number - 1].task.step if number else ""
        if number and left is None:
            detail = f"was not checked: the baseline of the step {before} left nothing to begin with"
            yield CheckResult(task=step.task.name, name="baseline", passed=False, score=None, detail=detail, seconds=0.0)
            continue
        checker = _StepChecker(step, context, folder / "steps" / step.task.step, left, keeps=step is not task.steps[-1])
        yield from checker.results(better)
        left = checker.left


class _Verdict(NamedTuple):
    """What a check found."""

    passed: bool
    score: float | None
    detail: str


class _Checker:
    """The checks of one task; lives for one call."""

    def __init__(self, task: Task, context: _Context, folder: Path, start: Snapshot | None = None) -> None:
        self._task = task
        self._settings = context.settings
        self._context = context
        self._folder = folder
        self._start = start

    def results(self, better: bool) -> Iterator[CheckResult]:
        """Check one thing after the other; cheats run side by side."""
        baseline = self._result("baseline", self._baseline)
        yield baseline
        yield self._result("empty submission", self._empty)
        score = None if baseline.score is None else self._reference(baseline.score)
        if better:
            yield self._result("better method", lambda: self._better(score))
        scripts = sorted((self._task.own_folder / "cheats").glob("*.sh"))
        if not scripts:
            return
        if score is None:
            detail = f"{len(scripts)} scripts were not run: the baseline has no score to compare theirs with"
            yield self._result("cheats", lambda: _Verdict(passed=False, score=None, detail=detail))
            return
        with ThreadPoolExecutor(max_workers=max(1, cpu_count())) as pool:
            yield from pool.map(lambda script: self._result(script.name, lambda: self._cheat(script, score)), scripts)

    def _result(self, name: str, check: Callable[[], _Verdict]) -> CheckResult:
        """Run one check."""
        started = time.monotonic()
        verdict = check()
        seconds = time.monotonic() - started
        record = self._record(name)
        kept = None if verdict.passed or not record.exists() else str(record)
        return CheckResult(task=self._task.name, name=name, seconds=seconds, record=kept, **verdict._asdict())

    def _run(self, agent: Agent, name: str, listeners: Listeners | None = None) -> Outcome:
        settings = replace(self._settings, output=self._record(name))
        return run_episode(self._task, agent, settings, cache=self._context.cache, listeners=listeners, start=self._start)

    def _record(self, name: str) -> Path:
        """The run directory of a check."""
        return self._folder / (f"cheat-{name[:-3]}" if name.endswith(".sh") else name.replace(" ", "-"))

    def _baseline(self) -> _Verdict:
        purpose = "a task runs without it, but a check compares cheats with what it scores"
        verdict = self._solution("solve.sh", "baseline", purpose, self._baseline_ended)
        return verdict if verdict.score is None or not verdict.passed else self._compared(verdict.score)

    def _baseline_ended(self, episode: Episode) -> None:
        """For what is to be known or kept of it."""

    def _better(self, baseline: float | None) -> _Verdict:
        verdict = self._solution("better.sh", "better method", "it shows that the task can tell methods apart")
        if verdict.score is None or not verdict.passed:
            return verdict._replace(passed=False)
        if baseline is None:
            return verdict._replace(passed=False, detail="was scored, and there is no baseline to compare it with")
        gained = self._gains(verdict.score, baseline)
        detail = f"{'gained' if gained else 'gained nothing'} over the baseline's {baseline:.6g}"
        return _Verdict(passed=gained, score=verdict.score, detail=detail)

    def _solution(self, script: str, name: str, purpose: str, on_end: Callable[[Episode], None] | None = None) -> _Verdict:
        """Run a script of solution/, which must succeed and be scored."""
        if not (self._task.own_folder / "solution" / script).is_file():
            return _Verdict(passed=False, score=None, detail=f"solution/{script} is missing; {purpose}")
        steps: list[Step] = []
        listeners = Listeners(on_progress=self._context.on_progress, on_step=lambda _, step: steps.append(step), on_end=on_end)
        try:
            outcome = self._run(BaselineAgent(self._task, os.environ, script), name, listeners)
        except IsolationError:
            raise
        except MLGymLiteError as error:
            return _Verdict(passed=False, score=None, detail=f"{error}{_failure_of(script, steps)}")
        score, failure = outcome.score, _failure_of(script, steps)
        if score is None:
            return _Verdict(passed=False, score=None, detail=f"was not scored: {outcome.ending.detail}{failure}")
        if failure:
            return _Verdict(passed=False, score=None, detail=f"was scored all the same{failure}")
        return _Verdict(passed=True, score=score, detail="scored")

    def _compared(self, score: float) -> _Verdict:
        """Compare the baseline's score with the one task.toml states."""
        variant = self._settings.variant
        stated = self._task.stated_baseline(variant)
        if stated is None:
            return _Verdict(passed=True, score=score, detail=f"scored; task.toml states no baseline for the {variant} variant")
        expected, noise = stated[self._task.metric], self._task.score_noise(variant)
        close = same_score(score, expected, noise)
        return _Verdict(passed=close, score=score, detail=f"stated as {expected:.6g}, may differ by {noise:g}")

    def _reference(self, measured: float) -> float:
        """Return the score to gain over."""
        stated = self._task.stated_baseline(self._settings.variant)
        return measured if stated is None else stated[self._task.metric]

    def _empty(self) -> _Verdict:
        try:
            outcome = self._run(ScriptedAgent([_EMPTY, "submit"]), "empty submission")
        except MLGymLiteError as error:
            return _Verdict(passed=False, score=None, detail=str(error))
        detail = outcome.ending.detail if outcome.score is None else "an empty submission was scored"
        return _Verdict(passed=outcome.score is None, score=outcome.score, detail=detail)

    def _cheat(self, script: Path, baseline: float) -> _Verdict:
        agent = ScriptedAgent([f'bash "$MLGYM_LITE_ROOT"/cheats/{shlex.quote(script.name)}', "submit"], ("cheats",))
        try:
            outcome = self._run(agent, script.name)
        except GraderError as error:
            return _Verdict(passed=False, score=None, detail=f"broke the grader: {error}")
        except MLGymLiteError as error:
            return _Verdict(passed=False, score=None, detail=str(error))
        score = outcome.score
        if score is None:
            return _Verdict(passed=True, score=None, detail=outcome.ending.detail)
        gained = self._gains(score, baseline)
        detail = "gained over the baseline" if gained else "scored, but gained nothing"
        return _Verdict(passed=not gained, score=score, detail=detail)

    def _gains(self, score: float, baseline: float) -> bool:
        """Whether a score is better than the baseline's by more than noise."""
        noise = self._task.score_noise(self._settings.variant)
        return self._task.is_better(score, baseline) and not same_score(score, baseline, noise)


class _StepChecker(_Checker):
    """The checks of one step of several."""

    def __init__(self, step: SeriesStep, context: _Context, folder: Path, start: Snapshot | None, *, keeps: bool) -> None:
        super().__init__(step.task, context, folder, start)
        self._keeps = keeps
        self._step = step
        self._unmet: Mapping[str, Mapping[str, float | None]] = {}
        self.left: Snapshot | None = None
        """What the baseline left, where it was scored."""

    def _baseline_ended(self, episode: Episode) -> None:
        if episode.outcome is not None and episode.outcome.score is not None:
            self._unmet = unmet(self._step, episode.outcome)
            self.left = left_by(episode) if self._keeps else None

    def _baseline(self) -> _Verdict:
        """Of what the next step asks for, too: a metric that there is not can never be reached, by nobody."""
        verdict = super()._baseline()
        missing = ", ".join(repr(metric) for metric, found in self._unmet.items() if found["value"] is None)
        if missing:
            return verdict._replace(passed=False, detail=f"min_reward asks for {missing}, which the grading does not give")
        below = "; below its min_reward" if self._unmet else ""
        return verdict._replace(detail=verdict.detail + below)


def _failure_of(script: str, steps: list[Step]) -> str:
    """How the solution ended, with the last it said; empty where it went well or never ran."""
    if not steps or steps[0].exit_status == 0:
        return ""
    how = "ended the shell" if steps[0].exit_status is None else f"ended with exit status {steps[0].exit_status}"
    lines = steps[0].observation.strip().splitlines()[-_SHOWN_LINES:]
    said = "; its last output:\n" + "\n".join(f"    {line}" for line in lines) if lines else ", and printed nothing"
    return f"\nsolution/{script} {how}{said}"
