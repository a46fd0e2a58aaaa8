"""Limits through control groups, version 2 or 1, where this user may write them.

A group is a folder below the engine's own cgroup, named after the engine's process. The engine puts the sandbox's first
process in while that still waits, so everything the sandbox ever starts is inside. The group goes when the sandbox is
closed; `processes.Keeper` removes it when the engine was killed. Version 2 needs a delegated subtree
(docs.kernel.org/admin-guide/cgroup-v2.html, "Delegation"); a process may not sit in a group whose controllers are handed
down, so the engine moves itself into a leaf `mlgym-lite-engine` first.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlgym_lite.errors import SandboxError
from mlgym_lite.isolation.protocol import Limits, Usage
from mlgym_lite.processes import Keeper

_PERIOD_MICROSECONDS = 100_000
_V1_CONTROLLERS = ("memory", "pids", "cpu", "cpuacct")
_V2_CONTROLLERS = ("memory", "pids", "cpu")
_LEAF = "mlgym-lite-engine"

_numbers = itertools.count(1)
_lock = threading.Lock()
_keepers: dict[int, Keeper] = {}


def _write(path: Path, text: str) -> None:
    """Write in one system call, so that the kernel's refusal is seen here and not in a destructor."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)


class _Counters:
    """Files of counters, kept open so that reading them costs a microsecond; the group that opened them closes them."""

    def __init__(self, **paths: Path) -> None:
        self._descriptors = {name: os.open(path, os.O_RDONLY | os.O_CLOEXEC) for name, path in paths.items() if path.exists()}

    def number(self, name: str) -> int | None:
        """The one number in a file; None where the kernel has no such file."""
        return int(os.pread(self._descriptors[name], 100, 0)) if name in self._descriptors else None

    def named_number(self, name: str, key: str) -> int:
        """The number behind `key` in a file of `key number` lines."""
        for line in os.pread(self._descriptors[name], 4096, 0).splitlines():
            found, _, value = line.partition(b" ")
            if found == key.encode("ascii"):
                return int(value)
        return 0

    def close(self) -> None:
        """Close the files; twice is harmless."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors = {}


def _new_name() -> str:
    return f"mlgym-lite-{os.getpid()}-{next(_numbers)}"


def _keep(parents: Iterable[Path], further: Iterable[Path] = ()) -> None:
    """Have the groups of this process, and further ones, removed when it is gone; one keeper for a process."""
    with _lock:
        if os.getpid() not in _keepers:
            own = [f"{parent}/mlgym-lite-{os.getpid()}-*" for parent in parents]
            _keepers[os.getpid()] = Keeper([*own, *(str(path) for path in further)])


def _own_groups() -> Mapping[str, str]:
    """The engine's own group for each version 1 controller, and under '' for version 2."""
    groups: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _mount_points() -> Mapping[str, Path]:
    """Where each version 1 controller, and under '' version 2, is mounted."""
    points: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        target = Path(before.split(" ")[4])
        if kind == "cgroup2":
            points.setdefault("", target)
        elif kind == "cgroup":
            for option in options.split(" ")[-1].split(","):
                points.setdefault(option, target)
    return points


class VersionOne:
    """Version 1: one folder in each controller's hierarchy."""

    name = "cgroup-v1"
    counts_processes = True

    def __init__(self) -> None:
        groups, points = _own_groups(), _mount_points()
        missing = [name for name in _V1_CONTROLLERS if name not in groups or name not in points]
        if missing:
            raise OSError(f"no version 1 controller {', '.join(missing)}")
        self._parents = {name: points[name] / groups[name].lstrip("/") for name in _V1_CONTROLLERS}
        for parent in self._parents.values():
            if not os.access(parent, os.W_OK):
                raise PermissionError(f"{parent} is not writable")

    def open(self, limits: Limits) -> VersionOneGroup:
        """Make a group with these limits."""
        _keep(self._parents.values())
        return VersionOneGroup({name: parent / _new_name() for name, parent in self._parents.items()}, limits)


class VersionOneGroup:
    """One sandbox's group; empty until its first process is added."""

    def __init__(self, folders: Mapping[str, Path], limits: Limits) -> None:
        self._folders = folders
        self._counters = _Counters()
        try:
            for folder in folders.values():
                folder.mkdir()
            self._set(limits)
            memory = folders["memory"]
            self._counters = _Counters(
                peak=memory / "memory.max_usage_in_bytes",
                kills=memory / "memory.oom_control",
                cpu=folders["cpuacct"] / "cpuacct.usage",
            )
        except OSError as error:
            self.close()
            raise SandboxError(f"the control group could not be made: {error}") from error

    def _set(self, limits: Limits) -> None:
        memory, cpu = self._folders["memory"], self._folders["cpu"]
        if limits.memory_bytes:
            _write(memory / "memory.limit_in_bytes", str(limits.memory_bytes))
            with contextlib.suppress(FileNotFoundError):  # absent where swap is not accounted
                _write(memory / "memory.memsw.limit_in_bytes", str(limits.memory_bytes))
        if limits.processes:
            _write(self._folders["pids"] / "pids.max", str(limits.processes))
        if limits.cpus:
            _write(cpu / "cpu.cfs_period_us", str(_PERIOD_MICROSECONDS))
            _write(cpu / "cpu.cfs_quota_us", str(int(limits.cpus * _PERIOD_MICROSECONDS)))

    def add(self, process_id: int) -> None:
        """Put a process in."""
        for folder in self._folders.values():
            _write(folder / "cgroup.procs", str(process_id))

    def usage(self) -> Usage:
        """What the group used so far."""
        return Usage(
            peak_memory_bytes=self._counters.number("peak"),
            cpu_seconds=(self._counters.number("cpu") or 0) / 1e9,
            memory_kills=self._counters.named_number("kills", "oom_kill"),
        )

    def close(self) -> None:
        """Remove the group; its processes are gone."""
        self._counters.close()
        for folder in self._folders.values():
            with contextlib.suppress(OSError):  # what is busy a moment longer, the keeper removes
                folder.rmdir()


class VersionTwo:
    """Version 2: one folder below the engine's own group, whose subtree must be ours to write."""

    name = "cgroup-v2"
    counts_processes = True

    def __init__(self) -> None:
        groups, points = _own_groups(), _mount_points()
        if "" not in groups or "" not in points:
            raise OSError("no version 2 hierarchy")
        own = points[""] / groups[""].lstrip("/")
        self._parent = own.parent if own.name == _LEAF else own
        self._leaf = self._parent / _LEAF
        offered = (self._parent / "cgroup.controllers").read_text(encoding="ascii").split()
        missing = [name for name in _V2_CONTROLLERS if name not in offered]
        if missing:
            raise OSError(f"{self._parent} does not offer {', '.join(missing)}")
        self._hand_down()

    def _hand_down(self) -> None:
        enabled = (self._parent / "cgroup.subtree_control").read_text(encoding="ascii").split()
        if all(name in enabled for name in _V2_CONTROLLERS) and os.access(self._parent, os.W_OK):
            return
        wanted = " ".join(f"+{name}" for name in _V2_CONTROLLERS)
        try:
            _write(self._parent / "cgroup.subtree_control", wanted)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            self._leaf.mkdir(exist_ok=True)
            _write(self._leaf / "cgroup.procs", "0")
            _write(self._parent / "cgroup.subtree_control", wanted)

    def open(self, limits: Limits) -> VersionTwoGroup:
        """Make a group with these limits."""
        _keep((self._parent,), further=(self._leaf,))
        return VersionTwoGroup(self._parent / _new_name(), limits)


class VersionTwoGroup:
    """One sandbox's group; empty until its first process is added."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._counters = _Counters()
        try:
            folder.mkdir()
            self._set(limits)
            self._counters = _Counters(peak=folder / "memory.peak", kills=folder / "memory.events", cpu=folder / "cpu.stat")
        except OSError as error:
            self.close()
            raise SandboxError(f"the control group {folder} could not be made: {error}") from error

    def _set(self, limits: Limits) -> None:
        if limits.memory_bytes:
            _write(self._folder / "memory.max", str(limits.memory_bytes))
            with contextlib.suppress(FileNotFoundError):
                _write(self._folder / "memory.swap.max", "0")
        if limits.processes:
            _write(self._folder / "pids.max", str(limits.processes))
        if limits.cpus:
            _write(self._folder / "cpu.max", f"{int(limits.cpus * _PERIOD_MICROSECONDS)} {_PERIOD_MICROSECONDS}")

    def add(self, process_id: int) -> None:
        """Put a process in."""
        _write(self._folder / "cgroup.procs", str(process_id))

    def usage(self) -> Usage:
        """What the group used so far; the peak is known from kernel 5.19 on."""
        return Usage(
            peak_memory_bytes=self._counters.number("peak"),
            cpu_seconds=self._counters.named_number("cpu", "usage_usec") / 1e6,
            memory_kills=self._counters.named_number("kills", "oom_kill"),
        )

    def close(self) -> None:
        """Remove the group; its processes are gone."""
        self._counters.close()
        with contextlib.suppress(OSError):  # what is busy a moment longer, the keeper removes
            self._folder.rmdir()
