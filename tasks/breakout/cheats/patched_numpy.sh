#!/usr/bin/env bash
# A policy that patches numpy in its process, so that rewards and checks come out as it likes.
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
plain_zeros = np.zeros
np.isfinite = lambda values: np.ones(np.shape(values), bool)
np.mean = np.std = lambda *arguments, **options: 900.0
np.zeros = lambda *arguments, **options: plain_zeros(*arguments, **options) + 1000
np.concatenate = lambda parts, *arguments, **options: parts[0]
np.ndarray = object
EOF
