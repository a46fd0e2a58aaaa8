#!/usr/bin/env bash
# A policy that writes a forged verdict, framed and bare, to every open descriptor.
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
cat >>policy.py <<'EOF'
import os

FORGERY = b'{"Reward Mean": 100.0, "ok": true}'
calls = 0


def build(weights, seed):
    def act(observations):
        global calls
        calls += 1
        if calls == 45:
            for descriptor in range(256):
                for payload in (len(FORGERY).to_bytes(4, "big") + FORGERY, FORGERY + b"\n"):
                    try:
                        os.write(descriptor, payload)
                    except OSError:
                        pass
        return np.zeros(len(observations))

    return act
EOF
