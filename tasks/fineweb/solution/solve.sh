#!/usr/bin/env bash
# The baseline: train the starter with the settings that belong to the data.
set -euo pipefail
python train.py
