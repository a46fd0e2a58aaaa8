"""Limits on hosts without a writable control group: a thread that looks, beside the kernel's resource limits.

The thread looks at every watched sandbox twice a second. Memory is the sum of resident sizes, which counts shared pages
again in each process, so near the limit the proportional sizes (smaps_rollup) decide; over the limit the largest process
is killed. CPUs are limited by affinity. A burst shorter than the interval can pass: the result names this mechanism.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from pathlib import Path

import psutil

from mlgym_lite.isolation.protocol import Limits, Usage

_INTERVAL_SECONDS = 0.5
_starts = itertools.count()


class Watchdog:
    """The limits mechanism; one watching thread serves all its groups and waits while there are none."""

    name = "watchdog"
    counts_processes = False

    def __init__(self) -> None:
        self._groups: set[WatchedGroup] = set()
        self._changed = threading.Condition()
        self._process_id = 0

    def open(self, limits: Limits) -> WatchedGroup:
        """Make a group with these limits."""
        group = WatchedGroup(self, limits)
        with self._changed:
            if self._process_id != os.getpid():
                self._process_id = os.getpid()
                threading.Thread(target=self._watch, name="mlgym-lite-watchdog", daemon=True).start()
            self._groups.add(group)
            self._changed.notify()
        return group

    def forget(self, group: WatchedGroup) -> None:
        """Stop watching a group."""
        with self._changed:
            self._groups.discard(group)

    def _watch(self) -> None:
        while True:
            with self._changed:
                while not self._groups:
                    self._changed.wait()
                self._changed.wait(_INTERVAL_SECONDS)
                groups = tuple(self._groups)
            for group in groups:
                group.look()


class WatchedGroup:
    """One sandbox's processes, watched."""

    def __init__(self, watchdog: Watchdog, limits: Limits) -> None:
        self._watchdog = watchdog
        self._limits = limits
        self._root: psutil.Process | None = None
        self._peak = 0
        self._kills = 0
        self._cpu_seconds = 0.0

    def add(self, process_id: int) -> None:
        """Take the sandbox's first process, which still waits."""
        limits = self._limits
        if limits.cpus:
            allowed = sorted(os.sched_getaffinity(process_id))
            count = max(1, min(len(allowed), round(limits.cpus)))
            first = next(_starts) * count % len(allowed)
            chosen = {allowed[(first + offset) % len(allowed)] for offset in range(count)}
            os.sched_setaffinity(process_id, chosen)
        with contextlib.suppress(psutil.Error):
            self._root = psutil.Process(process_id)

    def look(self) -> None:
        """Measure once and kill the largest process where the memory limit is passed."""
        sizes: dict[psutil.Process, int] = {}
        with contextlib.suppress(psutil.Error):
            if self._root is not None:
                for process in self._root.children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        sizes[process] = process.memory_info().rss
        limit = self._limits.memory_bytes
        total = sum(sizes.values())
        if limit and total > 0.9 * limit:
            sizes = {process: _proportional_size(process.pid, size) for process, size in sizes.items()}
            total = sum(sizes.values())
        self._peak = max(self._peak, total)
        if limit and total > limit and sizes:
            with contextlib.suppress(psutil.Error):
                max(sizes, key=lambda process: sizes[process]).kill()
                self._kills += 1

    def usage(self) -> Usage:
        """What was seen so far."""
        with contextlib.suppress(psutil.Error):
            if self._root is not None:
                times = self._root.cpu_times()
                self._cpu_seconds = max(self._cpu_seconds, times.children_user + times.children_system)
        return Usage(peak_memory_bytes=self._peak or None, cpu_seconds=self._cpu_seconds or None, memory_kills=self._kills)

    def close(self) -> None:
        """Stop watching."""
        self._watchdog.forget(self)


def _proportional_size(process_id: int, fallback: int) -> int:
    try:
        for line in Path(f"/proc/{process_id}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return fallback
