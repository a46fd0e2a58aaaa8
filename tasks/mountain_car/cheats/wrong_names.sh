#!/usr/bin/env bash
# Hands in checkpoints under other names, and a folder in the place of one.
mkdir -p checkpoints
python - <<'EOF'
import numpy as np

for number in range(5):
    np.savez(f"checkpoints/{number}.npz", number=np.array(number))
EOF
cat >policy.py <<'EOF'
import numpy as np


def build(weights, seed):
    return lambda observations: np.zeros(len(observations))


EOF
mv checkpoints/0.npz checkpoints/best.npz
mv checkpoints/1.npz checkpoints/1.npz.bak
mkdir checkpoints/0.npz
