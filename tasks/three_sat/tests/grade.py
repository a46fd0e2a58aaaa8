"""Solves formulas with the submitted heuristic's choices and counts how many choices that takes.

The solver lives here, in the judge, with one search for each formula. All searches advance together: the judge sends
the state of each that wants a choice in one message and gets all choices in the answer, so that the link is used once
per round. Whatever is chosen, a search tries both values, so a heuristic can make the solver slow but never wrong, and
nothing the player holds is an answer to be kept from it.

The clock of `Time` is the judge's: its own CPU time in the searches, and the wall time for which it waited for the
player. The player's own word on its CPU time is not asked for.
"""

from __future__ import annotations

import math
import random
import reprlib
import statistics
import sys
import time
from collections.abc import Generator
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

from mlgym_judge import Context, Player, Rejected, run

sys.path.insert(0, str(Path(__file__).resolve().parent))
from solver import Clause, Search

EASY_SIZES, EASY_RATIOS = range(3, 11), range(2, 12)
HARD_SIZES, HARD_RATIO = range(30, 61, 6), 4.26
EASY_REPETITIONS = {"full": 300, "mini": 10}
HARD_REPETITIONS = {"full": 40, "mini": 10}
DECISIONS_LIMIT = 4_000
DECISIONS_PENALTY = 8_000
"""What a search counts that was broken off at the limit."""
ROUND_TIMEOUT_SECONDS = 60.0
WAITING_LIMIT_SECONDS = {"full": 600.0, "mini": 120.0}
"""For all rounds of a grading together."""
REPLY_LIMIT_BYTES = 8 * 1024 * 1024
PAPER_INSTANCES = 24_000
REFERENCE_SECONDS = 0.27
"""What the calibration would take on a machine on which the starter needs the published 16.158 seconds."""


class Instance(NamedTuple):
    """One formula that is to be decided."""

    variables: int
    clauses: list[Clause]


class Tier(NamedTuple):
    """What a set of instances took."""

    instances: list[Instance]
    decisions: list[int]
    """For each instance; the penalty where the search was broken off."""
    seconds: float
    """CPU time of the searches and wall time of the waiting for the player."""

    def by_size(self) -> dict[int, list[int]]:
        """Return the decisions of all instances of each size."""
        sizes: dict[int, list[int]] = {}
        for instance, decisions in zip(self.instances, self.decisions, strict=True):
            sizes.setdefault(instance.variables, []).append(decisions)
        return sizes


class Waiting:
    """The wall time the heuristic has taken in one grading, and how much it may take."""

    def __init__(self, limit_seconds: float) -> None:
        """Begin with nothing used."""
        self.seconds = 0.0
        self._limit_seconds = limit_seconds

    def ask(self, player: Player, message: object) -> object:
        """Return the player's answer.

        Raises:
            Rejected: The player is late in this round, or with all rounds together.
        """
        left_seconds = self._limit_seconds - self.seconds
        if left_seconds <= 0:
            raise Rejected(f"the heuristic took more than {self._limit_seconds:.0f} seconds in all")
        started = time.monotonic()
        answer = player.ask(message, min(ROUND_TIMEOUT_SECONDS, left_seconds), reply_limit_bytes=REPLY_LIMIT_BYTES)
        self.seconds += time.monotonic() - started
        return answer


def grade(context: Context) -> dict[str, float]:
    """Return the cost, its standard error and what it is made of; in parity the time the published instances take."""
    draws = random.Random(f"three_sat {context.split} {context.seed}")
    waiting = Waiting(WAITING_LIMIT_SECONDS[context.variant])
    with context.player() as player:
        before = calibration_seconds()
        easy = solved(player, easy_instances(draws, EASY_REPETITIONS[context.variant]), waiting)
        unit = (before + calibration_seconds()) / 2
        time_score = easy.seconds / unit * REFERENCE_SECONDS * PAPER_INSTANCES / len(easy.instances)
        if context.parity:
            return {"Time": time_score, "Decisions": float(sum(easy.decisions)), "instances": float(len(easy.instances))}
        hard = solved(player, hard_instances(draws, HARD_REPETITIONS[context.variant]), waiting)
    return summary(easy, hard) | {"Time": time_score}


@cache
def every_clause(variables: int) -> list[Clause]:
    """Return all clauses of three different variables."""
    return [
        (first * one, second * two, third * three)
        for first, second, third in combinations(range(1, variables + 1), 3)
        for one, two, three in product((1, -1), repeat=3)
    ]


def easy_instances(draws: random.Random, repetitions: int) -> list[Instance]:
    """Return formulas as MLGym's were: each size with each ratio of clauses to variables equally often."""
    return [
        Instance(size, draws.choices(every_clause(size), k=ratio * size))
        for size in EASY_SIZES
        for ratio in EASY_RATIOS
        for _ in range(repetitions)
    ]


def hard_instances(draws: random.Random, repetitions: int) -> list[Instance]:
    """Return formulas at the ratio at which about half can be satisfied, where searching takes longest."""
    return [
        Instance(size, draws.choices(every_clause(size), k=round(HARD_RATIO * size)))
        for size in HARD_SIZES
        for _ in range(repetitions)
    ]


def solved(player: Player, instances: list[Instance], waiting: Waiting) -> Tier:
    """Solve all instances together, asking the player for each choice.

    Raises:
        Rejected: The player is late, or chooses what cannot be chosen.
    """
    searches = [Search(*instance) for instance in instances]
    steps = [search.steps() for search in searches]
    decisions = [0] * len(instances)
    waited_before, cpu_seconds = waiting.seconds, 0.0
    pending = [number for number in range(len(instances)) if advance(steps[number], None)]
    message: dict[str, object] = {"instances": instances}
    while pending:
        message["queries"] = [query(number, searches[number]) for number in pending]
        choices = choices_of(waiting.ask(player, message), [searches[number] for number in pending])
        message = {}
        started = time.process_time()
        still_pending = []
        for number, choice in zip(pending, choices, strict=True):
            decisions[number] += 1
            if advance(steps[number], choice):
                if decisions[number] < DECISIONS_LIMIT:
                    still_pending.append(number)
                else:
                    decisions[number] = DECISIONS_PENALTY
        pending = still_pending
        cpu_seconds += time.process_time() - started
    return Tier(instances, decisions, cpu_seconds + waiting.seconds - waited_before)


def advance(steps: Generator[None, tuple[int, bool], bool], choice: tuple[int, bool] | None) -> bool:
    """Let a search go on with a choice, without one to begin it; return whether it wants a further choice."""
    try:
        next(steps) if choice is None else steps.send(choice)
    except StopIteration:
        return False
    return True


def query(number: int, search: Search) -> tuple[int, list[list[int]], list[int]]:
    """Return what the player needs to know of a search, and begin to count its conflicts afresh."""
    conflicts, search.conflicts = search.conflicts, []
    return number, search.levels(), conflicts


def choices_of(answer: object, searches: list[Search]) -> list[tuple[int, bool]]:
    """Return the player's choices, one for each search.

    Raises:
        Rejected: There is not one variable without a value, and a truth value, for each search.
    """
    if not isinstance(answer, list) or len(answer) != len(searches):
        raise Rejected(f"expected a list of {len(searches)} choices, one for each formula")
    choices = []
    for choice, search in zip(answer, searches, strict=True):
        if not isinstance(choice, list) or [type(part) for part in choice] != [int, bool]:
            raise Rejected(f"the heuristic chose {reprlib.repr(choice)}, expected a pair (variable, True or False)")
        variable, value = choice
        if not search.is_open(variable):
            raise Rejected(
                f"the heuristic chose variable {reprlib.repr(variable)} of a formula with the variables 1 to "
                f"{search.variables}: there is no such variable, or it has a value already"
            )
        choices.append((variable, value))
    return choices


def calibration_seconds() -> float:
    """Return the CPU time of solving fixed formulas, always branching on the first variable that has no value."""
    draws = random.Random(0)
    searches = [Search(*instance) for instance in hard_instances(draws, 1)[:4] + easy_instances(draws, 15)]
    started = time.process_time()
    for search in searches:
        steps = search.steps()
        wants_choice = advance(steps, None)
        while wants_choice:
            variable = next(filter(search.is_open, range(1, search.variables + 1)))
            wants_choice = advance(steps, (variable, True))
    return time.process_time() - started


def summary(easy: Tier, hard: Tier) -> dict[str, float]:
    """Return what is reported of both tiers' decisions; the standard error is that of a product of means."""
    logarithms, variances = zip(log_mean(easy), log_mean(hard), strict=True)
    cost = math.exp(statistics.fmean(logarithms))
    decisions = easy.decisions + hard.decisions
    return {
        "Cost": cost,
        "Cost_standard_error": cost * math.sqrt(sum(variances)) / 2,
        "Easy_decisions": math.exp(logarithms[0]),
        "Hard_decisions": math.exp(logarithms[1]),
        "broken_off": float(decisions.count(DECISIONS_PENALTY)),
        "instances": float(len(decisions)),
    }


def log_mean(tier: Tier) -> tuple[float, float]:
    """Return the logarithm of the geometric mean, over the sizes, of their mean decisions, and its sampling variance."""
    sizes = list(tier.by_size().values())
    means = [statistics.fmean(size) for size in sizes]
    variances = [statistics.variance(size) / len(size) / mean**2 for size, mean in zip(sizes, means, strict=True)]
    return statistics.fmean(map(math.log, means)), sum(variances) / len(sizes) ** 2


if __name__ == "__main__":
    run(grade)
