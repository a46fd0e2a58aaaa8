"""Plays the submitted strategy against the hidden opponents of the repeated battle of the sexes.

All games advance together: the judge sends the opponents' moves of the round before in one message and gets the
strategy's next moves of all games in the answer, so that the link is used once per round. The opponents' moves of a
round are drawn only after the strategy's have arrived, from a stream that the player cannot know.

`Score` is won from the published opponent. `Pool_Score`, of the final scoring, is won from other opponents. Their games
are among the others, at places drawn anew, so that the strategy cannot tell by the order which ones count.
"""

from __future__ import annotations

import random
import reprlib
import statistics
from collections.abc import Callable
from typing import NamedTuple

from mlgym_judge import Context, Player, Rejected, run

PAYOFFS = ((2, 0), (0, 1))
"""What the row player gets, by its own move and then the opponent's."""
ROUNDS = 10
GAMES = {"full": 10_000, "mini": 1_000}
POOL_GAMES = {"full": 6_000, "mini": 600}
COPYING_PROBABILITY = 0.8
ROUND_TIMEOUT_SECONDS = 60.0
REPLY_LIMIT_BYTES = 1024 * 1024


class Situation(NamedTuple):
    """All of a game's past that any policy looks at; moves not yet made are None."""

    row_first: int | None = None
    row_last: int | None = None
    row_before: int | None = None
    column_last: int | None = None
    rounds: int = 0

    def after(self, row: int, column: int) -> Situation:
        """Return the situation one round later."""
        first = row if self.row_first is None else self.row_first
        return Situation(first, row, self.row_last, column, self.rounds + 1)


Policy = Callable[[Situation], float]
"""Tells how likely the opponent is to play 0, which it likes less."""


def copied(move: int | None) -> float:
    """Return how likely a 0 is where a move is mostly copied, and 1 is played as long as there is none."""
    return {None: 0.0, 0: COPYING_PROBABILITY, 1: 1 - COPYING_PROBABILITY}[move]


def published(now: Situation) -> float:
    """Play 1 at first, then mostly what the row player opened the game with."""
    return copied(now.row_first)


def last_move_copied(now: Situation) -> float:
    """Play 1 at first, then mostly what the row player did last."""
    return copied(now.row_last)


def stubborn(now: Situation) -> float:
    """Play 1 whatever happens."""
    return 0.0


def obliging(now: Situation) -> float:
    """Play 0 whatever happens."""
    return 1.0


def toss_a_coin(now: Situation) -> float:
    """Do either with the same probability."""
    return 0.5


def taking_turns(now: Situation) -> float:
    """Play 1 and 0 by turns."""
    return float(now.rounds % 2)


def even_mix(now: Situation) -> float:
    """Choose anew in every round among insisting, copying the last move, and chance at the game's equilibrium."""
    return (stubborn(now) + float(now.row_last == 0) + 1 / 3) / 3


def yielding(now: Situation) -> float:
    """Give in for a round once the row player has played 0 twice in a row."""
    return float(now.row_last == 0 and now.row_before == 0)


def win_and_stay(now: Situation) -> float:
    """Play 1 at first; stay where both met, and otherwise change in half of the cases."""
    if now.column_last is None:
        return 0.0
    return 0.5 if now.column_last != now.row_last else float(now.column_last == 0)


def grudging(now: Situation) -> float:
    """Play 0 as long as the row player does not open with 0, which is answered with 1 for the whole game."""
    return float(now.row_first != 0)


POOL: tuple[tuple[Policy, ...], ...] = (
    (stubborn, obliging, toss_a_coin, taking_turns),
    (last_move_copied, even_mix),
    (yielding, win_and_stay, grudging),
)
"""The kinds of other opponents; a game has one policy, drawn from a kind drawn before."""


def opponents_of(context: Context, draws: random.Random) -> list[Policy]:
    """Return the policy of each game: the published opponent's, and for the final scoring others among them."""
    policies: list[Policy] = [published] * GAMES[context.variant]
    if context.split == "test" and not context.parity:
        policies += [draws.choice(draws.choice(POOL)) for _ in range(POOL_GAMES[context.variant])]
        draws.shuffle(policies)
    return policies


def grade(context: Context) -> dict[str, float]:
    """Return the strategy's mean payoff per round, with its standard error and the number of games."""
    draws = random.Random(f"battle_of_sexes {context.split} {context.seed}")
    policies = opponents_of(context, draws)
    games = len(policies)
    situations, totals = [Situation()] * games, [0] * games
    with context.player() as player:
        message: dict[str, object] = {"games": games}
        for number in range(1, ROUNDS + 1):
            rows = moves_of(player, message, games, number)
            chances = [policy(now) for policy, now in zip(policies, situations, strict=True)]
            columns = [0 if draws.random() < chance else 1 for chance in chances]
            totals = [total + PAYOFFS[row][column] for total, row, column in zip(totals, rows, columns, strict=True)]
            situations = [now.after(row, column) for now, row, column in zip(situations, rows, columns, strict=True)]
            message = {"columns": columns}
    return results(policies, [total / ROUNDS for total in totals])


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


def results(policies: list[Policy], means: list[float]) -> dict[str, float]:
    """Return what is reported about the games' mean payoffs, those against the published opponent apart from the others."""
    against_published = [mean for policy, mean in zip(policies, means, strict=True) if policy is published]
    against_pool = [mean for policy, mean in zip(policies, means, strict=True) if policy is not published]
    reported = summary("Score", against_published) | {"games": float(len(against_published))}
    return reported | summary("Pool_Score", against_pool) if against_pool else reported


def summary(name: str, means: list[float]) -> dict[str, float]:
    """Return the mean and its standard error, from the games' means."""
    return {name: statistics.fmean(means), f"{name}_standard_error": statistics.stdev(means) / len(means) ** 0.5}


if __name__ == "__main__":
    run(grade)
