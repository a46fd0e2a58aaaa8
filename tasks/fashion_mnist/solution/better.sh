#!/usr/bin/env bash
# A better method: a residual network, batch normalisation and a learning rate that fits them.
set -euo pipefail
python "${MLGYM_LITE_ROOT:-}/solution/better.py"
