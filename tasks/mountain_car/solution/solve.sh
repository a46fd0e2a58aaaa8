#!/usr/bin/env bash
# The baseline: train the starter's checkpoints with the variant's settings.
set -euo pipefail
python train.py
