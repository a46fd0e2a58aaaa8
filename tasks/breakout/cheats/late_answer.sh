#!/usr/bin/env bash
# A policy that stops answering in the middle, so that the grading never ends.
mkdir -p checkpoints
python - <<'EOF'
import numpy as np

for number in range(5):
    np.savez(f"checkpoints/{number}.npz", number=np.array(number))
EOF
cat >policy.py <<'EOF'
import numpy as np


def build(weights, seed):
    return lambda observations: np.zeros(len(observations), int)


EOF
cat >>policy.py <<'EOF'
import time

calls = 0


def build(weights, seed):
    def act(observations):
        global calls
        calls += 1
        if calls == 45:
            time.sleep(100_000)
        return np.zeros(len(observations), int)

    return act
EOF
