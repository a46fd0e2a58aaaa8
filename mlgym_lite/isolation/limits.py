"""Choosing how limits are kept on this host: control groups version 2, else version 1, else the watchdog."""

from __future__ import annotations

import os
from typing import Protocol

from mlgym_lite.isolation.cgroups import VersionOne, VersionTwo
from mlgym_lite.isolation.protocol import Limits, Usage
from mlgym_lite.isolation.watchdog import Watchdog


class LimitGroup(Protocol):
    """The limits of one sandbox."""

    def add(self, process_id: int) -> None:
        """Put the sandbox's first process under them, before it starts anything."""

    def usage(self) -> Usage:
        """What was used so far."""

    def close(self) -> None:
        """Give the group back when every process is gone; twice is harmless."""


class LimitsMechanism(Protocol):
    """A way to keep limits."""

    name: str
    counts_processes: bool
    """Whether it keeps the limit on processes itself; else the kernel's resource limit must."""

    def open(self, limits: Limits) -> LimitGroup:
        """Make a group with these limits."""


def choose_limits() -> LimitsMechanism:
    """The strongest way to keep limits that this user has on this host."""
    for kind in (VersionTwo, VersionOne):
        try:
            return kind()
        except OSError:
            continue
    return Watchdog()


def refusals() -> dict[str, str]:
    """For each control group version, why it cannot be used here; an empty text where it can."""
    reasons: dict[str, str] = {}
    for kind in (VersionTwo, VersionOne):
        try:
            kind()
            reasons[kind.name] = ""
        except OSError as error:
            reasons[kind.name] = str(error)
    return reasons


def cpu_count() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))
