#!/usr/bin/env bash
# A model that stops answering in the middle, so that the grading never ends.
python "${MLGYM_LITE_ROOT:-}/cheats/quick_model.py"
cat >>model.py <<'EOF'
import time

calls = 0


class Sleeper(Follower):
    def forward(self, tokens):
        global calls
        calls += 1
        while calls > 20:
            time.sleep(1)
        return super().forward(tokens)


def build(config):
    return Sleeper(**config)
EOF
