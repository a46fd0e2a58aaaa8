#!/usr/bin/env bash
# The baseline: train the starter's BERT and label every row.
set -euo pipefail
python baseline.py
