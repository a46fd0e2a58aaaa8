#!/usr/bin/env bash
# Submits labels that are none of the ten: negative, fractional, huge and in other scripts.
python - <<'EOF'
import os

with open(os.environ.get("MLGYM_LITE_ROOT", "") + "/data/test_ids.txt") as file:
    identifiers = file.read().split()

odd = ["-1", "10", "0.5", "1e999", "true", "9" * 400, "\u0663", "\u00b2"]
labels = [odd[at % len(odd)] for at in range(len(identifiers))]
with open("submission.csv", "w", encoding="utf-8") as file:
    file.write("id,label\n")
    file.writelines(f"{identifier},{label}\n" for identifier, label in zip(identifiers, labels))
EOF
