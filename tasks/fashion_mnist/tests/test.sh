#!/usr/bin/env bash
# Grades the sealed submission; the verdict is the file that grade.py leaves.
exec "$MLGYM_LITE_PYTHON" -I "${MLGYM_LITE_ROOT:-}/tests/grade.py"
