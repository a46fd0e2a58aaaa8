#!/usr/bin/env bash
# A better method for the mini variant: an LSTM that looks at one part of the picture after another.
set -euo pipefail
cp "${MLGYM_LITE_ROOT:-}/solution/better.py" .
python better.py
