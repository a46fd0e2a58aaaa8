"""The strategy that is scored: one colonel, who spreads 120 soldiers over six fields in each round."""

import random

FIELDS = 6
SOLDIERS = 120


def row_strategy(history):
    """Return how many soldiers go to each field: six whole numbers, none negative, 120 in all at most.

    `history` has one pair (this player's allocation, the opponent's) for each round already played in this game.
    """
    return scaled_to_all_soldiers(spread_over_empty_fields(favoured_fields()))


def favoured_fields():
    """Give some fields, drawn at random and perhaps repeatedly, a good share each."""
    allocation = [0] * FIELDS
    for _ in range(random.randint(1, FIELDS)):
        allocation[random.randrange(FIELDS)] += random.randint(10, 30)
    return allocation


def spread_over_empty_fields(allocation):
    """Hand what is left over to the fields that got nothing, one after the other."""
    left = max(0, SOLDIERS - sum(allocation))
    for field in range(FIELDS):
        if allocation[field] == 0:
            allocation[field] = random.randint(0, left)
            left -= allocation[field]
    return allocation


def scaled_to_all_soldiers(allocation):
    """Bring the sum to 120 exactly; what rounding loses goes to random fields."""
    total = sum(allocation)
    allocation = [SOLDIERS * share // total for share in allocation]
    while sum(allocation) < SOLDIERS:
        allocation[random.randrange(FIELDS)] += SOLDIERS - sum(allocation)
    return allocation
