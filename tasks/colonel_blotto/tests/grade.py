"""Plays the submitted strategy against the hidden opponent of the Colonel Blotto game.

All games advance together: the judge sends the opponent's allocations of the round before in one message and gets
the strategy's next allocations of all games in the answer, so that the link is used once per round. The opponent's
allocations of a round are drawn only after the strategy's have arrived, from a stream that the player cannot know.
"""

from __future__ import annotations

import random
import reprlib
import statistics
from collections.abc import Callable
from typing import Any

from mlgym_judge import Context, Player, Rejected, run

FIELDS = 6
SOLDIERS = 120
ROUNDS = 10
GAMES = {"full": 10_000, "mini": 1_000}
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


def grade(context: Context) -> dict[str, float]:
    """Return the strategy's mean payoff per round, with its standard error and the number of games."""
    games = GAMES[context.variant]
    draw = random.Random(f"colonel_blotto {context.split} {context.seed}").random
    totals = [0] * games
    with context.player() as player:
        message: dict[str, object] = {"games": games}
        for number in range(1, ROUNDS + 1):
            rows = allocations_of(player, message, games, number)
            columns = [column_allocation(draw) for _ in range(games)]
            totals = [total + row_payoff(row, column) for total, row, column in zip(totals, rows, columns, strict=True)]
            message = {"columns": columns}
    return summary([total / ROUNDS for total in totals])


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


def summary(means: list[float]) -> dict[str, float]:
    """Return what is reported about the games' mean payoffs."""
    return {
        "Score": statistics.fmean(means),
        "Score_standard_error": statistics.stdev(means) / len(means) ** 0.5,
        "games": float(len(means)),
    }


if __name__ == "__main__":
    run(grade)
