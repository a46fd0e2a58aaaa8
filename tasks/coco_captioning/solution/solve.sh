#!/usr/bin/env bash
# The baseline: train the starter's encoder and LSTM and caption every picture.
set -euo pipefail
python baseline.py
