#!/usr/bin/env bash
# Submits zero bytes, open quotes and endless fields, so that reading breaks after a good beginning.
python - <<'EOF'
import json
import os

with open(os.environ.get("MLGYM_LITE_ROOT", "") + "/data/test.jsonl", encoding="utf-8") as file, open("predictions.csv", "w") as out:
    print("id,label", *(json.loads(line)["id"] + ",1" for line in file), sep="\n", file=out)
EOF
printf '1461,"' >>predictions.csv
head -c 300000 /dev/zero >>predictions.csv
printf '\xff\xfe' >>predictions.csv
