"""Reinforcement learning on the gym: a policy plays groups of episodes, and what did better than its group becomes likelier.

    grammar           a small vocabulary whose sentences are shell commands
    grammar_policy    a recurrent policy over such a grammar
    language_model    a causal language model from a local Hugging Face folder
    batches           rollouts as tensors
    objectives        advantages within groups, the losses of GRPO and REINFORCE
    trainer           the loop, its checkpoints and what it records
    curves            what it recorded, read and drawn

Needs torch (the extra `torch`), and for language models transformers (the extra `training`).
"""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("torch") is None:
    raise ImportError("mlgym_lite.training needs PyTorch: pip install 'mlgym-lite[torch]'", name="torch")
