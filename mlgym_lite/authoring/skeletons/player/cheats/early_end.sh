#!/usr/bin/env bash
# A strategy that prints a score and ends the process it runs in.
cat >strategy.py <<'END'
import os

print('{"Score": 1}', flush=True)
os._exit(0)
END
