"""The mountain car with a continuous force, for many cars at once.

A car stands in a valley and is too weak to climb the right hill straight away. Its observation is its position and its
velocity; its action is a force from -1 to 1, and larger numbers count as -1 or 1. Reaching the goal earns 100 and ends
the episode; each step costs a tenth of the force squared. Rules and constants are those of gymnax's
MountainCarContinuous-v0: a car at the left end stands still there until its velocity has turned.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

HORIZON = 200
"""How many steps of an episode are scored."""
TIME_LIMIT = 999
"""After how many steps the environment itself ends an episode."""
OBSERVATION_SHAPE = (2,)
OBSERVATION_TYPE = "float32"
ACTIONS = None
"""How many actions there are to choose from; None stands for one real number."""

LOWEST_POSITION, HIGHEST_POSITION, GOAL = -1.2, 0.6, 0.45
HIGHEST_SPEED = 0.07
POWER = 0.0015
GRAVITY = 0.0025
PRICE_OF_FORCE = 0.1
GOAL_REWARD = 100.0


class Step(NamedTuple):
    """What a step brought, one row for each car."""

    observations: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    """Which cars reached the goal."""
    truncated: np.ndarray
    """Which cars ran out of time."""


class Simulator:
    """Many cars side by side; none starts anew before `reset` is asked to."""

    def __init__(self, count: int, generator: np.random.Generator, *, as_published: bool = False) -> None:
        """Put up `count` cars; `as_published` charges the force asked for instead of the force applied."""
        self.count = count
        self.position = np.zeros(count, np.float32)
        self.velocity = np.zeros(count, np.float32)
        self.time = np.zeros(count, np.int64)
        self._generator = generator
        self._as_published = as_published

    def reset(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Start new episodes in the rows that are true, or in all, and return all observations."""
        rows = np.ones(self.count, bool) if rows is None else rows
        start = (-0.6 + 0.2 * self._generator.random(self.count)).astype(np.float32)
        self.position = np.where(rows, start, self.position)
        self.velocity = np.where(rows, np.float32(0), self.velocity)
        self.time = np.where(rows, 0, self.time)
        return self.observations()

    def step(self, actions: np.ndarray) -> Step:
        """Apply one force to each car."""
        asked = np.asarray(actions, np.float64).reshape(self.count)
        force = np.clip(asked, -1, 1)
        velocity = self.velocity + force.astype(np.float32) * POWER - np.cos(3 * self.position) * GRAVITY
        velocity = np.clip(velocity, -HIGHEST_SPEED, HIGHEST_SPEED)
        position = np.clip(self.position + velocity, LOWEST_POSITION, HIGHEST_POSITION)
        velocity[(position >= GOAL) & (velocity < 0)] = 0
        self.position, self.velocity, self.time = position, velocity, self.time + 1
        reached = (position >= GOAL) & (velocity >= 0)
        charged = asked if self._as_published else force
        rewards = GOAL_REWARD * reached - PRICE_OF_FORCE * charged**2
        return Step(self.observations(), rewards, reached, self.time >= TIME_LIMIT)

    def observations(self) -> np.ndarray:
        """Return position and velocity of each car, as float32 of shape (count, 2)."""
        return np.stack([self.position, self.velocity], axis=1)
