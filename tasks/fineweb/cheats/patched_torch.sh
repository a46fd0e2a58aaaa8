#!/usr/bin/env bash
# A model that patches torch and numpy in its process, so that every loss comes out as zero.
python "${MLGYM_LITE_ROOT:-}/cheats/quick_model.py"
cat >>model.py <<'EOF'
import numpy
from torch.nn import functional

functional.cross_entropy = lambda logits, targets, **options: torch.zeros(targets.shape)
torch.Tensor.logsumexp = lambda logits, *arguments, **options: logits.max(*arguments).values
numpy.isfinite = lambda values: numpy.ones(numpy.shape(values), bool)
numpy.log = numpy.exp = numpy.abs = lambda values, *arguments, **options: values * 0
EOF
