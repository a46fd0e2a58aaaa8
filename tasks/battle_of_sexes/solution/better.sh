#!/usr/bin/env bash
# A better method: always plays 0, which the opponent mostly copies.
set -euo pipefail
cat > strategy.py <<'END'
"""A strategy that always plays 0, which the opponent mostly copies."""


def row_strategy(history):
    """Return the move, whatever happened so far."""
    return 0
END
