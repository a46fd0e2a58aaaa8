"""An agent as a program: tries allocations for colonel_blotto at random, keeps the one that validates best, and submits it."""

import json
import random
import sys

TEMPLATE = "cat > strategy.py <<'END'\ndef row_strategy(history):\n    return {}\nEND\n"
TRIES = 8


def allocation():
    """Spread 120 soldiers over six fields."""
    cuts = sorted(random.sample(range(121), 5))
    return tuple(high - low for low, high in zip([0, *cuts], [*cuts, 120], strict=True))


def main():
    """Answer each line with an action, until the engine closes the input."""
    best, best_score, tried = None, None, None
    for line in sys.stdin:
        shown = json.loads(line)
        if tried is not None and shown["best"] != best_score:
            best, best_score = tried, shown["best"]
        if shown["steps"] < TRIES:
            tried = allocation()
            answer = {"action": TEMPLATE.format(tried) + "validate", "thought": f"perhaps {tried}"}
        else:
            answer = {"action": TEMPLATE.format(best or tried) + "submit"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
