"""The states of one episode that a search goes through: an action is run from a state, validated, and kept.

A step of a search is an action of the episode's and a validation: both are used up, and recorded as every other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mlgym_lite.episode.engine import Episode
from mlgym_lite.episode.outcome import Outcome, Snapshot
from mlgym_lite.errors import TaskError
from mlgym_lite.gym.rewards import UNSCORED, Scale

Intent = Literal["any", "draft", "debug", "improve"]
"""What is wanted of an action: AIDE asks for one of the latter three, other searches for any."""


@dataclass(frozen=True, kw_only=True)
class State:
    """Where an episode was."""

    snapshot: Snapshot
    observation: str
    """What the action showed that led here; of the first state, the instruction."""
    score: float | None
    """Of the validation, in the metric's unit; None where it was rejected, and of the first state."""
    value: float
    """The score over the baseline, normalised where the task states a goal; -1 without a score, 0 of the first state."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """An action that a policy proposes."""

    action: str
    """One shell input."""
    prior: float = 1.0
    """How likely the policy finds it, at most 1: a frequency among samples, or exp of the mean log-probability of its tokens."""


class Policy(Protocol):
    """Proposes actions: a program, or a language model that is asked with the state."""

    def propose(self, state: State, count: int, intent: Intent) -> Sequence[Proposal]:
        """Up to `count` actions to try from a state, none where there is nothing to try."""
        ...


class OutOfBudget(Exception):
    """Neither the search nor the episode allows another step."""


class EpisodeSpace:
    """Runs actions from states in one open episode. Errors: those of `Episode`."""

    def __init__(self, episode: Episode, *, steps: int) -> None:
        """`steps` is how many the search may take; the episode's own limits hold too."""
        metric = episode.task.metric
        baseline = (episode.baseline or {}).get(metric)
        if baseline is None:
            raise TaskError(f"{episode.task.name}: has no baseline of {metric}, over which a value could be told")
        self.episode = episode
        self.steps_left = steps
        self.steps_used = 0
        self._scale = Scale(episode.task, episode.settings.variant, baseline)
        snapshot = episode.snapshot()
        self.first = State(snapshot=snapshot, observation=episode.observation.text, score=None, value=0.0)
        self._here: State | None = self.first

    def run(self, state: State, action: str) -> State:
        """The state behind an action that is run from a state.

        Raises:
            OutOfBudget: No step or no validation is left; one step of the episode stays, for the submission.
        """
        budget = self.episode.budget
        if self.steps_left <= 0 or budget.steps_left <= 1 or budget.validations_left <= 0:
            raise OutOfBudget
        if self._here is not state:
            self.episode.restore(state.snapshot)
        self._here = None
        self.steps_left -= 1
        self.steps_used += 1
        step = self.episode.step(action)
        if self.episode.outcome is not None:
            raise OutOfBudget
        attempt = self.episode.validate()
        score = None if attempt.metrics is None else attempt.metrics[self.episode.task.metric]
        value = UNSCORED if score is None else self._scale(score)
        self._here = State(snapshot=self.episode.snapshot(), observation=step.observation, score=score, value=value)
        return self._here

    def submit(self, state: State) -> Outcome:
        """Go back to a state and hand it in."""
        if self.episode.outcome is not None:
            return self.episode.outcome
        if self._here is not state:
            self.episode.restore(state.snapshot)
        return self.episode.submit()
