"""The system call filter of a sandbox, as the program bubblewrap loads (classic BPF, seccomp(2)).

The filter closes what namespaces do not: kernel keyrings, ptrace, bpf, perf, userfaultfd, io_uring, nested namespaces,
mounts, terminal injection, file leases, and socket families beyond unix, IP and netlink. Calls that programs probe for and can do
without answer ENOSYS; the others EPERM. A foreign architecture kills, and the x32 calls of x86-64 answer ENOSYS.
Numbers are those of Linux's asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_BIT = 0x40000000
_NAMESPACE_FLAGS = 0x7E020000  # every CLONE_NEW*
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_FILE_LEASES = (1024,)  # F_SETLEASE, with which a reader of a shared file holds up who opens it
_SOCKET_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK


@dataclass(frozen=True, kw_only=True)
class _Machine:
    audit_value: int
    refused: dict[str, int]
    absent: dict[str, int]
    clone: int
    ioctl: int
    fcntl: int
    socket: int


# fmt: off
_X86_64 = _Machine(
    audit_value=0xC000003E, clone=56, ioctl=16, fcntl=72, socket=41,
    refused={
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "pidfd_getfd": 438,
        "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
        "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
        "name_to_handle_at": 303, "open_by_handle_at": 304, "quotactl": 179, "quotactl_fd": 443, "swapon": 167,
        "swapoff": 168, "reboot": 169, "kexec_load": 246, "kexec_file_load": 320, "init_module": 175,
        "finit_module": 313, "delete_module": 176, "acct": 163, "syslog": 103, "personality": 135, "iopl": 172,
        "ioperm": 173, "modify_ldt": 154, "clock_settime": 227, "clock_adjtime": 305, "adjtimex": 159,
        "settimeofday": 164, "fanotify_init": 300, "vhangup": 153, "lookup_dcookie": 212, "uselib": 134,
    },
    absent={
        "clone3": 435, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
        "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
        "memfd_secret": 447, "statmount": 457, "listmount": 458,
    },
)
_AARCH64 = _Machine(
    audit_value=0xC00000B7, clone=220, ioctl=29, fcntl=25, socket=198,
    refused={
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "pidfd_getfd": 438,
        "keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
        "unshare": 97, "setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51,
        "name_to_handle_at": 264, "open_by_handle_at": 265, "quotactl": 60, "quotactl_fd": 443, "swapon": 224,
        "swapoff": 225, "reboot": 142, "kexec_load": 104, "kexec_file_load": 294, "init_module": 105,
        "finit_module": 273, "delete_module": 106, "acct": 89, "syslog": 116, "personality": 92,
        "clock_settime": 112, "clock_adjtime": 266, "adjtimex": 171, "settimeofday": 170, "fanotify_init": 262,
        "vhangup": 58, "lookup_dcookie": 18,
    },
    absent={
        "clone3": 435, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
        "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
        "memfd_secret": 447, "statmount": 457, "listmount": 458,
    },
)
# fmt: on
_MACHINES = {"x86_64": _X86_64, "aarch64": _AARCH64}


def filter_program(machine: str = "") -> bytes | None:
    """The filter for a machine (default: this one) as an array of struct sock_filter; None where there is none for it."""
    known = _MACHINES.get(machine or platform.machine())
    return None if known is None else b"".join(_program(known))


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _fail(number: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | number)


def _argument(index: int) -> bytes:
    """Load the low 32 bits of an argument; both machines are little-endian."""
    return _instruction(_LOAD, _ARGUMENTS_AT + 8 * index)


def _program(machine: _Machine) -> list[bytes]:
    program = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_JUMP_EQUAL, machine.audit_value, if_true=1),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER_AT),
    ]
    if machine is _X86_64:
        program += [_instruction(_JUMP_GREATER_EQUAL, _X32_BIT, if_false=1), _fail(errno.ENOSYS)]
    for number in machine.refused.values():
        program += [_instruction(_JUMP_EQUAL, number, if_false=1), _fail(errno.EPERM)]
    for number in machine.absent.values():
        program += [_instruction(_JUMP_EQUAL, number, if_false=1), _fail(errno.ENOSYS)]
    return [
        *program,
        *_clone(machine),
        *_without_requests(machine.ioctl, _TERMINAL_INJECTION),
        *_without_requests(machine.fcntl, _FILE_LEASES),
        *_socket(machine),
        _instruction(_RETURN, _ALLOW),
    ]


def _clone(machine: _Machine) -> list[bytes]:
    body = [
        _argument(0),
        _instruction(_JUMP_SET, _NAMESPACE_FLAGS, if_false=1),
        _fail(errno.EPERM),
        _instruction(_RETURN, _ALLOW),
    ]
    return [_instruction(_JUMP_EQUAL, machine.clone, if_false=len(body)), *body]


def _without_requests(number: int, requests: tuple[int, ...]) -> list[bytes]:
    """Refuse a call where its second argument is one of the requests."""
    body = [_argument(1)]
    for request in requests:
        body += [_instruction(_JUMP_EQUAL, request, if_false=1), _fail(errno.EPERM)]
    body.append(_instruction(_RETURN, _ALLOW))
    return [_instruction(_JUMP_EQUAL, number, if_false=len(body)), *body]


def _socket(machine: _Machine) -> list[bytes]:
    body = [_argument(0)]
    for family in _SOCKET_FAMILIES:
        body += [_instruction(_JUMP_EQUAL, family, if_false=1), _instruction(_RETURN, _ALLOW)]
    body.append(_fail(errno.EAFNOSUPPORT))
    return [_instruction(_JUMP_EQUAL, machine.socket, if_false=len(body)), *body]
