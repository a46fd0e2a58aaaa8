#!/usr/bin/env bash
# The baseline: train the starter's ridge regression and predict every row.
set -euo pipefail
python baseline.py
