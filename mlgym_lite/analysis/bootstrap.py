"""Means with bootstrap intervals: how far the mean over seeds would move with other seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95
_DRAWN_AT_ONCE = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of some values, and its percentile interval."""

    count: int
    mean: float
    low: float | None
    """None of a single value, which tells nothing of its spread."""
    high: float | None


def mean_of(values: Sequence[float], *, seed: int = 0) -> Mean | None:
    """The mean with a 95 % percentile interval from 2,000 resamples, the same at each call; None of no values."""
    if not values:
        return None
    sample = np.asarray(sorted(values), dtype=np.float64)
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Mean(count=1, mean=mean, low=None, high=None)
    low, high = np.quantile(_resampled_means(sample, seed), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Mean(count=len(values), mean=mean, low=float(low), high=float(high))


def _resampled_means(sample: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Some resamples at once, so that many values take no more memory than few."""
    generator = np.random.default_rng(seed)
    size = len(sample)
    at_once = max(1, _DRAWN_AT_ONCE // size)
    means = np.empty(RESAMPLES)
    for first in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - first)
        means[first : first + count] = sample[generator.integers(0, size, (count, size))].mean(axis=1)
    return means
