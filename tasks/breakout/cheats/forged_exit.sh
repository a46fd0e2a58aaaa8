#!/usr/bin/env bash
# A policy that plays at first and ends the process with status 0 in the middle.
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
import os

calls = 0


def build(weights, seed):
    def act(observations):
        global calls
        calls += 1
        if calls == 45:
            print('{"Reward Mean": 900.0}', flush=True)
            os._exit(0)
        return np.zeros(len(observations), int)

    return act
EOF
