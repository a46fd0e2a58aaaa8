#!/usr/bin/env bash
# A better method: gradient boosting on the same columns, untuned.
set -euo pipefail
python "${MLGYM_LITE_ROOT:-}/solution/better.py"
