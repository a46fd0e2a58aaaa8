#!/usr/bin/env bash
# Hands in links instead of checkpoints, to have something else read as the submission.
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
mkdir -p elsewhere
mv checkpoints/0.npz elsewhere/
ln -s "$PWD/elsewhere/0.npz" checkpoints/0.npz
ln -s "${MLGYM_LITE_ROOT:-}/tests/grade.py" checkpoints/1.safetensors
ln -s /proc/self/environ checkpoints/2.safetensors
