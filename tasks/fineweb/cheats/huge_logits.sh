#!/usr/bin/env bash
# A model with logits so large that sums of them overflow, hoping for losses of zero or minus infinity.
python "${MLGYM_LITE_ROOT:-}/cheats/quick_model.py"
cat >>model.py <<'EOF'


class Giant(Follower):
    def forward(self, tokens):
        logits = torch.full((*tokens.shape, len(self.table)), 3.4e38)
        logits[..., 0] = -3.4e38
        return logits


def build(config):
    return Giant(**config)
EOF
