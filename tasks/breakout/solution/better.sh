#!/usr/bin/env bash
# A better method: faster learning, a nearer horizon and more exploration, which a short training needs.
set -euo pipefail
python train.py --steps 500000 --rollout 64 --minibatches 4 --learning-rate 1e-3 --gamma 0.99 --entropy 0.05
