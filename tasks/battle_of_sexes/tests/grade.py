"""Plays the submitted strategy against the hidden opponent of the repeated battle of the sexes.

All games advance together: the judge sends the opponent's moves of the round before in one message and gets the
strategy's next moves of all games in the answer, so that the link is used once per round. The opponent's moves of a
round are drawn only after the strategy's have arrived, from a stream that the player cannot know.
"""

from __future__ import annotations

import random
import reprlib
import statistics

from mlgym_judge import Context, Player, Rejected, run

PAYOFFS = ((2, 0), (0, 1))
"""What the row player gets, by its own move and then the opponent's."""
ROUNDS = 10
GAMES = {"full": 10_000, "mini": 1_000}
COPYING_PROBABILITY = 0.8
ROUND_TIMEOUT_SECONDS = 60.0
REPLY_LIMIT_BYTES = 1024 * 1024


def column_move(row_first: int | None, draw: float) -> int:
    """Return the opponent's move: stubborn at first, then mostly what the row player opened the game with."""
    if row_first is None:
        return 1
    return row_first if draw < COPYING_PROBABILITY else 1 - row_first


def grade(context: Context) -> dict[str, float]:
    """Return the strategy's mean payoff per round, with its standard error and the number of games."""
    games = GAMES[context.variant]
    draws = random.Random(f"battle_of_sexes {context.split} {context.seed}")
    row_firsts: list[int] | list[None] = [None] * games
    totals = [0] * games
    with context.player() as player:
        message: dict[str, object] = {"games": games}
        for number in range(1, ROUNDS + 1):
            rows = moves_of(player, message, games, number)
            columns = [column_move(row_first, draws.random()) for row_first in row_firsts]
            totals = [total + PAYOFFS[row][column] for total, row, column in zip(totals, rows, columns, strict=True)]
            row_firsts = rows if number == 1 else row_firsts
            message = {"columns": columns}
    return summary([total / ROUNDS for total in totals])


def moves_of(player: Player, message: object, games: int, number: int) -> list[int]:
    """Return the strategy's moves in one round of all games.

    Raises:
        Rejected: There is not one legal move for each game.
    """
    moves = player.ask(message, ROUND_TIMEOUT_SECONDS, reply_limit_bytes=REPLY_LIMIT_BYTES)
    if not isinstance(moves, list) or len(moves) != games:
        raise Rejected(f"round {number}: expected a list of {games} moves, one for each game")
    for game, move in enumerate(moves, start=1):
        if type(move) is not int or move not in (0, 1):
            raise Rejected(f"game {game}, round {number}: the move is {reprlib.repr(move)}, expected 0 or 1")
    return moves


def summary(means: list[float]) -> dict[str, float]:
    """Return what is reported about the games' mean payoffs."""
    return {
        "Score": statistics.fmean(means),
        "Score_standard_error": statistics.stdev(means) / len(means) ** 0.5,
        "games": float(len(means)),
    }


if __name__ == "__main__":
    run(grade)
