"""What an episode may use of steps, wall time and validations, and what it has used."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.outcome import Reason, Snapshot
from mlgym_lite.models.protocol import ModelUsage


class Budget:
    """One episode's budgets; the engine counts in it. Grading is on nobody's time."""

    def __init__(
        self,
        task: Task,
        settings: RunSettings,
        *,
        started_at: float,
        forked_from: Snapshot | None,
        usage: ModelUsage | None = None,
        seconds_before: float = 0.0,
    ) -> None:
        """`started_at` is a monotonic time; a fork goes on with what its snapshot had used.

        `usage` and `seconds_before` are what an episode had used that was interrupted and now goes on.
        """
        ours = task.file.metadata.mlgym_lite
        self.max_steps = settings.max_steps or ours.max_steps
        self.time_limit_seconds = settings.time_limit_seconds or task.file.agent.timeout_sec
        self.validations = ours.validations
        self.steps_used = forked_from.step if forked_from else 0
        self.validations_used = forked_from.validations_used if forked_from else 0
        self.usage = usage or ModelUsage()
        """What the agent used of a language model."""
        self.command_time = 0.0
        self.grading_time = 0.0
        self._engine_time = 0.0
        self._depth = 0
        self._entered_at = started_at
        self._command_limit = ours.command_timeout_sec
        self._started_at = started_at - seconds_before
        self._seconds_before = seconds_before
        self._ready_at = time.monotonic()
        self._grading_in_step = 0.0

    def is_ready(self) -> None:
        """The reset is done: the agent's time begins."""
        self._ready_at = time.monotonic()
        self._engine_time = self._ready_at - self._started_at - self._seconds_before
        self._ready_at -= self._seconds_before

    @property
    def validations_left(self) -> int:
        """How often `validate` may still be used."""
        return self.validations - self.validations_used

    @property
    def steps_left(self) -> int:
        """How many steps are left."""
        return self.max_steps - self.steps_used

    @property
    def total_seconds(self) -> float:
        """Wall time since the reset began."""
        return time.monotonic() - self._started_at

    @property
    def framework_time(self) -> float:
        """Time spent in the engine itself, commands and grading left out."""
        running = time.monotonic() - self._entered_at if self._depth else 0.0
        return max(0.0, self._engine_time + running - self.command_time - self.grading_time)

    @contextlib.contextmanager
    def in_engine(self) -> Iterator[None]:
        """Count the time of a call of the engine; calls within calls count once."""
        if self._depth == 0:
            self._entered_at = time.monotonic()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._engine_time += time.monotonic() - self._entered_at

    def seconds_left(self) -> float | None:
        """Wall time left to the agent; None without a limit."""
        if self.time_limit_seconds is None:
            return None
        return self.time_limit_seconds - (time.monotonic() - self._ready_at - self.grading_time)

    def command_seconds(self) -> float:
        """How long the next command may take."""
        left = self.seconds_left()
        return self._command_limit if left is None else max(0.0, min(self._command_limit, left))

    def exhausted(self) -> Reason | None:
        """The limit that is reached, if one is."""
        if self.steps_left <= 0:
            return "step_limit"
        left = self.seconds_left()
        return "time_limit" if left is not None and left <= 0 else None

    def add_grading_seconds(self, seconds: float) -> None:
        """Count a grading."""
        self.grading_time += seconds
        self._grading_in_step += seconds

    def take_grading_seconds(self) -> float:
        """The grading time since the last call, so that a step can leave it out of its own."""
        seconds, self._grading_in_step = self._grading_in_step, 0.0
        return seconds
