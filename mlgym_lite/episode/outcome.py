"""What the engine hands out: observations, steps, attempts, endings, and the outcome of an episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from mlgym_lite.agents.protocol import ShownPicture
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.file_changes import Changes
from mlgym_lite.episode.kept_states import KeptFolder
from mlgym_lite.errors import ActionsError, GraderError, IsolationError, MLGymLiteError, OutputError, SandboxError
from mlgym_lite.models.protocol import ModelError

AttemptKind = Literal["validate", "submit"]
Fault = Literal["agent", "limit", "task", "us", "user"]
Reason = Literal[
    "submitted",
    "gave_up",
    "step_limit",
    "time_limit",
    "cost_limit",
    "context_limit",
    "format_errors",
    "agent_error",
    "grader_error",
    "sandbox_error",
    "interrupted",
]

FAULTS: Mapping[Reason, Fault] = {
    "submitted": "agent",
    "gave_up": "agent",
    "step_limit": "limit",
    "time_limit": "limit",
    "cost_limit": "limit",
    "context_limit": "limit",
    "format_errors": "agent",
    "agent_error": "agent",
    "grader_error": "task",
    "sandbox_error": "us",
    "interrupted": "user",
}
"""Every way an episode can end, and whose doing it is."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One scoring of the agent's work."""

    step: int
    kind: AttemptKind
    metrics: Mapping[str, float] | None
    """None when the submission was rejected."""
    message: str = ""
    """Why it was rejected."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The one reason an episode ended for."""

    reason: Reason
    detail: str = ""
    autosubmitted: bool = False
    can_pass: bool = False
    """Whether another try might end otherwise: our fault, a model's server that was overloaded, an interruption."""

    @property
    def fault(self) -> Fault:
        """Whose doing it was."""
        return FAULTS[self.reason]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One action and what came of it."""

    number: int
    action: str
    observation: str
    exit_status: int | None
    """None when the shell ended with the command."""
    working_directory: str
    seconds: float
    attempts: tuple[Attempt, ...] = ()
    terminated: bool = False
    """The agent submitted."""
    truncated: bool = False
    """A limit ended the episode."""
    resources: Mapping[str, float | int | None] = field(default_factory=dict)
    pictures: tuple[ShownPicture, ...] = ()
    """What the agent asked to see."""
    changes: Changes = field(default_factory=Changes)
    """What changed in the workspace."""
    notes: str = ""
    """What of the observation is the engine's own words, behind the output."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A state of an episode to fork from: files, working directory and exported variables; processes are no part of it."""

    task: Task
    settings: RunSettings
    """The episode's, but for its output directory."""
    trees: Mapping[str, KeptFolder] = field(repr=False, compare=False)
    """The states of `workspace` and `venv`; none of an interrupted episode, which goes on in its own run directory."""
    working_directory: str
    variables: str
    """Shell text that sets the exported variables."""
    root: str = ""
    """The sandbox's root when it was taken: paths in the variables begin with it."""
    step: int
    validations_used: int
    last_step: Step | None = None
    run_directory: Path
    """The episode it was taken from."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an episode ended; the content of result.json."""

    result: Mapping[str, Any]
    ending: Ending
    run_directory: Path

    @property
    def score(self) -> float | None:
        """The value of the metric that ranks, or None."""
        score = self.result["score"]
        return None if score is None else float(score["value"])


def recorded_outcome(result: Mapping[str, Any], run_directory: Path) -> Outcome:
    """An outcome again, from the content of its result.json; raises ActionsError where that is none."""
    try:
        ending = Ending(**{one.name: result["ending"][one.name] for one in fields(Ending)})
        outcome = Outcome(result=result, ending=ending, run_directory=run_directory)
        if outcome.score is not None:
            dict(result["score"]["metrics"])
    except (KeyError, TypeError, ValueError) as error:
        raise ActionsError(f"{run_directory / 'result.json'}: is not what a run records: {error!r}") from error
    return outcome


def ending_for(error: BaseException) -> Ending:
    """The ending that an error means: whose doing it was is told by its kind."""
    reason: Reason = "agent_error"
    if isinstance(error, KeyboardInterrupt):
        return Ending(reason="interrupted", can_pass=True)
    if isinstance(error, GraderError):
        reason = "grader_error"
    elif isinstance(error, (SandboxError, OutputError, IsolationError, OSError)):
        reason = "sandbox_error"
    detail = str(error) if isinstance(error, MLGymLiteError) else f"{type(error).__name__}: {error}"
    return Ending(reason=reason, detail=detail, can_pass=reason == "sandbox_error" or can_pass(error))


def can_pass(error: BaseException) -> bool:
    """Whether what failed may work another time: a model's server that did not answer."""
    return isinstance(error, ModelError) and error.can_pass


def attempt_record(attempt: Attempt) -> dict[str, Any]:
    """An attempt as it is written in result.json and trajectory.jsonl."""
    record: dict[str, Any] = {"step": attempt.step, "kind": attempt.kind, "metrics": dict(attempt.metrics or {})}
    return record if attempt.metrics is not None else {**record, "rejected": attempt.message}


def ending_record(ending: Ending) -> dict[str, Any]:
    """An ending as it is written in result.json."""
    return {**asdict(ending), "fault": ending.fault}
