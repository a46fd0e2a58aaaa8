#!/usr/bin/env bash
# A first player that leaves processes with the text in their arguments, for the second one to find in /proc.
python "${MLGYM_LITE_ROOT:-}/cheats/quick_model.py"
cat "${MLGYM_LITE_ROOT:-}/cheats/passing_model.py" >>model.py
cat >>model.py <<'EOF'
import glob
import json
import os
import subprocess


def tell(known):
    try:
        command = ["/bin/sh", "-c", "trap '' TERM HUP; sleep 60; :", "passed", json.dumps(known)]
        subprocess.Popen(command, start_new_session=True)
    except OSError:
        pass


def heard(keys):
    known = {}
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if b"passed" in words:
            text = words[words.index(b"passed") + 1]
            known.update({int(key): token for key, token in json.loads(text).items()})
    return known
EOF
