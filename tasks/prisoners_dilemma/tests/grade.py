"""Plays the submitted strategy against the hidden opponents of the iterated prisoner's dilemma.

All games advance together: the judge sends the opponents' moves of the round before in one message and gets the
strategy's next moves of all games in the answer, so that the link is used once per round. The opponents' moves of a
round are drawn only after the strategy's have arrived, from a stream that the player cannot know.

`Score` is won from the published opponent. In every round it follows one of eleven policies, each as likely as the
others. What it does therefore has one probability for each situation: the mean of what the eleven would do. That is
computed once per situation, and one draw settles a move.

`Pool_Score`, of the final scoring, is won from other opponents. Their games are among the others, at places drawn anew,
so that the strategy cannot tell by the order which ones count.
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
POOL_GAMES = {"full": 6_000, "mini": 600}
ROUND_TIMEOUT_SECONDS = 60.0
REPLY_LIMIT_BYTES = 1024 * 1024


class Situation(NamedTuple):
    """All of a game's past that any policy looks at; moves not yet made are None."""

    row_last: int | None = None
    row_before: int | None = None
    column_last: int | None = None
    row_defections: int = 0
    rounds: int = 0

    def after(self, row: int, column: int) -> Situation:
        """Return the situation one round later."""
        return Situation(row, self.row_last, column, self.row_defections + (row == DEFECT), self.rounds + 1)


Policy = Callable[[Situation], float]
"""Tells how likely the opponent is to defect."""


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
    return float(now.row_defections > 0)


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


POLICIES: tuple[Policy, ...] = (
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
def published(now: Situation) -> float:
    """Choose one of the eleven policies anew in every round."""
    return statistics.fmean(policy(now) for policy in POLICIES)


def stern_mix(now: Situation) -> float:
    """Choose anew in every round, mostly among policies that answer defection."""
    weights = {tit_for_tat: 0.35, grim_trigger: 0.25, pavlov: 0.2, generous_tit_for_tat: 0.1, toss_a_coin: 0.1}
    return sum(weight * policy(now) for policy, weight in weights.items())


def generous_tit_for_tat(now: Situation) -> float:
    """Answer a defection with one, but forgive every third."""
    return 2 / 3 if now.row_last == DEFECT else 0.0


def soft_majority(now: Situation) -> float:
    """Defect where the row player has defected more often than not."""
    return float(2 * now.row_defections > now.rounds)


def prober(now: Situation) -> float:
    """Defect first and see: answer defections from then on if there was one in three rounds, and exploit if not."""
    if now.rounds < 3:
        return float(now.rounds == 0)
    return tit_for_tat(now) if now.row_defections else 1.0


def tit_for_tat_to_the_end(now: Situation) -> float:
    """Do what the row player did last, and defect in the last two rounds."""
    return 1.0 if now.rounds >= ROUNDS - 2 else tit_for_tat(now)


POOL: tuple[tuple[Policy, ...], ...] = (
    POLICIES,
    (stern_mix,),
    (generous_tit_for_tat, soft_majority, prober, tit_for_tat_to_the_end),
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
    draws = random.Random(f"prisoners_dilemma {context.split} {context.seed}")
    policies = opponents_of(context, draws)
    games = len(policies)
    situations, totals = [Situation()] * games, [0] * games
    with context.player() as player:
        message: dict[str, object] = {"games": games}
        for number in range(1, ROUNDS + 1):
            rows = moves_of(player, message, games, number)
            chances = [policy(now) for policy, now in zip(policies, situations, strict=True)]
            columns = [DEFECT if draws.random() < chance else COOPERATE for chance in chances]
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
        if type(move) is not int or move not in (COOPERATE, DEFECT):
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
