"""Decides formulas of clauses with three literals by search, and leaves each choice of a literal to whoever drives it.

A literal is a whole number: 3 says that variable 3 is true, -3 that it is false. A `Search` is a generator's worth of
work: `steps()` runs until a choice is needed, yields, takes the variable and value to try first, and returns whether
the formula can be satisfied. It propagates units, tries both values of what was chosen, and learns nothing. Which
choices it is given decides how long it takes and never what it returns.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import pairwise

Clause = tuple[int, int, int]


class Search:
    """One formula on its way to an answer; it lives until the answer is known and knows nothing of who chooses."""

    def __init__(self, variables: int, clauses: Sequence[Clause]) -> None:
        """Begin with nothing assigned; each clause must name three different variables of 1 to `variables`."""
        self.variables = variables
        self.clauses = clauses
        self.holds = [False] * (2 * variables + 1)
        """By literal, negative ones from the end: whether it has been made true."""
        self.conflicts: list[int] = []
        """Variables that a propagation assigned in contradiction to a clause, since this was last emptied."""
        self._trail: list[int] = []
        self._order = [0] * (variables + 1)
        self._level_starts: list[int] = []
        self._counted = 0
        self._true_literals = [0] * len(clauses)
        self._open_literals = [3] * len(clauses)
        self._unresolved = len(clauses)
        self._occurrences: list[list[int]] = [[] for _ in range(2 * variables + 1)]
        for number, clause in enumerate(clauses):
            for literal in clause:
                self._occurrences[literal].append(number)

    def steps(self) -> Generator[None, tuple[int, bool], bool]:
        """Search; at each yield an unassigned variable and its first value are wanted. Return whether it can be satisfied."""
        others: list[int] = []
        while self._unresolved:
            variable, value = yield
            literal = variable if value else -variable
            others.append(-literal)
            consistent = self._assume(literal)
            while not consistent:
                self._retract()
                if others[-1]:
                    literal, others[-1] = others[-1], 0
                    consistent = self._assume(literal)
                    continue
                others.pop()
                if not others:
                    return False
        return True

    def levels(self) -> list[list[int]]:
        """Return for each choice in force its literal and then those propagated from it, oldest first."""
        bounds = [*self._level_starts, len(self._trail)]
        return [self._trail[start:end] for start, end in pairwise(bounds)]

    def is_open(self, variable: int) -> bool:
        """Say whether there is such a variable, without a value so far."""
        return 1 <= variable <= self.variables and not (self.holds[variable] or self.holds[-variable])

    def _assume(self, literal: int) -> bool:
        """Open a level with a literal and propagate; return whether no clause is contradicted."""
        self._level_starts.append(len(self._trail))
        self._make_true(literal)
        while self._counted < len(self._trail):
            if not self._propagate(self._trail[self._counted]):
                return False
        return True

    def _propagate(self, literal: int) -> bool:
        """Count what a true literal does to its clauses; return whether no clause is contradicted."""
        true_literals, open_literals, holds = self._true_literals, self._open_literals, self.holds
        self._counted += 1
        for number in self._occurrences[literal]:
            self._unresolved -= not true_literals[number]
            true_literals[number] += 1
        consistent = True
        for number in self._occurrences[-literal]:
            open_literals[number] -= 1
            if open_literals[number] == 1 and not true_literals[number] and consistent:
                clause = self.clauses[number]
                last = next((other for other in clause if not holds[-other]), 0)
                if not last:
                    self.conflicts.append(max(map(abs, clause), key=self._order.__getitem__))
                    consistent = False
                elif not holds[last]:
                    self._make_true(last)
        return consistent

    def _make_true(self, literal: int) -> None:
        """Give a variable a value, whose consequences are counted later."""
        self.holds[literal] = True
        self._order[abs(literal)] = len(self._trail)
        self._trail.append(literal)

    def _retract(self) -> None:
        """Take back the last level."""
        true_literals, open_literals = self._true_literals, self._open_literals
        start = self._level_starts.pop()
        for literal in self._trail[start : self._counted]:
            for number in self._occurrences[literal]:
                true_literals[number] -= 1
                self._unresolved += not true_literals[number]
            for number in self._occurrences[-literal]:
                open_literals[number] += 1
        for literal in self._trail[start:]:
            self.holds[literal] = False
        del self._trail[start:]
        self._counted = start
