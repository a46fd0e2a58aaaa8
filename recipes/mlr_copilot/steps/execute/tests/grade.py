"""The mean payoff against opponents drawn anew in each grading."""

import random

from mlgym_judge import Rejected, run

OPPONENTS = 500


def opponent(draws):
    shares = [draws.random() for _ in range(6)]
    return [int(120 * share / sum(shares)) for share in shares]


def grade(context):
    with context.player() as player:
        allocation = player.ask({})
    legal = isinstance(allocation, list) and [type(one) for one in allocation] == [int] * 6
    if not legal or min(allocation) < 0 or sum(allocation) > 120:
        raise Rejected("allocation() must return six whole numbers, none negative, 120 in all at most")
    draws, total = random.Random(context.seed), 0
    for _ in range(OPPONENTS):
        lead = sum((own > other) - (own < other) for own, other in zip(allocation, opponent(draws), strict=True))
        total += (lead > 0) - (lead < 0)
    return {"payoff": total / OPPONENTS}


run(grade)
