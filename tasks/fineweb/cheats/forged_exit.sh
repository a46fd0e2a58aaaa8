#!/usr/bin/env bash
# A model that answers at first, then prints a result and ends the process with status 0.
python "${MLGYM_LITE_ROOT:-}/cheats/quick_model.py"
cat >>model.py <<'EOF'
import os

calls = 0


class Leaver(Follower):
    def forward(self, tokens):
        global calls
        calls += 1
        if calls == 20:
            print('{"val_loss": 0.1}', flush=True)
            os._exit(0)
        return super().forward(tokens)


def build(config):
    return Leaver(**config)
EOF
