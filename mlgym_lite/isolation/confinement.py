"""What a process does to itself before it becomes a sandbox's command: limits, landlock rules, the system call filter.

Runs in the supervisor's child, with the standard library only. The kernel's interfaces are landlock(7), seccomp(2) and
prctl(2); their structures are packed by hand, as the C library has no names for them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
from collections.abc import Iterable, Mapping
from typing import Any

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_PATH_BENEATH, _VERSION_FLAG = 1, 1
_SET_NO_NEW_PRIVILEGES, _SET_FILTER, _NEW_LISTENER = 38, 1, 8
_SECCOMP = {"x86_64": 317, "aarch64": 277}

_FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
"""Rights that a rule for a single file may hold: execute, write, read, truncate, ioctl on devices."""


def landlock_abi() -> int:
    """The kernel's landlock ABI version; 0 where it has none or it is switched off."""
    version: int = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    return max(0, version)


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _check(value: int, what: str) -> int:
    if value < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return value


def set_limits(limits: Mapping[str, int]) -> None:
    """Set resource limits by their names (RLIMIT_…); one above the hard limit stays at that."""
    for name, value in limits.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def prefer_for_memory_kills() -> None:
    """Let the kernel choose this process and what it starts before the supervisor, when memory is short."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("500")


def restrict_files(handled: Mapping[str, int], rules: Iterable[tuple[str, int]]) -> None:
    """Allow the rules' paths (and what lies below folders) their rights, and nothing else of what is handled.

    `handled` has the masks `files`, `network` and `scoped`; the last two are left out where they are absent.
    """
    libc = _libc()
    masks = [handled[name] for name in ("files", "network", "scoped") if name in handled]
    attributes = struct.pack(f"={len(masks)}Q", *masks)
    ruleset = _check(
        libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)), "landlock ruleset"
    )
    for path, rights in rules:
        _add_rule(libc, ruleset, path, rights & handled["files"])
    _set_no_new_privileges(libc)
    _check(libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)), "landlock restriction")
    os.close(ruleset)


def _add_rule(libc: Any, ruleset: int, path: str, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:  # what the host lacks needs no right
        return
    try:
        allowed = rights if os.path.isdir(path) else rights & _FILE_RIGHTS
        attribute = struct.pack("=Qi", allowed, beneath)
        status = libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, attribute, ctypes.c_uint32(0))
        _check(status, f"landlock rule for {path}")
    finally:
        os.close(beneath)


def _set_no_new_privileges(libc: Any) -> None:
    _check(libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no_new_privs")


def install_filter(program: bytes) -> int:
    """Install a system call filter whose notifications come on the descriptor that is returned."""
    libc = _libc()
    _set_no_new_privileges(libc)
    instructions = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    number = _SECCOMP[os.uname().machine]
    return _check(libc.syscall(number, _SET_FILTER, _NEW_LISTENER, fprog), "system call filter")
