"""Rollouts that no episode was played for."""

from __future__ import annotations

from mlgym_lite.gym.rollouts import Rollout, Turn


def rollout(prompt: tuple[int, ...], completion: tuple[int, ...], mask: tuple[int, ...], logprobs: tuple[float, ...]) -> Rollout:
    """One turn."""
    turn = Turn(action="", observation="", reward=0.0, exit_status=0, first_token=0)
    return Rollout(
        task="t", variant="mini", seed=0, group=0, prompt_ids=prompt, completion_ids=completion, mask=mask, logprobs=logprobs,
        turns=(turn,), stop_reason="terminated", score=None,
    )  # fmt: skip
