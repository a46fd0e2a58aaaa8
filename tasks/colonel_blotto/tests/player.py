"""Plays the agent's strategy.py at the judge's request; it runs in the player's sandbox and keeps the histories.

The judge sends {"games": n} to begin, and {"columns": [...]}, the opponent's last allocations, for each further
round. The answer is the list of the strategy's next allocations, one for each game.
"""

from __future__ import annotations

import importlib.util
import operator
import reprlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlgym_player

Allocation = tuple[int, ...]
Strategy = Callable[[list[tuple[Allocation, Allocation]]], Any]


def load_strategy(path: Path) -> Strategy:
    """Return row_strategy of the agent's file, without putting the agent's folder on the import path."""
    specification = importlib.util.spec_from_file_location("strategy", path)
    if specification is None or specification.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(specification)
    sys.modules["strategy"] = module
    specification.loader.exec_module(module)
    strategy: Strategy = module.row_strategy
    return strategy


class Table:
    """All games of one grading, between two messages of the judge."""

    def __init__(self) -> None:
        """Begin without a game; the strategy is loaded once the generators are seeded."""
        self._strategy: Strategy | None = None
        self._histories: list[list[tuple[Allocation, Allocation]]] = []
        self._moves: list[Allocation] = []

    def play(self, message: Any) -> list[Allocation]:
        """Take in the judge's message and return the strategy's next allocations."""
        if self._strategy is None:
            self._strategy = load_strategy(Path("strategy.py").resolve())
            self._histories = [[] for _ in range(message["games"])]
        else:
            for history, own, other in zip(self._histories, self._moves, message["columns"], strict=True):
                history.append((own, tuple(other)))
        self._moves = [self._move(self._strategy, game) for game in range(len(self._histories))]
        return self._moves

    def _move(self, strategy: Strategy, game: int) -> Allocation:
        """Ask the strategy for one allocation; it gets a copy of the history, to do with as it likes."""
        history = self._histories[game]
        move = strategy(history.copy())
        try:
            return tuple(map(operator.index, move))
        except TypeError:
            place = f"game {game + 1}, round {len(history) + 1}"
            raise TypeError(f"{place}: row_strategy returned {reprlib.repr(move)}, expected six whole numbers") from None


if __name__ == "__main__":
    mlgym_player.serve(Table().play)
