"""The baseline: trains model.py and writes config.json and weights.safetensors, which are handed in with it.

Run it in the workspace: `python train.py`. Matrices inside the layers are trained with Muon, the embedding and the
head with Adam. It uses one GPU where there is one. The settings follow the data: the large ones for the web text, the
small ones for the mini variant, which trains on a CPU in about a minute.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from model import build
from safetensors.torch import save_model
from torch.nn import functional

DATA = Path(os.environ.get("MLGYM_LITE_ROOT", "") + "/data")
HEADER_BYTES = 1024
SEED = 1337


@dataclass(frozen=True)
class Settings:
    """The size of the model and how long it trains."""

    vocabulary: int
    layers: int
    width: int
    heads: int
    iterations: int
    sequences: int  # in one step of the optimisers
    sequences_at_once: int  # as many as fit in memory
    warm_down: int  # steps over which the learning rates fall to zero, in a straight line
    matrix_rate: float = 0.02
    embedding_rate: float = 0.3
    head_rate: float = 0.002


# The warm-down of the web text is longer than its training: the rates begin at 500 / 1308 of what is written here.
WEB_TEXT = Settings(
    vocabulary=50_304, layers=12, width=768, heads=6, iterations=500, sequences=128, sequences_at_once=16, warm_down=1308
)
MINI = Settings(vocabulary=256, layers=2, width=96, heads=3, iterations=200, sequences=32, sequences_at_once=32, warm_down=520)


def main():
    """Train, and write what is handed in."""
    arguments = argparse.ArgumentParser(description="Train the baseline.")
    arguments.add_argument("--data", type=Path, default=DATA, help="folder with meta.json and the shards")
    arguments.add_argument("--iterations", type=int, help="steps, instead of the settings' number")
    options = arguments.parse_args()
    meta = json.loads(options.data.joinpath("meta.json").read_text(encoding="utf-8"))
    settings = WEB_TEXT if meta["vocabulary"] > 1000 else MINI
    torch.manual_seed(SEED)
    config = {name: getattr(settings, name) for name in ("vocabulary", "layers", "width", "heads")}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build(config).to(device)
    batches = Batches(sorted(options.data.glob("train_*.bin")), meta["window"], device)
    train(model, batches, settings, options.iterations or settings.iterations)
    Path("config.json").write_text(json.dumps(config) + "\n", encoding="utf-8")
    save_model(model, "weights.safetensors")


def train(model, batches, settings, iterations):
    """Take the optimisers' steps."""
    optimisers = [
        Muon(model.layers.parameters(), settings.matrix_rate),
        torch.optim.Adam(
            [
                {"params": model.embedding.parameters(), "lr": settings.embedding_rate},
                {"params": model.head.parameters(), "lr": settings.head_rate},
            ],
            betas=(0.9, 0.95),
        ),
    ]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (iterations - step) / settings.warm_down))
        for optimiser in optimisers
    ]
    started = time.monotonic()
    for step in range(1, iterations + 1):
        loss = gradients(model, batches, settings)
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
        if step % max(1, iterations // 20) == 0:
            print(f"step {step} of {iterations}: loss {loss:.4f}, {time.monotonic() - started:.0f} s", flush=True)


def gradients(model, batches, settings):
    """Add up the gradients of one step and return its mean loss."""
    parts = settings.sequences // settings.sequences_at_once
    total = 0.0
    for _ in range(parts):
        inputs, targets = batches.following(settings.sequences_at_once)
        loss = functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()) / parts
        loss.backward()
        total += loss.item()
    return total


class Batches:
    """Reads the shards from front to back, and again from the first after the last."""

    def __init__(self, shards, window, device):
        self.shards = [np.memmap(shard, np.uint16, "r", offset=HEADER_BYTES) for shard in shards]
        self.window, self.device = window, device
        self.shard, self.position = 0, 0

    def following(self, sequences):
        """Return inputs and targets, [sequences, window] each."""
        length = sequences * self.window
        if self.position + length + 1 > len(self.shards[self.shard]):
            self.shard, self.position = (self.shard + 1) % len(self.shards), 0
        text = self.shards[self.shard][self.position : self.position + length + 1].astype(np.int64)
        self.position += length
        text = torch.from_numpy(text).to(self.device)
        return text[:-1].view(sequences, self.window), text[1:].view(sequences, self.window)


class Muon(torch.optim.Optimizer):
    """Momentum whose step has all its singular values near 1 (Keller Jordan and others, 2024)."""

    def __init__(self, parameters, lr, momentum=0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for matrix in group["params"]:
                state = self.state[matrix]
                average = state.setdefault("average", torch.zeros_like(matrix))
                average.mul_(group["momentum"]).add_(matrix.grad)
                step = orthogonal(matrix.grad + group["momentum"] * average)
                matrix.sub_(step, alpha=group["lr"] * max(1.0, matrix.size(0) / matrix.size(1)) ** 0.5)


def orthogonal(matrix, rounds=5):
    """Return the nearest matrix with orthogonal rows or columns, roughly, by Newton and Schulz's iteration."""
    near = matrix.bfloat16() if matrix.is_cuda else matrix
    tall = near.size(0) > near.size(1)
    near = near.T if tall else near
    near = near / (near.norm() + 1e-7)
    for _ in range(rounds):
        square = near @ near.T
        near = 3.4445 * near + (-4.7750 * square + 2.0315 * square @ square) @ near
    return (near.T if tall else near).to(matrix.dtype)


if __name__ == "__main__":
    main()
