#!/usr/bin/env bash
# A better method. Full: the starter with the learning rate that BERT is usually fine-tuned with. Mini: a transformer that
# is told which words the two sentences share, and to which names do not matter.
set -euo pipefail
if [ "${MLGYM_LITE_VARIANT:-}" = mini ]; then
  python "${MLGYM_LITE_ROOT:-}/solution/better.py"
else
  python baseline.py --learning-rate 3e-5
fi
