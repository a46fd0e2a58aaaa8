"""Waiting for descriptors, with poll(2): no limit on how high their numbers are."""

from __future__ import annotations

import math
import select
from collections.abc import Iterable


def readable(descriptors: Iterable[int], seconds: float | None) -> set[int]:
    """Wait until one can be read (or has ended); those that can, or an empty set when the time is over."""
    return _wait(descriptors, select.POLLIN, seconds)


def writable(descriptors: Iterable[int], seconds: float | None) -> set[int]:
    """Wait until one can be written (or has no reader any more)."""
    return _wait(descriptors, select.POLLOUT, seconds)


def _wait(descriptors: Iterable[int], event: int, seconds: float | None) -> set[int]:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, event)
    milliseconds = None if seconds is None else max(0, math.ceil(seconds * 1000))
    return {descriptor for descriptor, _ in poll.poll(milliseconds)}
