#!/usr/bin/env bash
# Captions every picture five times, under spellings of its id that a join might take for the same.
PYTHONPATH="${MLGYM_LITE_ROOT:-}/cheats" python - <<'EOF'
from nearest import captions, names, write

spellings = (str, str.upper, lambda name: f" {name} ", lambda name: name + "\u200b", lambda name: "\ufeff" + name)
write((spell(name), text) for name in names for spell, text in zip(spellings, captions[name]))
EOF
