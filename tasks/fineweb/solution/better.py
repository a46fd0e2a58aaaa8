"""Fits a hidden Markov model by expectation maximisation, as the mini variant's text is of a kind it can follow.

It writes model.py, config.json and weights.safetensors into the workspace. Expectations are taken on windows of the
training text, ever more of them, and the counts of one round make the tables of the next.
"""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

DATA = Path(os.environ.get("MLGYM_LITE_ROOT", "") + "/data")
HEADER_BYTES = 1024
SEED = 7
STATES = 64
ROUNDS = [512] * 40 + [2048] * 10
SMALLEST_COUNT = 1e-3


def main():
    """Fit the tables and write what is handed in."""
    meta = json.loads(DATA.joinpath("meta.json").read_text(encoding="utf-8"))
    window, vocabulary = meta["window"], meta["vocabulary"]
    text = np.memmap(DATA / "train_000001.bin", np.uint16, "r", offset=HEADER_BYTES)
    windows = torch.from_numpy(text[: len(text) // window * window].astype(np.int64)).view(-1, window)
    draw = torch.Generator().manual_seed(SEED)
    windows = windows[torch.randperm(len(windows), generator=draw)]
    start = torch.full((STATES,), 1 / STATES)
    transitions = rows(torch.rand(STATES, STATES, generator=draw) + 0.5)
    shares = torch.bincount(windows.flatten(), minlength=vocabulary) / windows.numel()
    emissions = rows((shares + 1e-6) * torch.rand(STATES, vocabulary, generator=draw) ** 2)
    started = time.monotonic()
    for number, count in enumerate(ROUNDS, start=1):
        first = number * count % (len(windows) - count)
        loss, start, transitions, emissions = one_round(windows[first : first + count], start, transitions, emissions)
        if number % 5 == 0:
            print(f"round {number} of {len(ROUNDS)}: loss {loss:.4f}, {time.monotonic() - started:.0f} s", flush=True)
    shutil.copy(Path(__file__).with_name("better_model.py"), "model.py")
    Path("config.json").write_text(json.dumps({"states": STATES, "vocabulary": vocabulary}) + "\n", encoding="utf-8")
    save_file({"start": start, "transitions": transitions, "emissions": emissions}, "weights.safetensors")


def one_round(windows, start, transitions, emissions):
    """Return the mean loss of the tables on some windows, and the tables that follow from them."""
    likelihoods = emissions.T[windows.T]
    beliefs, losses = [], []
    ahead = start.expand(len(windows), -1)
    for likelihood in likelihoods:
        joint = ahead * likelihood
        total = joint.sum(dim=1, keepdim=True)
        beliefs.append(joint / total)
        losses.append(-total.log().mean().item())
        ahead = beliefs[-1] @ transitions
    moves, emitted = torch.zeros_like(transitions), torch.zeros_like(emissions.T)
    behind = torch.ones_like(ahead)
    for at in range(len(likelihoods) - 1, -1, -1):
        posterior = beliefs[at] * behind
        posterior = posterior / posterior.sum(dim=1, keepdim=True)
        emitted.index_add_(0, windows[:, at], posterior)
        if at > 0:
            after = likelihoods[at] * behind
            scale = ((beliefs[at - 1] @ transitions) * after).sum(dim=1, keepdim=True)
            moves += transitions * (beliefs[at - 1].T @ (after / scale))
            behind = after @ transitions.T
            behind = behind / behind.sum(dim=1, keepdim=True)
    return float(np.mean(losses[1:])), posterior.mean(dim=0), rows(moves + SMALLEST_COUNT), rows(emitted.T + SMALLEST_COUNT)


def rows(counts):
    """Return each row as a distribution."""
    return counts / counts.sum(dim=1, keepdim=True)


if __name__ == "__main__":
    main()
