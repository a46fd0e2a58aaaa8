"""Rewards from scores: how much better than the baseline, in units of what the task's goal is better.

With s a score, b the baseline's and g the task's goal (`goal` in task.toml), all of the metric that ranks:

    normalised(s) = clip((s - b) / (g - b), -1, 1)      0 at the baseline, 1 at the goal, whatever the direction
    without a goal: s - b, or b - s where less is better

`final`         0 until the end, then the normalised score of the submission; `unscored` where it has none
`improvement`   in each step, how far its validations took the best normalised score so far, which begins at 0

The sum of `improvement` over an episode is the best validation's, so it telescopes: a potential-based shaping (Ng, Harada and
Russell 1999, with the potential best-so-far) of a reward for the best validation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from mlgym_lite.config.task_file import Task, Variant
from mlgym_lite.episode.engine import Episode
from mlgym_lite.errors import TaskError

RewardKind = Literal["final", "improvement"]
REWARD_KINDS: tuple[RewardKind, ...] = ("final", "improvement")
UNSCORED = -1.0
"""The reward of an episode that ends without a score: as bad as the worst normalised one."""


class Scale:
    """Turns scores into normalised ones."""

    def __init__(self, task: Task, variant: Variant, baseline: float) -> None:
        self._baseline = baseline
        self._goal = task.goal(variant)
        self._sign = 1.0 if task.maximize else -1.0

    @classmethod
    def of(cls, episode: Episode) -> Scale:
        """Over the baseline of an episode that was reset; raises TaskError where it has none."""
        metric = episode.task.metric
        baseline = (episode.baseline or {}).get(metric)
        if baseline is None:
            raise TaskError(f"{episode.task.name}: has no baseline of {metric}, over which a reward could be told")
        return cls(episode.task, episode.settings.variant, baseline)

    @property
    def is_normalised(self) -> bool:
        """Whether the task states a goal that is better than the baseline."""
        return self._goal is not None and self._sign * (self._goal - self._baseline) > 0

    def __call__(self, score: float) -> float:
        """The improvement over the baseline, normalised where that is possible; without unit."""
        gain = self._sign * (score - self._baseline)
        if not self.is_normalised:
            return gain
        assert self._goal is not None
        return max(-1.0, min(1.0, gain / (self._sign * (self._goal - self._baseline))))


class ImprovementReward:
    """The reward `improvement` of one episode."""

    def __init__(self, scale: Scale) -> None:
        self._scale = scale
        self._best = 0.0

    def gain(self, scores: Iterable[float]) -> float:
        """How far these validations took the best so far; never negative."""
        before = self._best
        self._best = max([before, *map(self._scale, scores)])
        return self._best - before


def final_reward(scale: Scale, score: Mapping[str, object] | None) -> float:
    """The reward `final` at the end, from result.json's `score`."""
    return UNSCORED if score is None else scale(float(score["value"]))  # type: ignore[arg-type]
