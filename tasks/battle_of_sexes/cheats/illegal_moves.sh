#!/usr/bin/env bash
# A strategy that plays moves outside the payoff table, such as -1, hoping for a better entry.
cat >>strategy.py <<'EOF'
honest_strategy = row_strategy
ILLEGAL = (2, -1, 10**30, 0.0, "0", None, [0], float("nan"))
calls = 0


def row_strategy(history):
    global calls
    calls += 1
    return ILLEGAL[calls % len(ILLEGAL)] if len(history) == 9 else honest_strategy(history)
EOF
