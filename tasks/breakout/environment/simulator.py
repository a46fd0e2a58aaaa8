"""MinAtar's Breakout, for many games at once.

A ball flies diagonally over a field of 10 by 10 cells; three rows of bricks lie near the top and a paddle one cell wide
moves along the bottom. A brick that is hit disappears, earns 1 and throws the ball back. When all bricks are gone and
the ball is at the bottom, three new rows appear. A game ends when the ball passes the paddle. Actions always do what
they say (no sticky actions), as in gymnax's Breakout-MinAtar.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

HORIZON = 999
"""How many steps of an episode are scored."""
TIME_LIMIT = 1000
"""After how many steps the environment itself ends an episode."""
OBSERVATION_SHAPE = (10, 10, 4)
OBSERVATION_TYPE = "bool"
ACTIONS = 3
"""How many actions there are to choose from: stay, left, right."""

SIDE = 10
BOTTOM = SIDE - 1
BRICK_ROWS = slice(1, 4)
STARTING_ROW = 3
STARTING_PADDLE = 4
MOVES = np.array([0, -1, 1])
PADDLE, BALL, TRAIL, BRICKS = range(4)


class Step(NamedTuple):
    """What a step brought, one row for each game."""

    observations: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    """Which games are lost."""
    truncated: np.ndarray
    """Which games ran out of time."""


class Simulator:
    """Many games side by side; none starts anew before `reset` is asked to."""

    def __init__(self, count: int, generator: np.random.Generator, *, as_published: bool = False) -> None:
        """Put up `count` games; the published rules are the same."""
        self.count = count
        self.paddle = np.zeros(count, np.int64)
        self.ball_row, self.ball_column = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.last_row, self.last_column = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.down, self.right = np.zeros(count, np.int64), np.zeros(count, np.int64)
        """The ball's direction: 1 or -1 for each."""
        self.strike = np.zeros(count, bool)
        """Whether the ball met a brick in the step before; it then flies through the next one."""
        self.bricks = np.zeros((count, SIDE, SIDE), bool)
        self.time = np.zeros(count, np.int64)
        self._generator = generator
        self._all = np.arange(count)

    def reset(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Start new games in the rows that are true, or in all, and return all observations."""
        rows = np.ones(self.count, bool) if rows is None else rows
        from_right = self._generator.integers(0, 2, self.count)[rows]
        self.paddle[rows] = STARTING_PADDLE
        self.ball_row[rows] = self.last_row[rows] = STARTING_ROW
        self.ball_column[rows] = self.last_column[rows] = from_right * (SIDE - 1)
        self.down[rows] = 1
        self.right[rows] = 1 - 2 * from_right
        self.strike[rows] = False
        self.bricks[rows] = False
        self.bricks[rows, BRICK_ROWS] = True
        self.time[rows] = 0
        return self.observations()

    def step(self, actions: np.ndarray) -> Step:
        """Move each paddle by its action (0 stay, 1 left, 2 right), then each ball."""
        self.paddle = np.clip(self.paddle + MOVES[actions], 0, SIDE - 1)
        old_row, old_column = self.ball_row, self.ball_column
        row, column = old_row + self.down, old_column + self.right

        at_wall = (column < 0) | (column >= SIDE)
        column = np.clip(column, 0, SIDE - 1)
        self.right = np.where(at_wall, -self.right, self.right)
        at_top = row < 0
        row = np.clip(row, 0, BOTTOM)  # a game that is lost already may go on, without a meaning
        self.down = np.where(at_top, -self.down, self.down)

        on_brick = ~at_top & self.bricks[self._all, row, column]
        hit = on_brick & ~self.strike
        self.bricks[self._all[hit], row[hit], column[hit]] = False
        self.strike = on_brick

        at_bottom = ~on_brick & ~at_top & (row == BOTTOM)
        refilled = at_bottom.copy()
        refilled[at_bottom] = ~self.bricks[at_bottom].any(axis=(1, 2))
        self.bricks[refilled, BRICK_ROWS] = True
        straight_back = at_bottom & (old_column == self.paddle)
        way_it_came = at_bottom & ~straight_back & (column == self.paddle)
        lost = at_bottom & ~straight_back & ~way_it_came

        bounced = hit | straight_back | way_it_came
        self.down = np.where(bounced, -self.down, self.down)
        self.right = np.where(way_it_came, -self.right, self.right)
        self.last_row, self.last_column = old_row, old_column
        self.ball_row, self.ball_column = np.where(bounced, old_row, row), column
        self.time = self.time + 1
        return Step(self.observations(), hit.astype(np.float64), lost, self.time >= TIME_LIMIT)

    def observations(self) -> np.ndarray:
        """Return what is where, as bool of shape (count, 10, 10, 4): paddle, ball, trail of the ball, bricks."""
        seen = np.zeros((self.count, SIDE, SIDE, 4), bool)
        seen[self._all, BOTTOM, self.paddle, PADDLE] = True
        seen[self._all, self.ball_row, self.ball_column, BALL] = True
        seen[self._all, self.last_row, self.last_column, TRAIL] = True
        seen[..., BRICKS] = self.bricks
        return seen
