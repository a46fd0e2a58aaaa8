"""Choosing the mechanism for sandboxes; the one place that knows which there are."""

from __future__ import annotations

import functools
import os

from mlgym_lite.isolation.bubblewrap import BubblewrapMechanism, find_bubblewrap
from mlgym_lite.isolation.protocol import Mechanism


def choose_mechanism(choice: str) -> Mechanism:
    """The mechanism for a choice (`auto` or a name); raises IsolationError with what is missing."""
    assert choice in ("auto", "bubblewrap"), choice
    return _bubblewrap(find_bubblewrap(), os.getpid())


@functools.cache
def _bubblewrap(program: str, process_id: int) -> Mechanism:
    """One mechanism for a process: limits are looked for once, and again in a forked child."""
    return BubblewrapMechanism(program)
