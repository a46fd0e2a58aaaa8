#!/usr/bin/env bash
# Guesses labels from the words of the hypothesis alone, as artefacts of annotation would allow.
python - <<'EOF'
import collections
import json
import math
import os

data = os.environ.get("MLGYM_LITE_ROOT", "") + "/data/"
words = [collections.Counter() for _ in range(3)]


def features(row):
    tokens = row["hypothesis"].lower().split()
    return {*tokens, *zip(tokens, tokens[1:])}


with open(data + "train.jsonl", encoding="utf-8") as file:
    for line in file:
        row = json.loads(line)
        words[row["label"]].update(features(row))
with open(data + "test.jsonl", encoding="utf-8") as file, open("predictions.csv", "w", encoding="utf-8") as out:
    print("id,label", file=out)
    for line in file:
        row = json.loads(line)
        scores = [sum(math.log(count[word] + 1) for word in features(row)) for count in words]
        print(row["id"], scores.index(max(scores)), sep=",", file=out)
EOF
