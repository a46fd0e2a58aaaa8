"""The scorings of one episode: artifacts collected, graded, counted against the budget, and told to the agent."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.budget import Budget
from mlgym_lite.episode.grading import Grader, Verdict
from mlgym_lite.episode.outcome import Attempt, AttemptKind
from mlgym_lite.episode.workspace import ArtifactLimits, ArtifactRefused, collect_artifacts
from mlgym_lite.services.protocol import Answer


class Scoring:
    """Scores one episode's workspace; the engine says when."""

    def __init__(
        self,
        task: Task,
        run_directory: Path,
        budget: Budget,
        grader: Grader,
        seeds: Sequence[int],
        before: Sequence[Attempt] = (),
    ) -> None:
        """`seeds` are those of a recorded run; beyond them the grader draws its own.

        `before` are the attempts from before an interruption.
        """
        self._task = task
        self._run_directory = run_directory
        self._budget = budget
        self._grader = grader
        self._seeds = list(seeds)
        self.attempts: list[Attempt] = list(before)

    @property
    def best(self) -> float | None:
        """The best value so far of the metric that ranks, of validations: a submission is scored on other data."""
        validated = [attempt.metrics for attempt in self.attempts if attempt.metrics and attempt.kind == "validate"]
        values = [metrics[self._task.metric] for metrics in validated]
        return None if not values else (max(values) if self._task.maximize else min(values))

    def score(self, kind: AttemptKind, step: int) -> Attempt:
        """Score the workspace as it is; an artifact that is refused makes a rejected submission."""
        started = time.monotonic()
        target = self._target(kind)
        try:
            verdict = self._verdict(kind, target)
        finally:
            if kind == "validate":
                shutil.rmtree(target, ignore_errors=True)
            self._budget.add_grading_seconds(time.monotonic() - started)
        attempt = Attempt(step=step, kind=kind, metrics=verdict.metrics, message=verdict.message)
        self.attempts.append(attempt)
        return attempt

    def _target(self, kind: AttemptKind) -> Path:
        if kind == "submit":
            return self._run_directory / "submission"
        self._budget.validations_used += 1
        target = self._run_directory / ".state" / f"validation-{self._budget.validations_used}"
        target.mkdir()
        return target

    def _verdict(self, kind: AttemptKind, target: Path) -> Verdict:
        feedback = self._task.file.metadata.mlgym_lite.feedback
        split = "test" if kind == "submit" or feedback == "test" else "dev"
        megabytes = self._task.file.environment.storage_mb
        limits = ArtifactLimits(total_bytes=megabytes << 20) if megabytes else ArtifactLimits()
        try:
            collect_artifacts(self._run_directory / "workspace", self._task.artifacts, target, limits, self._task.left_out)
        except ArtifactRefused as error:
            return Verdict(metrics=None, message=str(error), seed=0, seconds=0.0)
        return self._grader.grade(target, split=split, kind=kind, seed=self._seeds.pop(0) if self._seeds else None)

    def answer_to_validate(self, step: int, baseline: Mapping[str, float] | None) -> Answer:
        """Serve the tool `validate`: score, and say what the agent may know."""
        budget = self._budget
        if budget.validations_left <= 0:
            return Answer(ok=False, text=f"No validations are left ({budget.validations} were allowed).")
        attempt = self.score("validate", step)
        number = f"Validation {budget.validations_used} of {budget.validations}"
        if attempt.metrics is None:
            return Answer(ok=False, text=f"{number}: the submission is not valid: {attempt.message}")
        text = f"{number} ({self._task.file.metadata.mlgym_lite.feedback} split): {_named_values(attempt.metrics)}"
        return Answer(ok=True, text=f"{text}\nBaseline: {_named_values(baseline)}" if baseline else text)


def _named_values(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:.6g}" for name, value in metrics.items())
