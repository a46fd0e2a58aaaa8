# Asks the strategy in a sandbox of its own.
exec "$MLGYM_LITE_PYTHON" -I "${MLGYM_LITE_ROOT:-}/tests/grade.py"
