#!/usr/bin/env bash
# The baseline. YOURS: whatever runs here is what scores are compared with.
set -euo pipefail
python baseline.py
