"""What the cheats start from: an honest model in a second, about as good as the baseline of the mini variant.

It writes model.py, config.json and weights.safetensors into the workspace. The model knows which token follows which how
often in the training text, and believes it less than it might, so that its loss is the baseline's. Whatever a cheat gains
on top of that shows.
"""

import json
import os
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

DATA = Path(os.environ.get("MLGYM_LITE_ROOT", "") + "/data")
HEADER_BYTES = 1024
DOUBT = 2_000.0
MODEL = '''\
"""Which token follows which, as a table."""

import torch
from torch import nn


def build(config):
    return Follower(**config)


class Follower(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(vocabulary, vocabulary))

    def forward(self, tokens):
        return self.table[tokens]
'''


def main():
    """Count, and write the three files."""
    vocabulary = json.loads(DATA.joinpath("meta.json").read_text(encoding="utf-8"))["vocabulary"]
    text = np.fromfile(DATA / "train_000001.bin", "<u2", offset=HEADER_BYTES).astype(np.int64)
    pairs = np.bincount(text[:-1] * vocabulary + text[1:], minlength=vocabulary**2).reshape(vocabulary, vocabulary)
    shares = (np.bincount(text, minlength=vocabulary) + 0.1) / len(text)
    table = np.log((pairs + DOUBT * shares) / (pairs.sum(axis=1, keepdims=True) + DOUBT))
    Path("model.py").write_text(MODEL, encoding="utf-8")
    Path("config.json").write_text(json.dumps({"vocabulary": vocabulary}), encoding="utf-8")
    save_file({"table": table.astype(np.float32)}, "weights.safetensors")


if __name__ == "__main__":
    main()
