"""Runs the agent's policy.py with its checkpoints at the judge's request; it runs in the player's sandbox.

The judge's first message says which checkpoints to load and how many rollouts and environments there are. There is one
policy for each checkpoint and rollout. Each further message holds the observations of all environments, and the answer
is one action for each, in the same order.

This file is the same in the three tasks of this kind.
"""

from __future__ import annotations

import importlib.util
import random
import reprlib
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlgym_player
import numpy as np

WEIGHTS_LIMIT_BYTES = 256 * 1024 * 1024
Policy = Callable[[np.ndarray], Any]


def load_build(path: Path) -> Callable[[dict[str, np.ndarray], int], Policy]:
    """Return build of the agent's file, without putting the agent's folder on the import path."""
    specification = importlib.util.spec_from_file_location("policy", path)
    if specification is None or specification.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(specification)
    sys.modules["policy"] = module
    specification.loader.exec_module(module)
    return module.build


def load_weights(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a checkpoint; nothing in it is run."""
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return load_file(path)
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > WEIGHTS_LIMIT_BYTES:
        raise ValueError(f"{path.name} unpacks to {size} bytes; at most {WEIGHTS_LIMIT_BYTES} are taken")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


class Table:
    """All policies of one grading, between two messages of the judge."""

    def __init__(self) -> None:
        """Begin without a policy."""
        self._policies: list[tuple[str, Policy]] = []
        self._environments = 0
        self._shape: tuple[int, ...] = ()
        self._type = ""
        self._actions: int | None = None

    def play(self, message: Any) -> Any:
        """Take in the judge's message and return the answer to it."""
        if self._policies:
            return self._step(message["observations"])
        self._environments, self._actions = message["environments"], message["actions"]
        self._shape, self._type = tuple(message["shape"]), message["type"]
        build = load_build(Path("policy.py").resolve())
        for name in message["checkpoints"]:
            weights = load_weights(Path("checkpoints", name))
            for _ in range(message["rollouts"]):
                own = {key: values.copy() for key, values in weights.items()}
                self._policies.append((name, build(own, random.getrandbits(32))))
        return {}

    def _step(self, payload: bytes) -> bytes:
        """Return one action for each environment."""
        shape = (len(self._policies), self._environments, *self._shape)
        if self._type == "bool":
            bits = np.unpackbits(np.frombuffer(payload, np.uint8), count=int(np.prod(shape)))
            observations = bits.view(bool).reshape(shape)
        else:
            observations = np.frombuffer(bytearray(payload), self._type).reshape(shape)
        rows = zip(self._policies, observations, strict=True)
        return b"".join(self._bytes_of(name, policy(batch)) for (name, policy), batch in rows)

    def _bytes_of(self, name: str, chosen: Any) -> bytes:
        """Return one policy's actions as the judge takes them; it says what is wrong, and the judge checks again."""
        actions = np.asarray(chosen)
        if actions.shape == (self._environments, 1):
            actions = actions[:, 0]
        wanted = np.issubdtype(actions.dtype, np.number) and not np.iscomplexobj(actions)
        wanted = wanted and (self._actions is None or np.issubdtype(actions.dtype, np.integer))
        if not wanted or actions.shape != (self._environments,):
            raise TypeError(
                f"the policy of {name} returned {actions.dtype} of shape {actions.shape}, expected "
                f"{'real' if self._actions is None else 'whole'} numbers of shape ({self._environments},)"
            )
        if self._actions is None:
            return actions.astype(np.float32).tobytes()
        outside = (actions < 0) | (actions >= self._actions)
        if outside.any():
            raise ValueError(
                f"the policy of {name} chose {reprlib.repr(actions[outside][0].item())}, expected 0 to {self._actions - 1}"
            )
        return actions.astype(np.uint8).tobytes()


if __name__ == "__main__":
    mlgym_player.serve(Table().play)
