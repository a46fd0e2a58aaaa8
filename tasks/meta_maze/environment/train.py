"""Trains the checkpoints that are scored, with proximal policy optimisation (PPO); each comes from a run of its own.

`python train.py` trains with the variant's settings; `python train.py --help` lists what can be set.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from policy import Network
from safetensors.torch import save_file
from simulator import Simulator
from torch.distributions import Categorical

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a training run is like; the defaults are the full variant's."""

    checkpoints: int = 5
    steps: int = 10_000_000
    environments: int = 64
    rollout: int = 32
    epochs: int = 4
    minibatches: int = 8
    width: int = 256
    learning_rate: float = 5e-4
    gamma: float = 0.99
    smoothing: float = 0.95
    clip: float = 0.2
    entropy: float = 0.01
    threads: int = 4


MINI = {"checkpoints": 2, "steps": 200_000, "minibatches": 4, "width": 64, "threads": 1}


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What one stretch of play brought: tensors of (steps, environments, ...)."""

    observations: torch.Tensor
    actions: torch.Tensor
    log_probabilities: torch.Tensor
    rewards: torch.Tensor
    ended: torch.Tensor
    values: torch.Tensor
    """One row more than there are steps."""


def train(settings: Settings, seed: int) -> Network:
    """Return a network trained from scratch."""
    torch.manual_seed(seed)
    network = Network(settings.width).to(DEVICE)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, eps=1e-5)
    simulator = Simulator(settings.environments, np.random.default_rng(seed))
    simulator.reset()
    returns = Returns(settings.environments)
    updates = settings.steps // (settings.environments * settings.rollout)
    began = time.monotonic()
    for update in range(1, updates + 1):
        rollout = play(network, simulator, settings, returns)
        improve(network, optimiser, rollout, settings)
        if update % max(1, updates // 10) == 0:
            seconds = time.monotonic() - began
            print(f"run {seed}: update {update}/{updates}, mean return {returns.mean():.2f}, {seconds:.0f} s", flush=True)
    return network


class Returns:
    """The returns of the latest episodes, for the log; one lives for one training run."""

    def __init__(self, environments: int) -> None:
        """Begin with nothing earned."""
        self._running = np.zeros(environments)
        self._latest: list[float] = []

    def count(self, rewards: np.ndarray, ended: np.ndarray) -> None:
        """Take in one step of all environments."""
        self._running += rewards
        self._latest = (self._latest + self._running[ended].tolist())[-200:]
        self._running[ended] = 0

    def mean(self) -> float:
        """Return the mean over the latest 200 episodes."""
        return float(np.mean(self._latest)) if self._latest else float("nan")


@torch.no_grad()
def play(network: Network, simulator: Simulator, settings: Settings, returns: Returns) -> Rollout:
    """Play on from where the simulator stands, starting anew whatever ends."""
    seen, done, chances, gains, ends, values = [], [], [], [], [], []
    observations = torch.from_numpy(simulator.observations()).to(DEVICE)
    for _ in range(settings.rollout):
        distribution = Categorical(logits=network.scores(observations), validate_args=False)
        actions = distribution.sample()
        step = simulator.step(actions.cpu().numpy())
        ended = step.terminated | step.truncated
        returns.count(step.rewards, ended)
        seen.append(observations)
        done.append(actions)
        chances.append(distribution.log_prob(actions))
        gains.append(torch.from_numpy(step.rewards).float())
        ends.append(torch.from_numpy(ended).float())
        values.append(network.values(observations))
        observations = torch.from_numpy(simulator.reset(ended) if ended.any() else step.observations).to(DEVICE)
    values.append(network.values(observations))
    return Rollout(
        observations=torch.stack(seen),
        actions=torch.stack(done),
        log_probabilities=torch.stack(chances),
        rewards=torch.stack(gains).to(DEVICE),
        ended=torch.stack(ends).to(DEVICE),
        values=torch.stack(values),
    )


def advantages_of(rollout: Rollout, settings: Settings) -> torch.Tensor:
    """Return how much better than expected each action was (generalised advantage estimation)."""
    advantages = torch.zeros_like(rollout.rewards)
    later = torch.zeros_like(rollout.rewards[0])
    for step in reversed(range(settings.rollout)):
        goes_on = 1 - rollout.ended[step]
        surprise = rollout.rewards[step] + settings.gamma * goes_on * rollout.values[step + 1] - rollout.values[step]
        later = surprise + settings.gamma * settings.smoothing * goes_on * later
        advantages[step] = later
    return advantages


def improve(network: Network, optimiser: torch.optim.Optimizer, rollout: Rollout, settings: Settings) -> None:
    """Take several passes of gradient steps over a rollout."""
    advantages = advantages_of(rollout, settings)
    targets = (advantages + rollout.values[:-1]).flatten()
    advantages = advantages.flatten()
    observations, actions = rollout.observations.flatten(0, 1), rollout.actions.flatten(0, 1)
    old = rollout.log_probabilities.flatten()
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(old), device=DEVICE).chunk(settings.minibatches):
            distribution = Categorical(logits=network.scores(observations[rows]), validate_args=False)
            gain = advantages[rows]
            gain = (gain - gain.mean()) / (gain.std() + 1e-8)
            ratio = (distribution.log_prob(actions[rows]) - old[rows]).exp()
            limited = ratio.clamp(1 - settings.clip, 1 + settings.clip)
            loss = -torch.minimum(ratio * gain, limited * gain).mean()
            loss += 0.5 * (network.values(observations[rows]) - targets[rows]).square().mean()
            loss -= settings.entropy * distribution.entropy().mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
            optimiser.step()


def settings_asked_for() -> Settings:
    """Return the variant's settings, changed as the command line says."""
    chosen = MINI if os.environ.get("MLGYM_LITE_VARIANT") == "mini" else {}
    parser = argparse.ArgumentParser(description=__doc__)
    for field in fields(Settings):
        kind = int if isinstance(field.default, int) else float
        default = chosen.get(field.name, field.default)
        parser.add_argument("--" + field.name.replace("_", "-"), type=kind, default=default, help=f"default {default}")
    return Settings(**vars(parser.parse_args()))


def main() -> None:
    """Train and save all checkpoints."""
    settings = settings_asked_for()
    torch.set_num_threads(min(settings.threads, os.cpu_count() or 1))
    folder = Path("checkpoints")
    folder.mkdir(exist_ok=True)
    for number in range(settings.checkpoints):
        network = train(settings, seed=number).cpu()
        save_file(network.state_dict(), folder / f"{number}.safetensors")


if __name__ == "__main__":
    main()
