#!/usr/bin/env bash
# The baseline: train the starter's small network and predict every picture.
set -euo pipefail
python baseline.py
