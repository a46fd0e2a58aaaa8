"""The limit on what an agent writes to the host's disk: the sum over the folders it can write, kept by looking.

No quota is ours to set, so a thread looks as long as the shell lives. Counting files is slow and asking the file system
for its free space is not; so it asks often, the more often the less room is left, and counts when the free space has fallen
by more than the room there was at the last count, and else now and then while commands run (a twentieth of the time at
most). Over the limit a command is ended as soon as it makes the folders grow, the way a time-out ends it: `stop_descriptor`
becomes readable and `ShellRun` does the rest. Commands that remove files run on. What grows on although its command was
ended, or while none runs, is killed, and at last the shell with it. The same holds where the disk itself runs out, so that
there is room left for the engine's record.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mlgym_lite.isolation.protocol import OWN_PLACES, Sandbox, SandboxRequest
from mlgym_lite.isolation.tree_size import MOST_DEPTH, TreeSize, nameless_bytes, tree_size

logger = logging.getLogger(__name__)

LEAST_FREE_BYTES = 256 << 20
"""What is to stay free on the disk for the engine's own records."""
_LEAST_FREE_FILES = 1000

_SHORTEST_PAUSE, _IDLE_PAUSE, _LONGEST_PAUSE = 0.002, 0.05, 0.25
_FASTEST_BYTES, _FASTEST_FILES = 2 << 30, 200_000
"""What an agent may write in a second: the room left is never looked at later than it could be full."""
_COUNT_SHARE = 20
"""At most one part in so many of the time is spent on counting without a suspicion, and one in four with it."""
_SUSPICION_SHARE = 4
_IDLE_SHARE, _IDLE_SECONDS = 100, 1.0
"""While no command runs, background jobs may write what others on the disk free at the same time."""
_KILL_SECONDS, _GIVE_UP_SECONDS = 0.5, 1.5


@dataclass(frozen=True, kw_only=True)
class _Free:
    """What the disk has left; without a number of files where its file system tells none."""

    bytes: int
    files: int | None

    @property
    def is_low(self) -> bool:
        return self.bytes < LEAST_FREE_BYTES or (self.files is not None and self.files < _LEAST_FREE_FILES)


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What was found at one count."""

    size: TreeSize
    nameless: int
    """Bytes in files that processes hold open without a name; they are in `size` too."""
    temporary_files: int
    free: _Free
    at: float
    seconds: float


class StorageWatch:
    """Watches one sandbox's writable folders; the shell owns it and closes it."""

    def __init__(self, request: SandboxRequest, sandbox: Sandbox) -> None:
        """Begin to watch the folders of a request that runs in a sandbox."""
        self._limits = request.limits
        self._sandbox = sandbox
        folders = {mount.target: os.fspath(mount.source) for mount in request.mounts if mount.writable}
        # without a root they are file systems of the sandbox's own, with sizes of theirs
        own = {place: sandbox.root + place for place in OWN_PLACES} if sandbox.root else {}
        self._targets = " and ".join(sorted({**folders, **own}, reverse=True))
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._stack = contextlib.ExitStack()
        self._folders = [self._opened(folder) for folder in folders.values()]
        for folder in own.values():
            with contextlib.suppress(FileNotFoundError):  # of a sandbox that has ended by now
                self._folders.append(self._opened(folder))
        self.stop_descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        """Readable when the running command must end."""
        self._stack.callback(os.close, self.stop_descriptor)
        self._is_running = False
        self._has_run = False
        self._grew_at: float | None = None
        self._reason = ""
        self._jobs_ended = False
        self._latest = self._before = self._count(nameless=0)
        self._thread = threading.Thread(target=self._watch, name="mlgym-lite-storage", daemon=True)
        self._thread.start()

    def _opened(self, path: str) -> int:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._stack.callback(os.close, descriptor)
        return descriptor

    @contextlib.contextmanager
    def during_command(self) -> Iterator[None]:
        """A command runs within: `stop_descriptor` tells when it must end, and `note` afterwards why."""
        with self._lock:
            if self._problem(self._latest) or self._free().is_low:
                self._latest = self._count()
            self._before = self._latest
            self._grew_at = None
            self._is_running = self._has_run = True
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self.stop_descriptor)
        try:
            yield
        finally:
            if self._is_suspicious() or self._problem(self._latest):
                self._look()
            with self._lock:
                self._is_running = False
                self._before = self._latest
                self._grew_at = None

    def note(self, *, stopped: bool) -> str:
        """What the agent is told after a command, whether it was ended for the limit or left it passed; mostly nothing."""
        with self._lock:
            reason, self._reason = self._reason, ""
            jobs, self._jobs_ended = self._jobs_ended, False
            problem = reason if stopped and reason else self._problem(self._latest)
            if not problem:
                return ""
            start = "Stopped: " if stopped else ""
            ended = " Background jobs that made them grow were ended." if jobs else ""
            return f"[{start}{problem}. Remove files; a command that makes them grow is stopped.{ended}]"

    def close(self) -> None:
        """Stop watching; twice is harmless."""
        self._closing.set()
        self._thread.join()
        self._stack.close()

    def _watch(self) -> None:
        while not self._closing.wait(self._pause()):
            try:
                if self._is_due():
                    self._look()
            except OSError as error:
                logger.warning("the folders that the agent writes cannot be counted: %s", error)

    def _count(self, nameless: int | None = None) -> _Look:
        """Count anew; `nameless` where going through the processes is to be spared."""
        started = time.monotonic()
        free = self._free()
        size = tree_size(self._folders, lambda: not self._closing.is_set())
        if nameless is None:
            nameless = nameless_bytes(self._folders, self._sandbox.process_ids())
        size = replace(size, bytes=size.bytes + nameless)
        temporary = self._sandbox.usage().temporary_files
        ended = time.monotonic()
        return _Look(size=size, nameless=nameless, temporary_files=temporary, free=free, at=ended, seconds=ended - started)

    def _free(self) -> _Free:
        """The least that one of the folders' disks has left."""
        found = [os.statvfs(folder) for folder in self._folders]
        files = [one.f_favail for one in found if one.f_files]
        return _Free(
            bytes=min((one.f_bavail * one.f_frsize for one in found if one.f_blocks), default=1 << 62),
            files=min(files, default=None),
        )

    def _room(self) -> tuple[float, float]:
        """How many bytes and files may still be written, by the last count and what the disk lost since."""
        free, latest, before = self._free(), self._latest, self._before
        lost = max(0, latest.free.bytes - free.bytes)
        room = max(self._limits.storage_bytes or 1 << 62, before.size.bytes) - latest.size.bytes - lost
        if before.free.is_low:
            room = min(room, before.size.bytes - latest.size.bytes - lost)
        else:
            room = min(room, free.bytes - LEAST_FREE_BYTES)
        lost_files = max(0, (latest.free.files or 0) - (free.files or 0))
        return room, max(self._limits.storage_files or 1 << 62, before.size.files) - latest.size.files - lost_files

    def _pause(self) -> float:
        try:
            room, files = self._room()
        except OSError:
            return _LONGEST_PAUSE
        shortest = _SHORTEST_PAUSE if self._is_running else _IDLE_PAUSE
        return min(_LONGEST_PAUSE, max(shortest, min(room / _FASTEST_BYTES, files / _FASTEST_FILES)))

    def _is_suspicious(self) -> bool:
        """Whether so much was written on the disk since the last count that the limit may be passed."""
        room, files = self._room()
        return room < 0 or files < 0

    def _is_due(self) -> bool:
        latest = self._latest
        since = time.monotonic() - latest.at
        if since < latest.seconds * _SUSPICION_SHARE:
            return False
        if self._is_suspicious():
            return True
        if self._is_running or self._has_run:
            return since >= max(_LONGEST_PAUSE, latest.seconds * _COUNT_SHARE)
        return since >= max(_IDLE_SECONDS, latest.seconds * _IDLE_SHARE)

    def _look(self) -> None:
        """Count, and deal with what grew over the limit."""
        was_running = self._is_running
        found = self._count(self._latest.nameless)
        if not self._problem(found) or found.nameless:
            found = self._count()
        with self._lock:
            previous, self._latest = self._latest, found
            self._has_run = self._is_running
            problem = self._problem(found)
            if not problem or was_running != self._is_running or not _grew(self._before, found):
                return
            if self._grew_at is not None and not _grew(previous, found):
                return
            if not self._is_running and not self._problem(self._before):
                self._before = found  # passed at the end of a command: what grows from here on is a background job
                return
            self._deal_with(problem)

    def _problem(self, look: _Look) -> str:
        """What is over its limit, for the agent; empty where nothing is."""
        size, limits = look.size, self._limits
        if limits.storage_bytes and size.bytes > limits.storage_bytes:
            return f"{self._targets} hold {size.bytes / (1 << 20):.0f} MiB, the limit is {limits.storage_bytes >> 20} MiB"
        if limits.storage_files and size.files > limits.storage_files:
            return f"{self._targets} hold {size.files} files, the limit is {limits.storage_files}"
        if limits.storage_files and look.temporary_files > limits.storage_files:
            return f"/tmp, /dev/shm and the home folder hold {look.temporary_files} files, the limit is {limits.storage_files}"
        if size.is_too_deep:
            return f"{self._targets} hold folders more than {MOST_DEPTH} deep in one another, the limit is {MOST_DEPTH}"
        if look.free.is_low:
            return f"the disk under {self._targets} is nearly full ({look.free.bytes >> 20} MiB are free)"
        return ""

    def _deal_with(self, problem: str) -> None:
        now = time.monotonic()
        if self._grew_at is None:
            self._grew_at, self._reason = now, problem
            if self._is_running:
                logger.info("stop command: %s", problem)
                os.eventfd_write(self.stop_descriptor, 1)
                return
        elif self._is_running and now - self._grew_at < _KILL_SECONDS:
            return
        self._jobs_ended = True
        processes = self._sandbox.process_ids()
        spared = 0 if self._is_running and now - self._grew_at > _GIVE_UP_SECONDS else 1
        logger.info("kill what grows: %s", processes[spared:])
        for process in reversed(processes[spared:]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _grew(before: _Look, after: _Look) -> bool:
    return (
        after.size.bytes > before.size.bytes
        or after.size.files > before.size.files
        or after.temporary_files > before.temporary_files
        or (after.size.is_too_deep and not before.size.is_too_deep)
        or (after.free.is_low and not before.free.is_low)
    )
