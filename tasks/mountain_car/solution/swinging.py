"""Trains like train.py, but with exploration that keeps its direction for a while; see better.sh."""

from __future__ import annotations

import torch
import train

CORRELATION = 0.9


class SwingingNoise(train.Noise):
    """Numbers with mean 0 and standard deviation 1, each of which is mostly like the one before."""

    def __init__(self, environments: int) -> None:
        """Begin with independent draws."""
        super().__init__(environments)
        self._last = super().draw()

    def draw(self) -> torch.Tensor:
        """Return the next number for each environment."""
        self._last = CORRELATION * self._last + (1 - CORRELATION**2) ** 0.5 * super().draw()
        return self._last


if __name__ == "__main__":
    train.Noise = SwingingNoise
    train.main()
