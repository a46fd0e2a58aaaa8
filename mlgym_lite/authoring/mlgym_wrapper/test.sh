# Runs the evaluator of MLGym: in this sandbox where it meets no code of the agent's, else in the player's.
exec "$MLGYM_LITE_PYTHON" -I "$MLGYM_LITE_ROOT/tests/grade.py"
