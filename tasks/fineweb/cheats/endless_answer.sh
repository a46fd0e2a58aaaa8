#!/usr/bin/env bash
# A model that announces an answer of four gigabytes and goes on sending for ever.
python "${MLGYM_LITE_ROOT:-}/cheats/quick_model.py"
cat >>model.py <<'EOF'
import os
import stat

for descriptor in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            os.write(descriptor, b"\xff\xff\xff\xff")
            for _ in range(10_000):
                os.write(descriptor, b"[" * 65_536)
    except OSError:
        pass
EOF
