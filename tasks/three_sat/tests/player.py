"""Asks the agent's heuristic.py at the judge's request; it runs in the player's sandbox.

The judge sends {"instances": [...], "queries": [...]} to begin a set of instances, and {"queries": [...]} from then
on. An instance is [variables, clauses]. A query is [number of the instance, levels, conflicts]: the literals that hold,
level by level, and the variables whose conflict count rose since the last query. The answer is a list with one pair
[variable, value] for each query. What the agent's code gets is built afresh for each call.
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

Heuristic = Callable[..., Any]


def load_heuristic(path: Path) -> Heuristic:
    """Return heuristic_fn of the agent's file, without putting the agent's folder on the import path."""
    specification = importlib.util.spec_from_file_location("heuristic", path)
    if specification is None or specification.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(specification)
    sys.modules["heuristic"] = module
    specification.loader.exec_module(module)
    heuristic: Heuristic = module.heuristic_fn
    return heuristic


class Instance:
    """What is known of one formula: its clauses and conflicts, but not how its search goes."""

    def __init__(self, variables: int, clauses: list[list[int]]) -> None:
        """Begin without conflicts."""
        self._clauses = clauses
        self._conflict_count = dict.fromkeys(range(1, variables + 1), 0)

    def arguments(self, levels: list[list[int]], conflicts: list[int]) -> tuple[Any, ...]:
        """Return the heuristic's arguments as objects of their own."""
        for variable in conflicts:
            self._conflict_count[variable] += 1
        true = {literal for level in levels for literal in level}
        return (
            [clause.copy() for clause in self._clauses if true.isdisjoint(clause)],
            {abs(literal): literal > 0 for level in levels for literal in level},
            self._conflict_count.copy(),
            [abs(literal) for level in levels for literal in level],
            [[abs(literal) for literal in level] for level in levels],
        )


class Adviser:
    """All instances of one set, between two messages of the judge."""

    def __init__(self) -> None:
        """Begin without instances; the heuristic is loaded once the generators are seeded."""
        self._heuristic: Heuristic | None = None
        self._instances: list[Instance] = []

    def answer(self, message: Any) -> list[tuple[int, bool]]:
        """Take in the judge's message and return what the heuristic chooses in each query."""
        if self._heuristic is None:
            self._heuristic = load_heuristic(Path("heuristic.py").resolve())
        if "instances" in message:
            self._instances = [Instance(*instance) for instance in message["instances"]]
        return [
            plain_choice(self._heuristic(*self._instances[number].arguments(levels, conflicts)))
            for number, levels, conflicts in message["queries"]
        ]


def plain_choice(choice: Any) -> tuple[int, bool]:
    """Return a choice as a plain number and a plain truth value; numpy's kinds are taken as well.

    Raises:
        TypeError: It is something else.
    """
    try:
        variable, value = choice
        value = value.item() if hasattr(value, "item") else value
        if not isinstance(value, bool):
            raise TypeError
        return operator.index(variable), value
    except (TypeError, ValueError):
        raise TypeError(f"heuristic_fn returned {reprlib.repr(choice)}, expected a pair (variable, True or False)") from None


if __name__ == "__main__":
    mlgym_player.serve(Adviser().answer)
