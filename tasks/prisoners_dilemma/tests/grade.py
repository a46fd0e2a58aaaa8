"""Plays the submitted strategy against the hidden opponent of the iterated prisoner's dilemma.

All games advance together: the judge sends the opponent's moves of the round before in one message and gets the
strategy's next moves of all games in the answer, so that the link is used once per round. The opponent's moves of a
round are drawn only after the strategy's have arrived, from a stream that the player cannot know.

In every round the opponent follows one of eleven policies, each as likely as the others. What it does therefore has
one probability for each situation: the mean of what the eleven would do. That is computed once per situation, and
one draw settles a move.
"""

from __future__ import annotations

import random
import reprlib
import statistics
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from mlgym_judge import Context, Player, Rejected, run

COOPERATE, DEFECT = 0, 1
PAYOFFS = ((3, 0), (5, 1))
"""What the row player gets, by its own move and then the opponent's."""
ROUNDS = 10
GAMES = {"full": 10_000, "mini": 1_000}
ROUND_TIMEOUT_SECONDS = 60.0
REPLY_LIMIT_BYTES = 1024 * 1024


class Situation(NamedTuple):
    """All of a game's past that any of the opponent's policies looks at; moves not yet made are None."""

    row_last: int | None = None
    row_before: int | None = None
    column_last: int | None = None
    row_has_defected: bool = False

    def after(self, row: int, column: int) -> Situation:
        """Return the situation one round later."""
        return Situation(row, self.row_last, column, self.row_has_defected or row == DEFECT)


def noisy_mix(now: Situation) -> float:
    """Start with defection, then mix chance, habit and the opposite of the row player's last move."""
    if now.row_last is None or now.column_last is None:
        return 1.0
    return 0.1667 + 0.4 * now.column_last + 0.1 * (1 - now.row_last)


def tit_for_tat(now: Situation) -> float:
    """Do what the row player did last."""
    return float(now.row_last == DEFECT)


def always_cooperate(now: Situation) -> float:
    """Cooperate whatever happens."""
    return 0.0


def always_defect(now: Situation) -> float:
    """Defect whatever happens."""
    return 1.0


def toss_a_coin(now: Situation) -> float:
    """Do either with the same probability."""
    return 0.5


def grim_trigger(now: Situation) -> float:
    """Defect for ever once the row player has defected."""
    return float(now.row_has_defected)


def pavlov(now: Situation) -> float:
    """Cooperate first and after a round in which both did the same."""
    return float(now.row_last != now.column_last)


def tit_for_two_tats(now: Situation) -> float:
    """Defect after two defections in a row."""
    return float(now.row_last == DEFECT and now.row_before == DEFECT)


def suspicious_tit_for_tat(now: Situation) -> float:
    """Defect first, then do what the row player did last."""
    return float(now.row_last != COOPERATE)


def cooperate_half_the_time(now: Situation) -> float:
    """Cooperate with a set probability, which is one half."""
    return 1.0 - 0.5


def forgiving_tit_for_tat(now: Situation) -> float:
    """Do what the row player did last, but answer two defections in a row with cooperation."""
    return float(now.row_last == DEFECT and now.row_before != DEFECT)


POLICIES: tuple[Callable[[Situation], float], ...] = (
    noisy_mix,
    tit_for_tat,
    always_cooperate,
    always_defect,
    toss_a_coin,
    grim_trigger,
    pavlov,
    tit_for_two_tats,
    suspicious_tit_for_tat,
    cooperate_half_the_time,
    forgiving_tit_for_tat,
)


@cache
def defection_probability(now: Situation) -> float:
    """Return how likely the opponent is to defect, over the choice of its policy and the policy's own chance."""
    return statistics.fmean(policy(now) for policy in POLICIES)


def grade(context: Context) -> dict[str, float]:
    """Return the strategy's mean payoff per round, with its standard error and the number of games."""
    games = GAMES[context.variant]
    draws = random.Random(f"prisoners_dilemma {context.split} {context.seed}")
    situations, totals = [Situation()] * games, [0] * games
    with context.player() as player:
        message: dict[str, object] = {"games": games}
        for number in range(1, ROUNDS + 1):
            rows = moves_of(player, message, games, number)
            columns = [DEFECT if draws.random() < defection_probability(now) else COOPERATE for now in situations]
            totals = [total + PAYOFFS[row][column] for total, row, column in zip(totals, rows, columns, strict=True)]
            situations = [now.after(row, column) for now, row, column in zip(situations, rows, columns, strict=True)]
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
        if type(move) is not int or move not in (COOPERATE, DEFECT):
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
