"""What a report needs of one run, whichever system recorded it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Source = Literal["mlgym-lite", "MLGym"]

BASELINE_AGENT = "baseline"
NOT_BEGUN = "not begun"


class Group(NamedTuple):
    """What may be compared with one another: scores of two groups are never mixed."""

    variant: str
    """`full` or `mini`."""
    scoring: str
    """`clean` or `parity`; MLGym's own runs are parity."""
    feedback: str
    """The split that validations score: `development` or `test`."""

    @property
    def label(self) -> str:
        """The group in words."""
        how = "scored as MLGym's paper did" if self.scoring == "parity" else f"{self.scoring} scores"
        return f"{self.variant} tasks, {how}, {self.feedback} feedback"


class Method(NamedTuple):
    """Who played: an agent, and the model behind it where there is one."""

    agent: str
    model: str | None

    @property
    def label(self) -> str:
        """What a row of a table is called."""
        if self.model is None:
            return "baseline, run here" if self.agent == BASELINE_AGENT else self.agent
        return f"{self.agent}, {self.model}"


class TaskKey(NamedTuple):
    """A task with what it is ranked by."""

    name: str
    metric: str
    direction: str
    """`maximize` or `minimize`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredRun:
    """One run, small enough that ten thousand of them are few megabytes."""

    path: str
    source: Source
    group: Group
    method: Method
    task: TaskKey
    seed: int
    digest: str | None
    """Of the task's files; None where the record lacks it."""
    finished: bool
    """Whether a result was written: not of a run that was killed, or still goes on."""
    reason: str = "unfinished"
    """Why it ended."""
    fault: str = "unknown"
    """Whose doing that was: agent, limit, task, us, user or unknown."""
    steps: tuple[int, ...] = ()
    """At which step each scored attempt was, in order; as long as `values`."""
    values: tuple[float, ...] = ()
    """What the attempts scored: validations, and the submission."""
    submission: float | None = None
    """What counts as the result; None without one."""
    baseline: float | None = None
    step_count: int | None = None
    seconds: float | None = None
    """Of the whole episode; of MLGym's runs, of their actions only."""
    gpu_seconds: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    mechanism: str | None = None
    actions: tuple[int, ...] = ()
    """How many of each of `action_kinds.KINDS`; empty where the record of steps is missing."""

    @property
    def begun(self) -> bool:
        """False for what a bench planned and did not run; only that it is missing is told."""
        return self.reason != NOT_BEGUN

    @property
    def best_attempt(self) -> float | None:
        """The best of everything that was scored."""
        return best_of(self.values, self.task.direction)

    @property
    def improvement(self) -> float | None:
        """How much better the submission is than the baseline; negative where it is worse."""
        if self.submission is None or self.baseline is None:
            return None
        return self.submission - self.baseline if self.task.direction == "maximize" else self.baseline - self.submission


def best_of(values: tuple[float, ...] | list[float], direction: str) -> float | None:
    """The highest or, where less is better, the lowest value; None of none."""
    if not values:
        return None
    return min(values) if direction == "minimize" else max(values)
