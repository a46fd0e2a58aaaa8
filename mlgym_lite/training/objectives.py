"""Advantages within groups, and the losses of GRPO and REINFORCE.

Sources: GRPO, Shao et al. 2024 (arXiv 2402.03300), with the clipped ratio of PPO (Schulman et al. 2017); REINFORCE, Williams
1992, with the mean of the others in the group as its baseline (Kool, van Hoof and Welling 2019); the estimator of a
Kullback-Leibler divergence, Schulman 2020 ("k3").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from mlgym_lite.training.batches import Batch, TokenScores

Algorithm = Literal["grpo", "reinforce"]
ALGORITHMS: tuple[Algorithm, ...] = ("grpo", "reinforce")
_LEAST_DEVIATION = 1e-6


def group_advantages(algorithm: Algorithm, rewards: Sequence[float], groups: Sequence[int]) -> torch.Tensor:
    """float32 [episodes]: how much better each reward is than its group's, without unit for GRPO, else in the reward's.

        grpo       A_i = (R_i - mean(R)) / (std(R) + 1e-6), with the standard deviation over n - 1; 0 where all are equal
        reinforce  A_i = R_i - the mean of the others' R

    An episode that is alone in its group has the advantage 0.
    """
    values = torch.tensor(rewards, dtype=torch.float32)
    advantages = torch.zeros_like(values)
    for group in {*groups}:
        members = torch.tensor([one == group for one in groups])
        count = int(members.sum())
        if count > 1:
            centred = values[members] - values[members].mean()
            if algorithm == "grpo":
                advantages[members] = centred / (values[members].std() + _LEAST_DEVIATION)
            else:
                advantages[members] = centred * count / (count - 1)
    return advantages


def grpo_loss(scores: TokenScores, batch: Batch, advantages: torch.Tensor, clip: float) -> torch.Tensor:
    """A float32 scalar: minus the mean over episodes of the mean over sampled tokens of min(r A, clip(r, 1 - clip, 1 + clip) A).

    r = exp(logprob now - logprob recorded); `advantages` is float32 [episodes].
    """
    ratio = (scores.logprobs - torch.where(batch.is_sampled, batch.recorded, 0.0)).exp()
    gain = torch.minimum(ratio * advantages[:, None], ratio.clamp(1 - clip, 1 + clip) * advantages[:, None])
    return -episode_means(gain, batch).mean()


def reinforce_loss(scores: TokenScores, batch: Batch, advantages: torch.Tensor) -> torch.Tensor:
    """A float32 scalar: minus the mean over episodes of A times the sum of the sampled tokens' logprobs.

    Its gradient is REINFORCE's for what the policy is now; tokens that an older policy sampled are not weighted.
    """
    return -(advantages * torch.where(batch.is_sampled, scores.logprobs, 0.0).sum(-1)).mean()


def kl_divergence(scores: TokenScores, reference: TokenScores, batch: Batch) -> torch.Tensor:
    """A float32 scalar, nats a token, from a reference: the mean of exp(d) - d - 1, with d = its logprob - the logprob now."""
    difference = reference.logprobs - scores.logprobs
    return episode_means(difference.exp() - difference - 1, batch).mean()


def mean_entropy(scores: TokenScores, batch: Batch) -> torch.Tensor:
    """A float32 scalar, nats a token."""
    return episode_means(scores.entropy, batch).mean()


def episode_means(values: torch.Tensor, batch: Batch) -> torch.Tensor:
    """float32 [episodes]: the mean of values [episodes, tokens - 1] over the sampled tokens."""
    return torch.where(batch.is_sampled, values, 0.0).sum(-1) / batch.is_sampled.sum(-1).clamp(min=1)
