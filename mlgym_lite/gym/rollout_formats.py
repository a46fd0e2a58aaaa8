"""Rollouts in the forms that trainers take. Lists over tokens are lists of int or float, one inner list for each rollout.

TRL (GRPOTrainer's `rollout_func`, as of 1.16.0) and SkyRL (GeneratorOutput): the forms were read in their packages; here they are
not run against them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlgym_lite.gym.rollouts import Rollout


def as_trl(rollouts: Sequence[Rollout]) -> dict[str, Any]:
    """What a `rollout_func` returns: prompt_ids, completion_ids, logprobs, env_mask (1: of the model), and env_reward."""
    return {
        "prompt_ids": [list(rollout.prompt_ids) for rollout in rollouts],
        "completion_ids": [list(rollout.completion_ids) for rollout in rollouts],
        "logprobs": [list(rollout.logprobs) for rollout in rollouts],
        "env_mask": [list(rollout.mask) for rollout in rollouts],
        "env_reward": [rollout.reward for rollout in rollouts],
    }


def as_skyrl(rollouts: Sequence[Rollout]) -> dict[str, Any]:
    """SkyRL's GeneratorOutput; rewards are per token, at the end of each action."""
    repetitions: dict[tuple[str, int], int] = {}
    identities = []
    for rollout in rollouts:
        key = (rollout.task, rollout.group)
        repetitions[key] = repetitions.get(key, -1) + 1
        identities.append({"instance_id": f"{rollout.task}-{rollout.seed}-{rollout.group}", "repetition_id": repetitions[key]})
    return {
        "prompt_token_ids": [list(rollout.prompt_ids) for rollout in rollouts],
        "response_ids": [list(rollout.completion_ids) for rollout in rollouts],
        "rewards": [list(rollout.token_rewards) for rollout in rollouts],
        "loss_masks": [list(rollout.mask) for rollout in rollouts],
        "stop_reasons": [rollout.stop_reason for rollout in rollouts],
        "rollout_logprobs": [list(rollout.logprobs) for rollout in rollouts],
        "trajectory_ids": identities,
        "rollout_metrics": {"mean_reward": sum(rollout.reward for rollout in rollouts) / len(rollouts) if rollouts else 0.0},
    }
