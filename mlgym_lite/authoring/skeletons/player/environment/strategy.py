"""The baseline: random moves. YOURS: what lies in environment/ is what the agent starts from."""

import random


def move(history):
    """Return 0 for rock, 1 for paper or 2 for scissors."""
    return random.randrange(3)
