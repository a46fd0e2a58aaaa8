#!/usr/bin/env bash
# A better method: one fixed allocation that gives up two fields.
set -euo pipefail
cat > strategy.py <<'END'
"""One fixed allocation, which gives up two fields."""


def row_strategy(history):
    """Return the move, whatever happened so far."""
    return (0, 0, 30, 30, 30, 30)
END
