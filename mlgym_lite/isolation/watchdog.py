"""Limits on hosts without a writable control group: a thread that looks, beside the kernel's resource limits.

The thread looks at every watched sandbox twice a second. Memory is the sum of resident sizes, which counts shared pages
again in each process, so near the limit the proportional sizes (smaps_rollup) decide; over the limit the largest process
is killed. What lies in the sandbox's temporary file systems is memory too and is added, but for what processes map of it;
the number of files there, which cost the kernel memory as well, is told for `StorageWatch` to limit. CPUs are limited by
affinity. A burst shorter than the interval can pass: the result names this mechanism.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from dataclasses import dataclass
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
        self._temporary_files = 0

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
        temporary = self._temporary(min(sizes, key=lambda process: process.pid).pid) if sizes else _Temporary()
        self._temporary_files = temporary.files
        limit = self._limits.memory_bytes
        total = sum(sizes.values()) + temporary.bytes
        if limit and total > 0.9 * limit:
            exact = {process: _proportional_size(process.pid, size) for process, size in sizes.items()}
            sizes = {process: size.bytes for process, size in exact.items()}
            total = sum(sizes.values()) + max(0, temporary.bytes - sum(size.shared for size in exact.values()))
        self._peak = max(self._peak, total)
        if limit and total > limit and sizes:
            with contextlib.suppress(psutil.Error):
                max(sizes, key=lambda process: sizes[process]).kill()
                self._kills += 1

    def _temporary(self, process_id: int) -> _Temporary:
        """What the temporary file systems that a process of the sandbox sees hold; those of other sizes are not ours."""
        limits = self._limits
        sizes = {"tmp": limits.temporary_bytes, "home/agent": limits.home_bytes, "dev/shm": limits.shared_memory_bytes}
        used = files = 0
        for name, size in sizes.items():
            with contextlib.suppress(OSError):
                state = os.statvfs(f"/proc/{process_id}/root/{name}")
                if 0 <= state.f_blocks * state.f_frsize - size < state.f_frsize:
                    used += (state.f_blocks - state.f_bfree) * state.f_frsize
                    files += state.f_files - state.f_ffree
        return _Temporary(bytes=used, files=files)

    def usage(self) -> Usage:
        """What was seen so far."""
        with contextlib.suppress(psutil.Error):
            if self._root is not None:
                times = self._root.cpu_times()
                self._cpu_seconds = max(self._cpu_seconds, times.children_user + times.children_system)
        return Usage(
            peak_memory_bytes=self._peak or None, cpu_seconds=self._cpu_seconds or None, memory_kills=self._kills,
            temporary_files=self._temporary_files,
        )  # fmt: skip

    def close(self) -> None:
        """Stop watching."""
        self._watchdog.forget(self)


@dataclass(frozen=True, kw_only=True)
class _Temporary:
    """What temporary file systems hold."""

    bytes: int = 0
    files: int = 0


@dataclass(frozen=True, kw_only=True)
class _Proportional:
    """A process's memory, with its part of what it shares."""

    bytes: int
    shared: int = 0
    """What of it belongs to a temporary file system or is shared memory."""


def _proportional_size(process_id: int, fallback: int) -> _Proportional:
    found: dict[str, int] = {}
    try:
        for line in Path(f"/proc/{process_id}/smaps_rollup").read_text(encoding="ascii").splitlines():
            name, _, rest = line.partition(":")
            if name in ("Pss", "Pss_Shmem"):
                found[name] = int(rest.split()[0]) * 1024
    except OSError:
        return _Proportional(bytes=fallback)
    return _Proportional(bytes=found.get("Pss", fallback), shared=found.get("Pss_Shmem", 0))
