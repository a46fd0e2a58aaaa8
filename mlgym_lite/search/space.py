"""The states of one episode that a search goes through: an action is run from a state, validated, and kept.

A step of a search is an action of the episode's and a validation: both are used up, and recorded as every other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mlgym_lite.agents.protocol import Observation
from mlgym_lite.episode.engine import Episode
from mlgym_lite.episode.outcome import Outcome, Snapshot, can_pass
from mlgym_lite.errors import AgentError
from mlgym_lite.gym.rewards import UNSCORED, Scale
from mlgym_lite.models.protocol import ModelUsage

Intent = Literal["any", "draft", "debug", "improve"]
"""What is wanted of an action: AIDE asks for one of the latter three, other searches for any."""


@dataclass(frozen=True, kw_only=True)
class State:
    """Where an episode was."""

    snapshot: Snapshot
    shown: Observation
    """What the agent is shown here: what the last action printed, with what is left; of the first state, the instruction."""
    score: float | None
    """Of the validation, in the metric's unit; None where it was rejected, and of the first state."""
    value: float
    """The score over the baseline, normalised where the task states a goal; -1 without a score, 0 of the first state."""
    is_goal: bool = False
    """Whether the task's goal is reached."""
    proposal: Proposal | None = None
    """What led here; None of the first state."""
    before: State | None = None

    @property
    def observation(self) -> str:
        """What the last action printed; of the first state, the instruction."""
        return self.shown.text

    @property
    def path(self) -> list[State]:
        """From the first state to this one."""
        return [*(self.before.path if self.before else []), self]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """An action that a policy proposes."""

    action: str
    """One shell input."""
    prior: float = 1.0
    """How likely the policy finds it, at most 1: a frequency among samples, or exp of the mean log-probability of its tokens."""
    thought: str | None = None
    reply: Mapping[str, Any] | None = None
    """The message in which a language model proposed it."""


class Policy(Protocol):
    """Proposes actions: a program, or a language model that is asked with the state."""

    def propose(self, state: State, count: int, intent: Intent) -> Sequence[Proposal]:
        """Up to `count` actions to try from a state, none where there is nothing to try."""
        ...


_GOAL = 1.0
"""The normalised score that is one."""


class OutOfBudget(Exception):
    """Neither the search nor the episode allows another step."""


class EpisodeSpace:
    """Runs actions from states in one open episode. Errors: those of `Episode`."""

    def __init__(
        self,
        episode: Episode,
        *,
        steps: int,
        usage: Callable[[], ModelUsage] = ModelUsage,
        on_state: Callable[[State], None] = lambda _: None,
    ) -> None:
        """`steps` is how many the search may take; the episode's own limits hold too.

        `usage` is asked what the policy took of a language model since it was asked last; `on_state` gets each new state.
        """
        self.episode = episode
        self.steps_used = 0
        self._steps = steps
        self._scale = Scale.of(episode)
        self._usage = usage
        self._on_state = on_state
        self.first = State(snapshot=episode.snapshot(), shown=episode.observation, score=None, value=0.0)
        self._here: State | None = self.first
        self.best: State | None = None
        """The best state so far of those that have a score."""

    def check(self) -> None:
        """Raise OutOfBudget where no action can be run any more, before a policy is asked for one."""
        budget = self.episode.budget
        is_used_up = self.steps_used >= self._steps or budget.steps_left <= 1 or budget.validations_left <= 0
        if is_used_up or self.episode.outcome is not None:
            raise OutOfBudget

    def run(self, state: State, proposal: Proposal) -> State:
        """The state behind an action that is run from a state.

        Raises:
            OutOfBudget: No step or no validation is left; one step of the episode stays, for the submission.
        """
        self.check()
        self._go_to(state)
        self._here = None
        self.steps_used += 1
        details = None if proposal.reply is None else {"reply": dict(proposal.reply)}
        self.episode.step(proposal.action, thought=proposal.thought, usage=self._usage(), details=details)
        if self.episode.outcome is not None:
            raise OutOfBudget
        attempt = self.episode.validate()
        score = None if attempt.metrics is None else attempt.metrics[self.episode.task.metric]
        value = UNSCORED if score is None else self._scale(score)
        self._here = State(
            snapshot=self.episode.snapshot(), shown=self.episode.observation, score=score, value=value,
            is_goal=self._scale.is_normalised and value >= _GOAL, proposal=proposal,
            before=state,
        )  # fmt: skip
        if score is not None and (self.best is None or value > self.best.value):
            self.best = self._here
        self._on_state(self._here)
        return self._here

    def submit(self, state: State) -> Outcome:
        """Go back to a state and hand it in."""
        self.episode.budget.usage += self._usage()
        if self.episode.outcome is not None:
            return self.episode.outcome
        self._go_to(state)
        return self.episode.submit()

    def fail(self, error: AgentError) -> Outcome:
        """End where the policy failed: the best state so far is scored, if there is one, and the failure is told beside it."""
        if self.best is not None:
            self._go_to(self.best)
        return self.episode.end(
            "agent_error", str(error), autosubmit=self.best is not None, usage=self._usage(), can_pass=can_pass(error)
        )

    def _go_to(self, state: State) -> None:
        if self._here is not state:
            self.episode.restore(state.snapshot)
