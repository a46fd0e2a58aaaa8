"""The policy that is scored: a network that draws a force from a bell curve."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

SCALE = torch.tensor([1.0, 15.0])
"""Brings the velocity (up to 0.07) into the range of the position."""


class Network(nn.Module):
    """Two separate perceptrons: one gives the mean of the force, the other estimates the return."""

    def __init__(self, width: int, layers: int, deviation: float = 1.0) -> None:
        """Give both perceptrons so many hidden layers of this width; begin with this standard deviation."""
        super().__init__()
        self.actor = perceptron(width, layers)
        self.critic = perceptron(width, layers)
        self.log_deviation = nn.Parameter(torch.tensor(deviation).log())

    def means(self, observations: torch.Tensor) -> torch.Tensor:
        """Return the mean of the force."""
        return self.actor(observations * SCALE.to(observations.device)).squeeze(1)

    def deviation(self) -> torch.Tensor:
        """Return the standard deviation of the force, which is the same everywhere."""
        return self.log_deviation.exp()

    def values(self, observations: torch.Tensor) -> torch.Tensor:
        """Return the expected discounted return."""
        return self.critic(observations * SCALE.to(observations.device)).squeeze(1)


def perceptron(width: int, layers: int) -> nn.Sequential:
    """Return a perceptron from an observation to one number."""
    parts: list[nn.Module] = [nn.Linear(2, width), nn.ReLU()]
    for _ in range(layers - 1):
        parts += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(width, 1))


def build(weights: dict[str, np.ndarray], seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the policy for one checkpoint: a function from a batch of observations to a batch of actions."""
    layers = sum(name.startswith("actor.") and name.endswith(".bias") for name in weights) - 1
    network = Network(width=len(weights["actor.0.bias"]), layers=layers)
    network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def act(observations: np.ndarray) -> np.ndarray:
        means = network.means(torch.from_numpy(observations))
        return (means + network.deviation() * torch.randn(means.shape, generator=generator)).numpy()

    return act
