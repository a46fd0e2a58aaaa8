"""The meta maze: one fixed maze with a goal that stays where it is for an episode and is never shown; many at once.

The maze has 9 by 9 cells inside a wall: the odd rows are open from end to end, and openings in every second column
join them. The agent starts in the middle. Stepping onto the goal earns 10 and throws the agent onto a cell drawn at
random; the goal stays, so it pays to find it again. The rules are those of gymnax's MetaMaze-misc: reaching the goal does
not end the episode, but being thrown onto the goal by chance does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

HORIZON = 199
"""How many steps of an episode are scored."""
TIME_LIMIT = 200
"""After how many steps the environment itself ends an episode."""
OBSERVATION_SHAPE = (15,)
OBSERVATION_TYPE = "float32"
ACTIONS = 4
"""How many actions there are to choose from: up, right, down, left."""

GOAL_REWARD = 10.0
START = (5, 5)
DIRECTIONS = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])
FREE = np.array(
    [[0 < row < 10 and 0 < column < 10 and (row % 2 == 1 or column % 2 == 1) for column in range(11)] for row in range(11)]
)
CELLS = np.argwhere(FREE)
"""The 65 cells that can be entered, as (row, column)."""
AROUND = np.zeros((11, 11, 9), np.float32)
"""The 3 by 3 walls (1) and openings (0) around each cell, row by row."""
for _row, _column in CELLS:
    AROUND[_row, _column] = ~FREE[_row - 1 : _row + 2, _column - 1 : _column + 2].reshape(9)


class Step(NamedTuple):
    """What a step brought, one row for each maze."""

    observations: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    """Where the agent was thrown onto the goal."""
    truncated: np.ndarray
    """Where the time ran out."""


class Simulator:
    """Many mazes side by side; none starts anew before `reset` is asked to."""

    def __init__(self, count: int, generator: np.random.Generator, *, as_published: bool = False) -> None:
        """Put up `count` mazes; the published rules are the same."""
        self.count = count
        self.position = np.zeros((count, 2), np.int64)
        self.goal = np.zeros((count, 2), np.int64)
        self.last_action = np.zeros(count, np.int64)
        self.last_reward = np.zeros(count, np.float64)
        self.time = np.zeros(count, np.int64)
        self._generator = generator
        self._all = np.arange(count)

    def reset(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Start new episodes in the rows that are true, or in all, and return all observations."""
        rows = np.ones(self.count, bool) if rows is None else rows
        self.goal[rows] = CELLS[self._generator.integers(0, len(CELLS), self.count)[rows]]
        self.position[rows] = START
        self.last_action[rows] = 0
        self.last_reward[rows] = 0
        self.time[rows] = 0
        return self.observations()

    def step(self, actions: np.ndarray) -> Step:
        """Take one step in each maze: 0 up, 1 right, 2 down, 3 left. A wall leaves the agent where it is."""
        actions = np.asarray(actions, np.int64)
        ahead = self.position + DIRECTIONS[actions]
        open_ahead = FREE[ahead[:, 0], ahead[:, 1]]
        position = np.where(open_ahead[:, None], ahead, self.position)
        found = (position == self.goal).all(axis=1)
        thrown_to = CELLS[self._generator.integers(0, len(CELLS), self.count)]
        self.position = np.where(found[:, None], thrown_to, position)
        self.last_action = actions
        self.last_reward = GOAL_REWARD * found
        self.time = self.time + 1
        terminated = (self.position == self.goal).all(axis=1)
        return Step(self.observations(), self.last_reward, terminated, self.time >= TIME_LIMIT)

    def observations(self) -> np.ndarray:
        """Return what is seen, as float32 of shape (count, 15).

        These are the 9 walls around, the last action (4 numbers, one of them 1), the last reward and the time.
        """
        seen = np.zeros((self.count, 15), np.float32)
        seen[:, :9] = AROUND[self.position[:, 0], self.position[:, 1]]
        seen[self._all, 9 + self.last_action] = 1
        seen[:, 13] = self.last_reward
        seen[:, 14] = self.time
        return seen
