#!/usr/bin/env bash
# Hands in weights of many empty megabytes, to break the player or the judge.
python "${MLGYM_LITE_ROOT:-}/cheats/quick_model.py"
truncate -s 256M weights.safetensors
