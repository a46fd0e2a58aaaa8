#!/usr/bin/env bash
# A better method: branch where the shortest clauses want it most.
set -euo pipefail
cp "${MLGYM_LITE_ROOT:-}/solution/better_heuristic.py" heuristic.py
