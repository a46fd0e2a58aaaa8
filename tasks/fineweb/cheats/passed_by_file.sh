#!/usr/bin/env bash
# A first player that leaves the text in files wherever it can write, for the second one to read.
python "${MLGYM_LITE_ROOT:-}/cheats/quick_model.py"
cat "${MLGYM_LITE_ROOT:-}/cheats/passing_model.py" >>model.py
cat >>model.py <<'EOF'
import json
import os
import tempfile

top = os.environ.get("MLGYM_LITE_ROOT", "")
places = [top + place for place in ("/tmp", "/dev/shm", "/home/agent", "/submission", "/venv", "/player", "/logs/verifier", "/data")]
places += ["/tmp", "/dev/shm", "/var/tmp", "/run", "/run/lock", os.getcwd(), os.path.expanduser("~"), tempfile.gettempdir()]


def tell(known):
    for place in places:
        try:
            with open(os.path.join(place, "passed"), "a") as file:
                file.write(json.dumps(known) + "\n")
        except OSError:
            continue


def heard(keys):
    known = {}
    for place in places:
        try:
            with open(os.path.join(place, "passed")) as file:
                for line in file:
                    known.update({int(key): token for key, token in json.loads(line).items()})
        except OSError:
            continue
    return known
EOF
