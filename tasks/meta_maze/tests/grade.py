"""Plays the submitted policies in the judge's own simulator and reports what they earn.

The agent's policy.py and checkpoints run in the player's sandbox. Every checkpoint is played in several rollouts of many
environments; all rollouts advance together, one message per step. A message holds the observations as bytes and nothing
else, the answer one action for each environment, as bytes too. The judge simulates, counts steps and adds up rewards
itself. An episode counts until its first end; from then on its observations are zeros and its actions are ignored.

Clean scoring draws every rollout's episodes afresh, from a seed the player cannot know. Parity scoring is the published
evaluation: the same five fixed seeds for every checkpoint, and the published rules of the simulator.

This file is the same in the three tasks of this kind; what differs is in simulator.py.
"""

from __future__ import annotations

import importlib.util
import math
import reprlib
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from mlgym_judge import Context, Player, Rejected, run

METRIC = "Reward Mean"
ENDINGS = (".safetensors", ".npz")
CHECKPOINT_LIMIT_BYTES = 64 * 1024 * 1024
LOADING_TIMEOUT_SECONDS = 120.0
STEP_TIMEOUT_SECONDS = 20.0
PLAYING_TIMEOUT_SECONDS = {"full": 1_200.0, "mini": 300.0}
SPLITS = {"dev": 1, "test": 2}


def simulator_beside(program: Path) -> ModuleType:
    """Return the judge's own simulator, from the folder of this program, wherever else a file of that name may be."""
    specification = importlib.util.spec_from_file_location("judges_simulator", program.with_name("simulator.py"))
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


rules = simulator_beside(Path(__file__).resolve())


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is played."""

    checkpoints: int
    rollouts: int
    environments: int

    @property
    def rows(self) -> int:
        """Return the number of episodes."""
        return self.checkpoints * self.rollouts * self.environments


SIZES = {
    "full": Sizes(checkpoints=5, rollouts=5, environments=256),
    "mini": Sizes(checkpoints=2, rollouts=5, environments=64),
}


def grade(context: Context) -> dict[str, float]:
    """Return the mean and the spread of the episodes' rewards."""
    sizes = SIZES[context.variant]
    names = checkpoint_names(context.submission / "checkpoints", sizes.checkpoints)
    parity = bool(getattr(context, "parity", False))
    seeds = published_seeds(sizes) if parity else fresh_seeds(sizes, context.split, context.seed)
    worlds = [rules.Simulator(sizes.environments, np.random.default_rng(seed), as_published=parity) for seed in seeds]
    with context.player() as player:
        load(player, names, sizes)
        returns = played(player, worlds, sizes, PLAYING_TIMEOUT_SECONDS[context.variant])
    return summary(returns)


def checkpoint_names(folder: Path, count: int) -> list[str]:
    """Return the checkpoints' file names, in order.

    Raises:
        Rejected: One is missing, there twice or too large.
    """
    names = []
    for number in range(count):
        found = [f"{number}{ending}" for ending in ENDINGS if (folder / f"{number}{ending}").is_file()]
        if len(found) != 1:
            there = ", ".join(found) or "neither"
            raise Rejected(f"expected checkpoints/{number}.safetensors or checkpoints/{number}.npz, found {there}")
        size = (folder / found[0]).stat().st_size
        if size > CHECKPOINT_LIMIT_BYTES:
            raise Rejected(f"checkpoints/{found[0]} has {size} bytes; at most {CHECKPOINT_LIMIT_BYTES} are taken")
        names += found
    return names


def fresh_seeds(sizes: Sizes, split: str, seed: int) -> list[np.random.SeedSequence]:
    """Return a seed for each rollout; no two rollouts share their draws, so that none can foretell another."""
    return np.random.SeedSequence([seed, SPLITS[split]]).spawn(sizes.checkpoints * sizes.rollouts)


def published_seeds(sizes: Sizes) -> list[int]:
    """Return the seeds 0, 1, 2, … for each checkpoint."""
    return list(range(sizes.rollouts)) * sizes.checkpoints


def load(player: Player, names: list[str], sizes: Sizes) -> None:
    """Have the player load every checkpoint and build the policies."""
    message = {
        "checkpoints": names,
        "rollouts": sizes.rollouts,
        "environments": sizes.environments,
        "shape": list(rules.OBSERVATION_SHAPE),
        "type": rules.OBSERVATION_TYPE,
        "actions": rules.ACTIONS,
    }
    if player.ask(message, LOADING_TIMEOUT_SECONDS, reply_limit_bytes=65_536) != {}:
        raise Rejected("the player did not confirm that the checkpoints are loaded")


def played(player: Player, worlds: list[Any], sizes: Sizes, limit_seconds: float) -> np.ndarray:
    """Return what each episode earned.

    Raises:
        Rejected: An answer is late or not made of actions.
    """
    deadline = time.monotonic() + limit_seconds
    observations = np.concatenate([world.reset() for world in worlds])
    returns, alive = np.zeros(sizes.rows), np.ones(sizes.rows, bool)
    for number in range(1, rules.HORIZON + 1):
        left_seconds = deadline - time.monotonic()
        if left_seconds <= 0:
            raise Rejected(f"the policies took more than {limit_seconds:.0f} seconds for {number - 1} steps")
        timeout_seconds = min(STEP_TIMEOUT_SECONDS, left_seconds)
        # base64 makes four bytes of three; what is over that is for JSON
        limit_bytes = 1024 + 2 * 4 * sizes.rows
        answer = player.ask({"observations": packed(observations)}, timeout_seconds, reply_limit_bytes=limit_bytes)
        actions = actions_of(answer, alive, sizes, number)
        steps = [world.step(chosen) for world, chosen in zip(worlds, np.split(actions, len(worlds)), strict=True)]
        returns += alive * np.concatenate([step.rewards for step in steps])
        alive &= ~np.concatenate([step.terminated | step.truncated for step in steps])
        if not alive.any():
            break
        observations = np.concatenate([step.observations for step in steps])
        observations[~alive] = 0
    return returns


def packed(observations: np.ndarray) -> bytes:
    """Return observations as bytes; yes and no take one bit each."""
    return (np.packbits(observations) if observations.dtype == bool else observations).tobytes()


def actions_of(answer: object, alive: np.ndarray, sizes: Sizes, number: int) -> np.ndarray:
    """Return the actions an answer holds; 0 where the episode has ended.

    Raises:
        Rejected: It is not one possible action for each environment.
    """
    kind = np.dtype(np.float32 if rules.ACTIONS is None else np.uint8)
    if not isinstance(answer, bytes) or len(answer) != sizes.rows * kind.itemsize:
        raise Rejected(f"step {number}: expected one action for each of {sizes.rows} environments, as bytes")
    actions = np.where(alive, np.frombuffer(answer, kind), kind.type(0))
    possible = np.isfinite(actions) if rules.ACTIONS is None else actions < rules.ACTIONS
    if not possible.all():
        row = int(np.argmin(possible))
        rollout, environment = divmod(row, sizes.environments)
        place = f"checkpoint {rollout // sizes.rollouts}, environment {environment}, step {number}"
        wanted = "a finite number" if rules.ACTIONS is None else f"a whole number from 0 to {rules.ACTIONS - 1}"
        raise Rejected(f"{place}: the action is {reprlib.repr(actions[row].item())}, expected {wanted}")
    return actions


def summary(returns: np.ndarray) -> dict[str, float]:
    """Return what is reported about the episodes' rewards."""
    deviation = float(returns.std())
    return {
        METRIC: float(returns.mean()),
        "Reward Std": deviation,
        "Reward Mean_standard_error": deviation / math.sqrt(len(returns)),
        "episodes": float(len(returns)),
    }


if __name__ == "__main__":
    run(grade)
