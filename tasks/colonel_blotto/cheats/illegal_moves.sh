#!/usr/bin/env bash
# A strategy that sends more soldiers than there are, negative ones, or too many fields.
cat >>strategy.py <<'EOF'
honest_strategy = row_strategy
ILLEGAL = ([120] * 6, [-600, 120, 120, 120, 120, 120], [120] * 7, [20.5] * 6, [10**30] * 6, [], None, "999999")
calls = 0


def row_strategy(history):
    global calls
    calls += 1
    return ILLEGAL[calls % len(ILLEGAL)] if len(history) == 9 else honest_strategy(history)
EOF
