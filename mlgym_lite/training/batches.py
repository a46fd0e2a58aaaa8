"""Rollouts as tensors. All tensors are on one device; `tokens` is the length of the longest rollout, prompt included.

A token is predicted from those before it, so what is told of tokens leaves out the first: [episodes, tokens - 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mlgym_lite.gym.rollouts import Rollout


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rollouts of one length, filled up at the right."""

    ids: torch.Tensor
    """int64 [episodes, tokens]; 0 where there is none."""
    is_there: torch.Tensor
    """bool [episodes, tokens]."""
    is_sampled: torch.Tensor
    """bool [episodes, tokens - 1]: which of ids[:, 1:] the policy sampled; the others are never trained on."""
    recorded: torch.Tensor
    """float32 [episodes, tokens - 1]: natural logarithms of their probabilities when they were sampled, else 0."""

    @classmethod
    def of(cls, rollouts: Sequence[Rollout], device: torch.device | str = "cpu") -> Batch:
        """Of one rollout or more, each with a prompt of a token or more; raises ValueError."""
        if not rollouts or not all(rollout.prompt_ids for rollout in rollouts):
            raise ValueError("a batch needs a rollout or more, and each of them a prompt")
        tokens = max(len(rollout.prompt_ids) + len(rollout.completion_ids) for rollout in rollouts)
        ids = torch.zeros(len(rollouts), tokens, dtype=torch.int64)
        is_there = torch.zeros(len(rollouts), tokens, dtype=torch.bool)
        is_sampled = torch.zeros(len(rollouts), tokens, dtype=torch.bool)
        recorded = torch.zeros(len(rollouts), tokens, dtype=torch.float32)
        for row, rollout in enumerate(rollouts):
            first, end = len(rollout.prompt_ids), len(rollout.prompt_ids) + len(rollout.completion_ids)
            ids[row, :end] = torch.tensor([*rollout.prompt_ids, *rollout.completion_ids])
            is_there[row, :end] = True
            is_sampled[row, first:end] = torch.tensor(rollout.mask, dtype=torch.bool)
            recorded[row, first:end] = torch.tensor(rollout.logprobs, dtype=torch.float32)
        return cls(
            ids=ids.to(device), is_there=is_there.to(device), is_sampled=is_sampled[:, 1:].to(device),
            recorded=recorded[:, 1:].to(device),
        )  # fmt: skip

    def rows(self, rows: slice) -> Batch:
        """Some of its episodes, as long as the longest of all."""
        return Batch(**{name: value[rows] for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class TokenScores:
    """What a policy says now of the tokens of a batch, ids[:, 1:]; gradients flow through both."""

    logprobs: torch.Tensor
    """float32 [episodes, tokens - 1]: natural logarithms of their probabilities; 0 where they were not sampled."""
    entropy: torch.Tensor
    """float32 [episodes, tokens - 1]: of the distribution they were drawn from, in nats; 0 where they were not sampled."""

    def rows(self, rows: slice) -> TokenScores:
        """Those of some of its episodes."""
        return TokenScores(logprobs=self.logprobs[rows], entropy=self.entropy[rows])

    @classmethod
    def joined(cls, parts: Sequence[TokenScores]) -> TokenScores:
        """Of all episodes of some batches of one length."""
        return cls(logprobs=torch.cat([one.logprobs for one in parts]), entropy=torch.cat([one.entropy for one in parts]))

    @classmethod
    def of(cls, logits: torch.Tensor, batch: Batch) -> TokenScores:
        """From float logits [episodes, tokens - 1, vocabulary], -inf for tokens that may not be said."""
        every = torch.log_softmax(logits.float(), dim=-1)
        chosen = every.gather(-1, batch.ids[:, 1:, None]).squeeze(-1)
        # 0 log 0 is 0; as 0 * -inf it would be no number
        summed = -(every.exp() * every.masked_fill(every.isinf(), 0.0)).sum(-1)
        return cls(
            logprobs=torch.where(batch.is_sampled, chosen, 0.0),
            entropy=torch.where(batch.is_sampled, summed, 0.0),
        )
