"""The policy that is scored: a network that chooses among the actions by chance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

OBSERVATION_SIZE = 10 * 10 * 4
ACTIONS = 3


class Network(nn.Module):
    """Two separate perceptrons with two hidden layers: one scores the actions, the other estimates the return."""

    def __init__(self, width: int) -> None:
        """Give both perceptrons hidden layers of this width."""
        super().__init__()
        self.actor = perceptron(OBSERVATION_SIZE, width, ACTIONS)
        self.critic = perceptron(OBSERVATION_SIZE, width, 1)

    def scores(self, observations: torch.Tensor) -> torch.Tensor:
        """Return a score (logit) for each action."""
        return self.actor(observations.float().flatten(1))

    def values(self, observations: torch.Tensor) -> torch.Tensor:
        """Return the expected discounted return."""
        return self.critic(observations.float().flatten(1)).squeeze(1)


def perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Return a perceptron with two hidden layers."""
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs))


def build(weights: dict[str, np.ndarray], seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the policy for one checkpoint: a function from a batch of observations to a batch of actions."""
    network = Network(width=len(weights["actor.0.bias"]))
    network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def act(observations: np.ndarray) -> np.ndarray:
        chances = network.scores(torch.from_numpy(observations)).softmax(1)
        return torch.multinomial(chances, 1, generator=generator).squeeze(1).numpy()

    return act
