"""The policy that is scored: a network that draws a force from a bell curve."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

OBSERVATION_SIZE = 2
HIDDEN_LAYERS = 4


class Network(nn.Module):
    """Two separate perceptrons: one gives the mean of the force, the other estimates the return."""

    def __init__(self, width: int) -> None:
        """Give both perceptrons hidden layers of this width."""
        super().__init__()
        self.actor = perceptron(OBSERVATION_SIZE, width, 1)
        self.critic = perceptron(OBSERVATION_SIZE, width, 1)
        self.log_deviation = nn.Parameter(torch.zeros(()))

    def means(self, observations: torch.Tensor) -> torch.Tensor:
        """Return the mean of the force."""
        return self.actor(observations).squeeze(1)

    def deviation(self) -> torch.Tensor:
        """Return the standard deviation of the force, which is the same everywhere."""
        return self.log_deviation.exp()

    def values(self, observations: torch.Tensor) -> torch.Tensor:
        """Return the expected discounted return."""
        return self.critic(observations).squeeze(1)


def perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Return a perceptron with hidden layers of one width."""
    layers: list[nn.Module] = []
    for _ in range(HIDDEN_LAYERS):
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def build(weights: dict[str, np.ndarray], seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the policy for one checkpoint: a function from a batch of observations to a batch of actions."""
    network = Network(width=len(weights["actor.0.bias"]))
    network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def act(observations: np.ndarray) -> np.ndarray:
        means = network.means(torch.from_numpy(observations))
        return (means + network.deviation() * torch.randn(means.shape, generator=generator)).numpy()

    return act
