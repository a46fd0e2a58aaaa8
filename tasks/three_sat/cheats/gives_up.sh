#!/usr/bin/env bash
# A heuristic that returns no variable, so that the search is over after one decision.
cat >>heuristic.py <<'EOF'


def heuristic_fn(*arguments):
    return None
EOF
