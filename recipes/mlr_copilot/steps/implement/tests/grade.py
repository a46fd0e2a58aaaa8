"""Whether the strategy can be run and its allocation is legal."""

from mlgym_judge import Rejected, run


def grade(context):
    with context.player() as player:
        allocation = player.ask({})
    if not isinstance(allocation, list) or [type(one) for one in allocation] != [int] * 6:
        raise Rejected(f"allocation() returned {allocation!r:.80}, expected six whole numbers")
    if min(allocation) < 0 or sum(allocation) > 120:
        raise Rejected(f"allocation() returned {allocation}, expected none negative and 120 in all at most")
    return {"whole": 1.0}


run(grade)
