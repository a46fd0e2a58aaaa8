"""System calls that the supervisor decides on behalf of a landlocked sandbox (seccomp_unotify(2)).

Landlock does not look at some calls that reach beyond the sandbox: changing the rights or times of any file of the user's,
and, in older kernels, signals to any process of the user's. The filter hands those here while the caller waits. So it does
with starting a process, which is always let through: once nobody listens any more, nothing can be started.

A file call is done here, on a descriptor opened once: the file it leads to must lie below a folder the agent may write,
and nothing the agent changes meanwhile can exchange it. A call that names a process is let through when that process is
of the sandbox; its arguments are numbers, which the caller cannot change any more.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
_NOTIFICATION, _RESPONSE = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_CONTINUE = 1
_HERE, _NO_FOLLOW, _EMPTY_PATH = -100, 0x100, 0x1000  # AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH
_LONGEST_PATH = 4096
_TIME_NOW, _TIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


class Refused(Exception):
    """The call fails with this error number."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.number = number


@dataclass(frozen=True)
class Call:
    """One call that waits for an answer."""

    name: str
    caller: int
    arguments: Sequence[int]

    def number(self, index: int) -> int:
        """An argument as a C int."""
        value = self.arguments[index] & 0xFFFFFFFF
        return value - (1 << 32) if value >= 1 << 31 else value

    def memory(self, index: int, size: int) -> bytes:
        """What an argument points to."""
        memory = os.open(f"/proc/{self.caller}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(memory, size, self.arguments[index])
        except (OSError, OverflowError) as error:
            raise Refused(errno.EFAULT) from error
        finally:
            os.close(memory)

    def path(self, index: int) -> bytes | None:
        """The path an argument points to; None for no pointer."""
        if not self.arguments[index]:
            return None
        start = self.arguments[index]
        text = b""
        while b"\0" not in text and len(text) < _LONGEST_PATH:  # page by page: the next one may not be there
            piece = Call(self.name, self.caller, (start + len(text),)).memory(0, 4096 - (start + len(text)) % 4096)
            if not piece:
                break
            text += piece
        if b"\0" not in text:
            raise Refused(errno.ENAMETOOLONG)
        return text.partition(b"\0")[0]


class Deputies:
    """Answers one sandbox's calls; lives as long as its supervisor."""

    def __init__(
        self, listener: int, names: Mapping[int, str], writable: Sequence[str], is_inside: Callable[[int], bool]
    ) -> None:
        """`writable` are the folders the agent may write, by their real paths; `is_inside` knows the sandbox's processes."""
        self.listener = listener
        self._names = names
        self._writable = [os.fsencode(path) for path in writable]
        self._is_inside = is_inside

    def answer_one(self) -> None:
        """Take one call and answer it; a caller that has gone is passed over."""
        data = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, data, True)
        except OSError:  # it was killed before it could be asked
            return
        identity, caller, _, number, _, _, *arguments = _NOTIFICATION.unpack(data)
        result, flags = 0, 0
        try:
            flags = self._decide(Call(self._names[number], caller, arguments), identity)
        except Refused as refusal:
            result = -refusal.number
        except OSError as error:
            result = -(error.errno or errno.EPERM)
        except (ValueError, OverflowError, struct.error):  # numbers that no such call takes
            result = -errno.EINVAL
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.listener, _SEND, bytearray(_RESPONSE.pack(identity, 0, result, flags)), True)

    def _decide(self, call: Call, identity: int) -> int:
        """The flags of the answer: the call is done (0) or may go on; raises where it is refused."""
        if call.name in _BIRTHS:
            return _CONTINUE
        change = _FILE_CALLS.get(call.name)
        if change is not None:
            target, act = change(call)
            with contextlib.closing(_Opened(call, target)) as opened:
                fcntl.ioctl(self.listener, _IS_VALID, struct.pack("=Q", identity))  # else /proc spoke of somebody else
                self._check_writable(opened.descriptor)
                act(f"/proc/self/fd/{opened.descriptor}")
            return 0
        for process, is_group in _named_processes(call):
            self._check_process(process, call.caller, is_group=is_group)
        return _CONTINUE

    def _check_writable(self, descriptor: int) -> None:
        place = os.readlink(b"/proc/self/fd/%d" % descriptor)
        if not any(place == folder or place.startswith(folder + b"/") for folder in self._writable):
            raise Refused(errno.EPERM)

    def _check_process(self, process: int, caller: int, *, is_group: bool) -> None:
        if is_group:
            members = _group_members(process or os.getpgid(caller))
            if not members or not all(map(self._is_inside, members)):
                raise Refused(errno.EPERM if members else errno.ESRCH)
        elif not os.path.exists(f"/proc/{process}"):
            raise Refused(errno.ESRCH)
        elif not self._is_inside(process):
            raise Refused(errno.EPERM)


class _Opened:
    """A descriptor of the file that a call speaks of, as its caller sees it."""

    def __init__(self, call: Call, target: _Target) -> None:
        own = b"/proc/%d" % call.caller
        base = own + (b"/cwd" if target.folder == _HERE else b"/fd/%d" % target.folder)
        path = target.path
        if not path:
            where = base
            if path == b"" and not target.may_be_empty:
                raise Refused(errno.ENOENT)
        elif path.startswith((b"/proc/self/", b"/dev/fd/")):
            rest = path.removeprefix(b"/proc/self/") if path.startswith(b"/proc") else b"fd/" + path.removeprefix(b"/dev/fd/")
            where = own + b"/" + rest
        else:
            where = path if path.startswith(b"/") else base + b"/" + path
        flags = os.O_PATH | os.O_CLOEXEC | (0 if target.follows or not path else os.O_NOFOLLOW)
        self.descriptor = os.open(where, flags)

    def close(self) -> None:
        """Close it."""
        os.close(self.descriptor)


@dataclass(frozen=True)
class _Target:
    folder: int
    path: bytes | None
    follows: bool = True
    may_be_empty: bool = False


_Change = tuple[_Target, Callable[[str], None]]


def _mode(mode: int) -> Callable[[str], None]:
    return lambda place: os.chmod(place, mode & 0o7777)


def _times(values: tuple[int, int] | None) -> Callable[[str], None]:
    return (lambda place: os.utime(place)) if values is None else (lambda place: os.utime(place, ns=_complete(place, values)))


def _complete(place: str, values: tuple[int, int]) -> tuple[int, int]:
    """Fill in what is to stay; negative values stand for that."""
    state = os.stat(place)
    access, change = values
    return (state.st_atime_ns if access < 0 else access, state.st_mtime_ns if change < 0 else change)


def _fine_times(call: Call, index: int) -> Callable[[str], None]:
    """Two struct timespec, with utimensat(2)'s values for now and unchanged."""
    if not call.arguments[index]:
        return _times(None)
    access_seconds, access, change_seconds, change = struct.unpack("=4q", call.memory(index, 32))
    if access == change == _TIME_NOW:
        return _times(None)
    pairs = ((access_seconds, access), (change_seconds, change))
    return _times((_nanoseconds(*pairs[0]), _nanoseconds(*pairs[1])))


def _nanoseconds(seconds: int, rest: int) -> int:
    if rest == _TIME_OMIT:
        return -1
    if rest == _TIME_NOW:
        return time.time_ns()
    return max(0, seconds * 1_000_000_000 + rest)


def _coarse_times(call: Call, index: int) -> Callable[[str], None]:
    """Two struct timeval."""
    if not call.arguments[index]:
        return _times(None)
    access_seconds, access, change_seconds, change = struct.unpack("=4q", call.memory(index, 32))
    return _times((max(0, access_seconds * 10**9 + access * 1000), max(0, change_seconds * 10**9 + change * 1000)))


def _whole_times(call: Call, index: int) -> Callable[[str], None]:
    """struct utimbuf."""
    if not call.arguments[index]:
        return _times(None)
    access, change = struct.unpack("=2q", call.memory(index, 16))
    return _times((max(0, access * 10**9), max(0, change * 10**9)))


def _at(call: Call, flags: int = 0) -> _Target:
    return _Target(call.number(0), call.path(1), not flags & _NO_FOLLOW, bool(flags & _EMPTY_PATH))


_FILE_CALLS: Mapping[str, Callable[[Call], _Change]] = {
    "chmod": lambda call: (_Target(_HERE, call.path(0) or b""), _mode(call.number(1))),
    "fchmod": lambda call: (_Target(call.number(0), None), _mode(call.number(1))),
    "fchmodat": lambda call: (_at(call), _mode(call.number(2))),
    "fchmodat2": lambda call: (_at(call, call.number(3)), _mode(call.number(2))),
    "utime": lambda call: (_Target(_HERE, call.path(0) or b""), _whole_times(call, 1)),
    "utimes": lambda call: (_Target(_HERE, call.path(0) or b""), _coarse_times(call, 1)),
    "futimesat": lambda call: (_at(call), _coarse_times(call, 2)),
    "utimensat": lambda call: (_at(call, call.number(3)), _fine_times(call, 2)),
}

_BIRTHS = ("fork", "vfork", "clone")
_ANY_OF_USER = {"setpriority": 2, "ioprio_set": 3}  # PRIO_USER, IOPRIO_WHO_USER
_GROUP = {"setpriority": 1, "ioprio_set": 2}


def _named_processes(call: Call) -> list[tuple[int, bool]]:
    """The processes a call names, and whether a number is a group's; raises where it names more than any of them."""
    if call.name in _GROUP:
        which, who = call.number(0), call.number(1)
        if which == _ANY_OF_USER[call.name]:
            raise Refused(errno.EPERM)
        is_group = which == _GROUP[call.name]
        return [(who if is_group else who or call.caller, is_group)]
    if call.name == "kill":
        target = call.number(0)
        if target == -1:  # every process the user has
            raise Refused(errno.EPERM)
        return [(-target if target < 0 else target or 0, target <= 0)]
    count = 2 if call.name in ("tgkill", "rt_tgsigqueueinfo") else 1
    return [(call.number(index), False) for index in range(count)]


def _group_members(group: int) -> list[int]:
    members = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.getpgid(int(name)) == group:
                members.append(int(name))
    return members
