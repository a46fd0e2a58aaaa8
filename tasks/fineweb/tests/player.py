"""Runs the agent's language model at the judge's request; it runs in a player's sandbox, on a GPU where there is one.

Two such processes serve one grading and cannot speak to each other. The judge's messages, after one that says how many
tokens there are and how many windows to pass to the module at once, are of two kinds:

    windows    each one token longer than what the module sees; the answer is the module's loss at each position,
               as this process works it out: a claim, which the judge does not take on trust
    prefixes   windows whose end is not the text's, and one position in each; the answer is the logits at the positions

The agent's files are read when the first message comes, and not before.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import mlgym_player
import numpy as np
import torch
from safetensors.torch import load_model
from torch.nn import functional


def loaded_module() -> torch.nn.Module:
    """Return the module of model.py as config.json describes it, with the weights of weights.safetensors."""
    specification = importlib.util.spec_from_file_location("model", Path("model.py").resolve())
    if specification is None or specification.loader is None:
        raise ImportError("model.py cannot be loaded")
    model = importlib.util.module_from_spec(specification)
    sys.modules["model"] = model
    specification.loader.exec_module(model)
    config = json.loads(Path("config.json").read_text(encoding="utf-8"))
    module = model.build(config)
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"build(config) of model.py returned {type(module).__name__}, expected a torch.nn.Module")
    load_model(module, "weights.safetensors")
    return module.eval()


class Desk:
    """The module, and what the judge wants of it; lives as long as the process."""

    def __init__(self) -> None:
        """Begin without a module."""
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._module: torch.nn.Module | None = None
        self._vocabulary = 0
        self._rows = 0

    def answer(self, message: Any) -> dict[str, object]:
        """Do what a message asks for."""
        with torch.no_grad():
            if "windows" in message:
                return self._losses(tokens_of(message["windows"], message["length"]))
            if "prefixes" in message:
                return self._logits(tokens_of(message["prefixes"], message["length"]), message["positions"])
            self._vocabulary, self._rows = message["vocabulary"], message["rows"]
            self._module = loaded_module().to(self._device)
            return {}

    def _losses(self, windows: torch.Tensor) -> dict[str, object]:
        """Return the loss at each position of each window."""
        losses = []
        for part in windows.split(self._rows):
            logits = self._module_says(part[:, :-1]).float()
            targets = part[:, 1:].to(self._device)
            losses.append(functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").cpu())
        return {"losses": torch.cat(losses).numpy().astype("<f4").tobytes()}

    def _logits(self, prefixes: torch.Tensor, positions: list[int]) -> dict[str, object]:
        """Return the logits at one position of each row."""
        rows = []
        for part, where in zip(prefixes.split(self._rows), torch.tensor(positions).split(self._rows), strict=True):
            logits = self._module_says(part)
            rows.append(logits[torch.arange(len(part)), where.to(logits.device)].float().cpu())
        logits = torch.cat(rows)
        return {"width": logits.shape[1], "logits": logits.numpy().astype("<f4").tobytes()}

    def _module_says(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the module's logits, of the shape that was agreed on."""
        assert self._module is not None
        logits = self._module(tokens.to(self._device))
        rows, time = tokens.shape
        if not isinstance(logits, torch.Tensor) or logits.ndim != 3 or logits.shape[:2] != (rows, time):
            found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise TypeError(f"the module returned {found}, expected a tensor [{rows}, {time}, {self._vocabulary} or more]")
        if logits.shape[2] < self._vocabulary:
            raise TypeError(f"the module returned {logits.shape[2]} logits a position, expected {self._vocabulary} or more")
        return logits


def tokens_of(payload: bytes, length: int) -> torch.Tensor:
    """Return the tokens of a message, one row for each window."""
    return torch.from_numpy(np.frombuffer(payload, "<u2").astype(np.int64)).view(-1, length)


if __name__ == "__main__":
    mlgym_player.serve(Desk().answer)
