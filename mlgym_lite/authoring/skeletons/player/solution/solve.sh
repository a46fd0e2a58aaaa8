#!/usr/bin/env bash
# The baseline: the starter as it lies in the workspace. YOURS: whatever runs here is what scores are compared with.
set -euo pipefail
python -c 'import strategy; strategy.move([])'
