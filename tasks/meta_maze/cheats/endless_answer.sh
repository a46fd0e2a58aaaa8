#!/usr/bin/env bash
# A policy that announces an answer of four gigabytes and goes on sending for ever.
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
import stat

for descriptor in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            os.write(descriptor, b"\xff\xff\xff\xff")
            for _ in range(10_000):
                os.write(descriptor, b"[" * 65_536)
    except OSError:
        pass
EOF
