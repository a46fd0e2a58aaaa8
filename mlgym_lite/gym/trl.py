"""A task as an environment of TRL's GRPOTrainer: the model calls tools, and the trainer asks for the reward.

    trainer = GRPOTrainer(model, environment_factory=make_env("colonel_blotto", variant="mini"), train_dataset=dataset, args=...)

Follows TRL 1.16.0, which calls the interface experimental; TRL is not needed to import this.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlgym_lite.gym.environment import TaskEnvironment

_ENDED = "The episode has ended; nothing more can be run."


def make_env(task: str | Path, **options: Any) -> Callable[[], TrlEnvironment]:
    """A factory of environments of one task; `options` are those of `TaskEnvironment`.

    Raises what `TaskEnvironment` raises for them, here and not in the middle of a training.
    """
    TaskEnvironment(task, **options).close()
    return lambda: TrlEnvironment(TaskEnvironment(task, **options))


class TrlEnvironment:
    """One environment, which TRL uses again and again; its public methods but reset and get_reward are the model's tools."""

    def __init__(self, environment: TaskEnvironment) -> None:
        """Around an environment that nothing else uses."""
        self._environment = environment
        self._reward = 0.0
        self._is_open = False

    def reset(self, seed: int | None = None, **row: Any) -> str:
        """Begin an episode; the row's column `seed` is its seed, other columns are not looked at. The instruction comes back."""
        self._reward = 0.0
        self._is_open = True
        return self._environment.reset(seed=seed)[0]

    def shell(self, command: str) -> str:
        """Run one input in the persistent shell and see what it prints.

        Args:
            command: What to type, one line or several.
        """
        if not self._is_open:
            return _ENDED
        observation, reward, terminated, truncated, _ = self._environment.step(command)
        self._reward += reward
        self._is_open = not (terminated or truncated)
        return observation if self._is_open else f"{observation}\n{_ENDED}".lstrip()

    def validate(self) -> str:
        """Score the workspace as it is on the validation split; the number of validations is limited."""
        return self.shell("validate")

    def submit(self) -> str:
        """Hand in the workspace as it is; this ends the episode."""
        return self.shell("submit")

    def get_reward(self) -> float:
        """The sum of the episode's rewards; a workspace that was not handed in is scored as it is.

        Raises what the environment raised in a tool, which TRL only shows to the model.
        """
        if self._is_open:
            self.submit()
        return self._reward
