#!/usr/bin/env bash
# A better method: always defects, the best reply to what the opponent does on average.
set -euo pipefail
cat > strategy.py <<'END'
"""A strategy that always defects, the best reply to what the opponent does on average."""


def row_strategy(history):
    """Return the move, whatever happened so far."""
    return 1
END
