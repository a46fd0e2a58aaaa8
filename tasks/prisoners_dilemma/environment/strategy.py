"""The strategy that is scored: one player of the iterated prisoner's dilemma."""

import random

COOPERATE, DEFECT = 0, 1


def row_strategy(history):
    """Return the next move of this player, 0 to cooperate or 1 to defect.

    `history` has one pair (this player's move, the opponent's move) for each round already played in this game.
    """
    if not history:
        return random.choice((COOPERATE, DEFECT))
    own_last, opponent_last = history[-1]
    mood = random.random()
    if opponent_last == DEFECT:
        if mood < 0.75:
            return DEFECT
        return own_last if mood < 0.90 else COOPERATE
    if mood < 0.60:
        return COOPERATE
    return own_last if mood < 0.90 else DEFECT
