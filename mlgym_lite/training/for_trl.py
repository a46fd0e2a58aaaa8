"""Rollouts for TRL's GRPOTrainer: the model that it trains plays the episodes, and their tokens are what it trains on.

    GRPOTrainer(model, rollout_func=rollout_func(make_environment), reward_funcs=environment_reward, train_dataset=..., args=...)

Follows TRL 1.16.0, which calls the interface experimental; TRL is not needed to import this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mlgym_lite.gym.environment import TaskEnvironment
from mlgym_lite.gym.rollout_formats import as_trl
from mlgym_lite.gym.rollouts import collect
from mlgym_lite.training.language_model import LanguageModelPolicy


def rollout_func(
    make_environment: Callable[[], TaskEnvironment],
    *,
    seed: int = 0,
    most_turns: int | None = None,
    most_tokens: int | None = None,
    workers: int = 4,
    **options: Any,
) -> Callable[[Sequence[Any], Any], dict[str, Any]]:
    """What GRPOTrainer asks for the rows of a generation batch, `num_generations` episodes for each of its prompts.

    The prompts themselves are not looked at: an episode begins with its task's instruction. Each group has the next seed, from
    `seed` on. `options` are those of `LanguageModelPolicy`, whose temperature is the trainer's; most_turns, most_tokens and
    workers are those of `collect`. Raises ValueError in a training of several processes, whose groups would be spread over them.
    """
    played = 0

    def play(prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        nonlocal played
        if trainer.accelerator.num_processes > 1:
            raise ValueError("rollout_func plays whole groups in one process; this training has several")
        size = trainer.num_generations if trainer.model.training else trainer.num_generations_eval
        groups = -(-len(prompts) // size)  # the last batch of an evaluation may end in the middle of a group
        seeds = range(seed + played, seed + played + groups)
        played += groups
        model = trainer.accelerator.unwrap_model(trainer.model)
        was_training = model.training
        try:
            chosen = {"temperature": trainer.temperature, **options}
            policy = LanguageModelPolicy(model, trainer.processing_class, seed=seeds.start, **chosen)
            rollouts = collect(
                policy, make_environment, seeds, group_size=size, most_turns=most_turns, most_tokens=most_tokens, workers=workers
            )
        finally:
            model.train(was_training)
        return as_trl(rollouts[: len(prompts)])

    return play


def environment_reward(env_reward: Sequence[float], **_: Any) -> list[float]:
    """The reward function for it: float, one for each row, what the environment gave."""
    return list(env_reward)
