#!/usr/bin/env bash
# The baseline is the starter as it lies in the workspace: check that it loads and answers.
set -euo pipefail
python -c 'import heuristic; heuristic.heuristic_fn([[1, -2, 3]], {}, {1: 0, 2: 0, 3: 0}, [], [])'
