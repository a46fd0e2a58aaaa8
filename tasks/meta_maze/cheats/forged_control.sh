#!/usr/bin/env bash
# Sends forged verdicts and odd requests to the engine over the control descriptor.
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
python - <<'EOF'
import json
import os
import socket

descriptor = int(os.environ.get("MLGYM_LITE_CONTROL_FD", "-1"))
messages = [
    {"ok": True, "text": '{"Reward Mean": 900.0}'},
    {"request": "validate", "Reward Mean": 900.0, "reward": {"Reward Mean": 900.0}},
    {"request": "score", "value": 900.0},
    {"request": ["submit"], "artifacts": ["/logs/verifier/reward.json"]},
]
try:
    with socket.socket(fileno=os.dup(descriptor)) as control:
        for message in messages:
            near, far = socket.socketpair()
            with near, far:
                near.settimeout(5)
                socket.send_fds(control, [json.dumps(message).encode()], [far.fileno()])
                control.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)
                control.send(b"\xff not json", socket.MSG_DONTWAIT)
except OSError as error:
    print("refused:", error)
EOF
true
