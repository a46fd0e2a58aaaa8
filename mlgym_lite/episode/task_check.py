"""Checking a task: its baseline must be scored, an empty submission must not be, and no cheat may gain anything.

Each check is an episode of its own. A cheat is a script in the task's cheats/ folder; it runs in the agent's sandbox and then
submits. It has gained when it is scored better than the baseline by more than the task's `score_noise`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from mlgym_lite.agents.baseline import BaselineAgent
from mlgym_lite.agents.protocol import Agent
from mlgym_lite.agents.scripted import ScriptedAgent
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.outcome import Outcome
from mlgym_lite.episode.runner import run_episode
from mlgym_lite.errors import GraderError, IsolationError, MLGymLiteError
from mlgym_lite.isolation.limits import cpu_count
from mlgym_lite.isolation.marked_folders import LOCK_NAME, TEMPORARY_PREFIX, marked

_EMPTY = 'find "$MLGYM_LITE_ROOT/workspace/" -mindepth 1 -delete'


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One thing that was checked."""

    task: str
    name: str
    """`baseline`, `empty submission`, or a cheat's file name."""
    passed: bool
    score: float | None
    detail: str


def check_task(task: Task, settings: RunSettings, cache: Path, on_result: Callable[[CheckResult], None]) -> list[CheckResult]:
    """Check one task, telling each result as it comes."""
    folder = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}check-"))
    results: list[CheckResult] = []
    try:
        with marked(folder / LOCK_NAME):
            for result in _Checker(task, settings, cache, folder).results():
                on_result(result)
                results.append(result)
    finally:
        if all(result.passed for result in results):  # what failed can be looked into
            shutil.rmtree(folder, ignore_errors=True)
    return results


class _Checker:
    """The checks of one task; lives for one call."""

    def __init__(self, task: Task, settings: RunSettings, cache: Path, folder: Path) -> None:
        self._task = task
        self._settings = settings
        self._cache = cache
        self._folder = folder

    def results(self) -> Iterator[CheckResult]:
        baseline = self._baseline()
        yield baseline
        yield self._empty()
        scripts = sorted((self._task.folder / "cheats").glob("*.sh"))
        with ThreadPoolExecutor(max_workers=max(1, cpu_count())) as pool:
            yield from pool.map(lambda script: self._cheat(script, baseline.score), scripts)

    def _run(self, agent: Agent, name: str) -> Outcome:
        settings = replace(self._settings, output=self._folder / name.replace(" ", "-"))
        return run_episode(self._task, agent, settings, cache=self._cache)

    def _result(self, name: str, *, passed: bool, score: float | None, detail: str) -> CheckResult:
        return CheckResult(task=self._task.name, name=name, passed=passed, score=score, detail=detail)

    def _baseline(self) -> CheckResult:
        try:
            outcome = self._run(BaselineAgent(self._task, os.environ), "baseline")
        except IsolationError:
            raise
        except MLGymLiteError as error:
            return self._result("baseline", passed=False, score=None, detail=str(error))
        score = outcome.score
        if score is None:
            return self._result("baseline", passed=False, score=None, detail=f"was not scored: {outcome.ending.detail}")
        stated = self._task.stated_baseline(self._settings.variant)
        noise = self._task.file.metadata.mlgym_lite.score_noise
        if stated is None:
            return self._result("baseline", passed=True, score=score, detail="scored; the task states no baseline")
        expected = stated[self._task.metric]
        close = abs(score - expected) <= noise + 1e-9 * abs(expected)
        detail = f"stated as {expected:.6g}, may differ by {noise:g}"
        return self._result("baseline", passed=close, score=score, detail=detail)

    def _empty(self) -> CheckResult:
        try:
            outcome = self._run(ScriptedAgent([_EMPTY, "submit"]), "empty submission")
        except MLGymLiteError as error:
            return self._result("empty submission", passed=False, score=None, detail=str(error))
        detail = outcome.ending.detail if outcome.score is None else "an empty submission was scored"
        return self._result("empty submission", passed=outcome.score is None, score=outcome.score, detail=detail)

    def _cheat(self, script: Path, baseline: float | None) -> CheckResult:
        agent = ScriptedAgent([f'bash "$MLGYM_LITE_ROOT"/cheats/{shlex.quote(script.name)}', "submit"], ("cheats",))
        try:
            outcome = self._run(agent, f"cheat-{script.stem}")
        except GraderError as error:
            return self._result(script.name, passed=False, score=None, detail=f"broke the grader: {error}")
        except MLGymLiteError as error:
            return self._result(script.name, passed=False, score=None, detail=str(error))
        score = outcome.score
        if score is None:
            return self._result(script.name, passed=True, score=None, detail=outcome.ending.detail)
        noise = self._task.file.metadata.mlgym_lite.score_noise
        if baseline is None:
            return self._result(script.name, passed=False, score=score, detail="scored, with no baseline to compare with")
        worth = baseline + noise if self._task.maximize else baseline - noise
        gained = self._task.is_better(score, worth)
        detail = "gained over the baseline" if gained else "scored, but gained nothing"
        return self._result(script.name, passed=not gained, score=score, detail=detail)
