#!/usr/bin/env bash
# A better method: more episodes at a time and longer training.
set -euo pipefail
python train.py --steps 1000000 --environments 256 --minibatches 4
