#!/usr/bin/env bash
# Grades a submission; the verdict is the file that grade.py leaves. Nothing to change here.
exec "$MLGYM_LITE_PYTHON" -I "${MLGYM_LITE_ROOT:-}/tests/grade.py"
