"""Plays games against the agent's strategy and counts points. The opponent and its draws live here, out of reach.

Never import the agent's code in this file: it runs in tests/player.py, in another sandbox. Whatever comes from there is the
agent's word: check it, and raise `Rejected` where it is wrong. Any other exception means that this grader is broken.
"""

import random
import statistics

from mlgym_judge import Rejected, run

GAMES = 300
ROUNDS = 20


def grade(context):
    """YOURS: return the numbers of this grading; `context.seed` was drawn after the submission was sealed."""
    draw = random.Random(f"{context.split} {context.seed}")
    histories = [[] for _ in range(GAMES)]
    with context.player() as player:
        for number in range(1, ROUNDS + 1):
            moves = checked(player.ask(histories), number)  # one message for all games of a round
            for history, own in zip(histories, moves, strict=True):
                history.append([own, opponent(draw, history)])
    points = [statistics.fmean(point(own, other) for own, other in history) for history in histories]
    return {"Score": statistics.fmean(points), "Score_standard_error": statistics.stdev(points) / GAMES**0.5}


def opponent(draw, history):
    """Return the opponent's move."""
    return history[-1][1] if history and draw.random() < 0.6 else draw.randrange(3)


def point(own, other):
    """Return what a round is worth: 1 for a won one, -1 for a lost one."""
    return (0, 1, -1)[(own - other) % 3]


def checked(moves, number):
    """Return the strategy's moves if there is an allowed one for each game."""
    if not isinstance(moves, list) or len(moves) != GAMES:
        raise Rejected(f"round {number}: expected a move for each of {GAMES} games")
    for move in moves:
        if type(move) is not int or move not in (0, 1, 2):
            raise Rejected(f"round {number}: expected 0, 1 or 2 from move(history)")
    return moves


if __name__ == "__main__":
    run(grade)
