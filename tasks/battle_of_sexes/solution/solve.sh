#!/usr/bin/env bash
# The baseline is the starter as it lies in the workspace: check that it loads and answers.
set -euo pipefail
python -c 'import strategy; strategy.row_strategy([])'
