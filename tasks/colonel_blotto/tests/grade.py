"""Plays the submitted strategy against the hidden opponents of the Colonel Blotto game.

All games advance together: the judge sends the opponents' allocations of the round before in one message and gets
the strategy's next allocations of all games in the answer, so that the link is used once per round. The opponents'
allocations of a round are drawn only after the strategy's have arrived, from a stream that the player cannot know.

`Score` is won from the published opponent. `Pool_Score`, of the final scoring, is won from other opponents. Their games
are among the others, at places drawn anew, so that the strategy cannot tell by the order which ones count.
"""

from __future__ import annotations

import random
import reprlib
import statistics
from collections.abc import Callable, Sequence
from typing import Any, cast

from mlgym_judge import Context, Player, Rejected, run

FIELDS = 6
SOLDIERS = 120
ROUNDS = 10
GAMES = {"full": 10_000, "mini": 1_000}
POOL_GAMES = {"full": 6_000, "mini": 600}
ROUND_TIMEOUT_SECONDS = 60.0
REPLY_LIMIT_BYTES = 4 * 1024 * 1024


def column_allocation(draw: Callable[[], float]) -> list[int]:
    """Return the opponent's allocation: six uniform shares, scaled down to whole soldiers that are 120 in all."""
    shares = [int(draw() * (SOLDIERS + 1)) for _ in range(FIELDS)]
    total = sum(shares)
    if total == 0:
        return column_allocation(draw)
    allocation = [SOLDIERS * share // total for share in shares]
    allocation[int(draw() * FIELDS)] += SOLDIERS - sum(allocation)
    return allocation


def row_payoff(row: list[int], column: list[int]) -> int:
    """Return 1 where the row player wins more fields than it loses, -1 where it loses more, and 0 otherwise."""
    lead = 0
    for own, other in zip(row, column, strict=True):
        lead += (own > other) - (own < other)
    return (lead > 0) - (lead < 0)


Opponent = Callable[[random.Random, list[int] | None], list[int]]
"""Returns an allocation; it may draw, and look at the row player's allocation of the round before."""

NEARLY_BALANCED = {
    (40, 35, 30, 15, 0, 0): 74,
    (40, 35, 25, 15, 5, 0): 70,
    (40, 20, 20, 15, 15, 10): 68,
    (40, 35, 25, 20, 0, 0): 67,
    (40, 30, 25, 20, 5, 0): 63,
    (35, 30, 20, 15, 10, 10): 55,
    (40, 35, 20, 20, 5, 0): 51,
    (40, 30, 25, 15, 5, 5): 48,
    (40, 30, 30, 10, 10, 0): 46,
    (40, 35, 30, 10, 5, 0): 37,
    (35, 35, 25, 10, 10, 5): 36,
    (35, 30, 30, 15, 5, 5): 35,
}
"""The allocations that weigh most in an equilibrium of the game played in units of five soldiers, up to the fields' order."""


def published(draws: random.Random, row_last: list[int] | None) -> list[int]:
    """Ignore the past."""
    return column_allocation(draws.random)


def balanced(draws: random.Random, row_last: list[int] | None) -> list[int]:
    """Mix nearly as in equilibrium: fields in any order, and a few soldiers moved."""
    allocation = shuffled(draws, draws.choices([*NEARLY_BALANCED], [*NEARLY_BALANCED.values()])[0])
    for _ in range(3):
        source = draws.choice([field for field in range(FIELDS) if allocation[field]])
        allocation[source] -= 1
        allocation[draws.randrange(FIELDS)] += 1
    return allocation


def concentrated(draws: random.Random, row_last: list[int] | None) -> list[int]:
    """Share all soldiers evenly among three, four or five fields."""
    fields = draws.choice((3, 4, 5))
    return shuffled(draws, [SOLDIERS // fields] * fields + [0] * (FIELDS - fields))


def countering(draws: random.Random, row_last: list[int] | None) -> list[int]:
    """Beat, mostly, what the row player did last: one soldier more on the fields where that is cheapest."""
    if row_last is None or draws.random() < 0.3:
        return balanced(draws, row_last)
    allocation, left = [0] * FIELDS, SOLDIERS
    for field in sorted(range(FIELDS), key=row_last.__getitem__):
        if row_last[field] < left:
            allocation[field] = row_last[field] + 1
            left -= allocation[field]
    allocation[draws.randrange(FIELDS)] += left
    return allocation


def imitating(draws: random.Random, row_last: list[int] | None) -> list[int]:
    """Do what the row player did last, with the fields in another order."""
    return balanced(draws, None) if row_last is None else shuffled(draws, row_last)


POOL: tuple[Opponent, ...] = (balanced, balanced, concentrated, countering, imitating)
"""The other opponents; a game has one of them."""


def shuffled(draws: random.Random, allocation: Sequence[int]) -> list[int]:
    """Return the same numbers of soldiers for other fields."""
    return draws.sample(allocation, FIELDS)


def opponents_of(context: Context, draws: random.Random) -> list[Opponent]:
    """Return the opponent of each game: the published one, and for the final scoring others among them."""
    opponents: list[Opponent] = [published] * GAMES[context.variant]
    if context.split == "test" and not context.parity:
        opponents += [draws.choice(POOL) for _ in range(POOL_GAMES[context.variant])]
        draws.shuffle(opponents)
    return opponents


def grade(context: Context) -> dict[str, float]:
    """Return the strategy's mean payoff per round, with its standard error and the number of games."""
    draws = random.Random(f"colonel_blotto {context.split} {context.seed}")
    opponents = opponents_of(context, draws)
    games = len(opponents)
    totals, rows_before = [0] * games, cast("list[list[int] | None]", [None] * games)
    with context.player() as player:
        message: dict[str, object] = {"games": games}
        for number in range(1, ROUNDS + 1):
            rows = allocations_of(player, message, games, number)
            columns = [opponent(draws, row) for opponent, row in zip(opponents, rows_before, strict=True)]
            totals = [total + row_payoff(row, column) for total, row, column in zip(totals, rows, columns, strict=True)]
            message, rows_before = {"columns": columns}, [*rows]
    return results(opponents, [total / ROUNDS for total in totals])


def allocations_of(player: Player, message: object, games: int, number: int) -> list[list[int]]:
    """Return the strategy's allocations in one round of all games.

    Raises:
        Rejected: There is not one legal allocation for each game.
    """
    rows = player.ask(message, ROUND_TIMEOUT_SECONDS, reply_limit_bytes=REPLY_LIMIT_BYTES)
    if not isinstance(rows, list) or len(rows) != games:
        raise Rejected(f"round {number}: expected a list of {games} allocations, one for each game")
    for game, row in enumerate(rows, start=1):
        if not is_legal(row):
            raise Rejected(
                f"game {game}, round {number}: the allocation is {reprlib.repr(row)}, expected {FIELDS} whole numbers, "
                f"none negative, {SOLDIERS} in all at most"
            )
    return rows


def is_legal(row: Any) -> bool:
    """Say whether an answer of the player is an allocation of the soldiers there are."""
    if not isinstance(row, list) or len(row) != FIELDS:
        return False
    for soldiers in row:
        if type(soldiers) is not int or soldiers < 0:
            return False
    return sum(row) <= SOLDIERS


def results(opponents: list[Opponent], means: list[float]) -> dict[str, float]:
    """Return what is reported about the games' mean payoffs, those against the published opponent apart from the others."""
    against_published = [mean for opponent, mean in zip(opponents, means, strict=True) if opponent is published]
    against_pool = [mean for opponent, mean in zip(opponents, means, strict=True) if opponent is not published]
    reported = summary("Score", against_published) | {"games": float(len(against_published))}
    return reported | summary("Pool_Score", against_pool) if against_pool else reported


def summary(name: str, means: list[float]) -> dict[str, float]:
    """Return the mean and its standard error, from the games' means."""
    return {name: statistics.fmean(means), f"{name}_standard_error": statistics.stdev(means) / len(means) ** 0.5}


if __name__ == "__main__":
    run(grade)
