"""The system call filters of sandboxes, as programs for the kernel (classic BPF, seccomp(2)).

Every filter closes what namespaces do not: kernel keyrings, ptrace, bpf, perf, userfaultfd, io_uring, nested namespaces,
mounts, terminal injection, file leases, and socket families beyond unix, IP and netlink. Calls that programs probe for and can
do without answer ENOSYS; the others EPERM. A foreign architecture kills, and the x32 calls of x86-64 answer ENOSYS.

The filter of the landlock mechanism, which has no namespaces, also closes what those would have kept apart: sockets that could
reach another program, System V and POSIX message queues, owners and attributes of files. Calls that are
harmless or not depending on whom or what they name (a process, a path) are handed to the sandbox's supervisor, which decides
(`deputies`). `docs/isolation.md` lists the calls with the reasons.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable

from mlgym_lite.isolation.system_calls import Machine, machine

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL_PROCESS, _ERRNO, _NOTIFY = 0x7FFF0000, 0x80000000, 0x00050000, 0x7FC00000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_BIT = 0x40000000
_NAMESPACE_FLAGS = 0x7E020000  # every CLONE_NEW*
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_SIGNAL_OWNER_REQUESTS = (0x8901, 0x8902)  # FIOSETOWN, SIOCSPGRP
_FILE_LEASES = (1024, 1040)  # F_SETLEASE, F_SETDELEG, with which a reader of a shared file holds up who opens it
_SIGNAL_OWNER_COMMANDS = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: a signal to any process on a file's behalf
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _SEQUENCED_PACKET, _SOCKET_TYPE_MASK = 1, 5, 0xF
_ACCESS_MODES, _NO_ACCESS = 3, 3  # O_ACCMODE, and the mode for ioctl only, for which landlock asks for no right
_READ_ONLY_TRUNCATION = (0x203, 0x200)  # O_TRUNC with O_RDONLY, as a mask and a value
_REQUEST_TYPES = 0xFF00  # the byte of an ioctl that says whose it is
_FILE_REQUEST_TYPES = (0x6600, 0x5800, 0x7600, 0x9400)  # attributes and the like of files, of ext4, xfs, btrfs
_FILE_REQUESTS_ALLOWED = (0x80086601, 0x801C581F, 0x40049409, 0x4020940D)  # FS_IOC_GETFLAGS, FSGETXATTR, FICLONE, FICLONERANGE
_CLONE_THREAD = 0x10000
_FIRST_UNKNOWN = 470

REFUSED = (
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "keyctl", "add_key", "request_key", "bpf",
    "perf_event_open", "userfaultfd", "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "name_to_handle_at",
    "open_by_handle_at", "quotactl", "quotactl_fd", "swapon", "swapoff", "reboot", "kexec_load", "kexec_file_load",
    "init_module", "finit_module", "delete_module", "acct", "syslog", "personality", "iopl", "ioperm", "modify_ldt",
    "clock_settime", "clock_adjtime", "adjtimex", "settimeofday", "fanotify_init", "vhangup", "lookup_dcookie", "uselib",
)  # fmt: skip
"""Answered with EPERM in every sandbox."""
ABSENT = (
    "clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "open_tree", "move_mount", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "memfd_secret", "statmount", "listmount",
    "open_tree_attr",
)  # fmt: skip
"""Answered with ENOSYS in every sandbox."""
REFUSED_WITHOUT_NAMESPACES = (
    "shmget", "shmat", "shmctl", "shmdt", "semget", "semop", "semctl", "semtimedop", "msgget", "msgsnd", "msgrcv", "msgctl",
    "mq_open", "mq_unlink", "chown", "fchown", "lchown", "fchownat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat",
    "removexattr", "lremovexattr", "fremovexattr", "removexattrat", "file_setattr", "migrate_pages", "process_madvise",
    "process_mrelease",
)  # fmt: skip
"""Answered with EPERM where no namespace keeps users' queues, and no mount their files, apart."""
ABSENT_WITHOUT_NAMESPACES = ("inotify_init", "inotify_init1", "openat2")
"""Answered with ENOSYS there: they tell of any folder of the user's, or have flags that no filter sees."""
ATTRIBUTE_READERS = ("getxattr", "lgetxattr", "listxattr", "llistxattr", "getxattrat", "listxattrat")
"""Answered with EOPNOTSUPP there: landlock does not look at them."""
MEETING_CALLS = ("bind", "listen", "connect", "accept", "accept4")
"""Answered with EPERM there without a network: a pair of sockets needs none of them."""
FILE_DEPUTIES = ("chmod", "fchmod", "fchmodat", "fchmodat2", "utime", "utimes", "futimesat", "utimensat")
"""Change a file that landlock does not look at: done by the supervisor, for files the agent may write."""
PROCESS_DEPUTIES = (
    "prlimit64", "setpriority", "ioprio_set", "sched_setparam", "sched_setscheduler", "sched_setaffinity", "sched_setattr",
)  # fmt: skip
"""Name a process by its number: let through by the supervisor for processes of the sandbox."""
SIGNAL_DEPUTIES = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
"""Likewise, where landlock does not hold signals back itself (before its ABI 6)."""
BIRTH_DEPUTIES = ("fork", "vfork", "clone")
"""Always let through, but only while the supervisor listens: at the end nothing can be started any more."""
_HARMLESS_ON_ITSELF = ("prlimit64", "sched_setparam", "sched_setscheduler", "sched_setaffinity", "sched_setattr")

_SIGNALS_SCOPED_FROM, _TRUNCATION_FROM = 6, 3


def filter_program(machine_name: str = "") -> bytes | None:
    """The filter of a sandbox in namespaces, an array of struct sock_filter; None where there is none for the machine."""
    known = machine(machine_name)
    if known is None:
        return None
    sockets = _families(known, (_UNIX, _INET, _INET6, _NETLINK))
    return b"".join([*_beginning(known), *sockets, *_ending(known, _TERMINAL_INJECTION, _FILE_LEASES)])


def landlock_filter(abi: int, *, network: bool, machine_name: str = "") -> bytes | None:
    """The filter of a sandbox without namespaces under a landlock ABI; with `network`, internet sockets are allowed."""
    known = machine(machine_name)
    if known is None:
        return None
    families = (_INET, _INET6, _NETLINK) if network else ()
    program = [
        *_beginning(known, births=_NOTIFY),
        *_answers(known, REFUSED_WITHOUT_NAMESPACES, _ERRNO | errno.EPERM),
        *_answers(known, ABSENT_WITHOUT_NAMESPACES, _ERRNO | errno.ENOSYS),
        *_answers(known, ATTRIBUTE_READERS, _ERRNO | errno.EOPNOTSUPP),
        *_answers(known, () if network else MEETING_CALLS, _ERRNO | errno.EPERM),
        *_answers(known, ("pidfd_send_signal",) if abi < _SIGNALS_SCOPED_FROM else (), _ERRNO | errno.ENOSYS),
        *_deputised(known, abi),
        *_opening(known, abi),
        *_families(known, families),
        *_connected_pairs_only(known),
        *_file_requests(known),
        *_without_requests(known, "fcntl", (*_FILE_LEASES, *_SIGNAL_OWNER_COMMANDS)),
        _instruction(_RETURN, _ALLOW),
    ]
    return b"".join(program)


def deputised_calls(abi: int, machine_name: str = "") -> dict[int, str]:
    """Number and name of the calls that `landlock_filter` hands to the supervisor."""
    known = machine(machine_name)
    assert known is not None
    return {known.numbers[name]: name for name in _deputies(abi) if name in known.numbers}


def _deputies(abi: int) -> tuple[str, ...]:
    signals = SIGNAL_DEPUTIES if abi < _SIGNALS_SCOPED_FROM else ()
    return (*FILE_DEPUTIES, *PROCESS_DEPUTIES, *BIRTH_DEPUTIES, *signals)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _fail(number: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | number)


def _argument(index: int) -> bytes:
    """Load the low 32 bits of an argument; both machines are little-endian."""
    return _instruction(_LOAD, _ARGUMENTS_AT + 8 * index)


def _for_call(known: Machine, name: str, body: list[bytes]) -> list[bytes]:
    """Instructions that run for one call only and always return; nothing where the machine lacks the call."""
    if name not in known.numbers:
        return []
    return [_instruction(_JUMP_EQUAL, known.numbers[name], if_false=len(body)), *body]


def _answers(known: Machine, names: Iterable[str], answer: int) -> list[bytes]:
    return [part for name in names for part in _for_call(known, name, [_instruction(_RETURN, answer)])]


def _beginning(known: Machine, births: int = _ALLOW) -> list[bytes]:
    """What every filter has first; `births` is the answer to starting a process."""
    program = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_JUMP_EQUAL, known.audit_value, if_true=1),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER_AT),
    ]
    if known.has_x32:
        program += [_instruction(_JUMP_GREATER_EQUAL, _X32_BIT, if_false=1), _fail(errno.ENOSYS)]
    program += [_instruction(_JUMP_GREATER_EQUAL, _FIRST_UNKNOWN, if_false=1), _fail(errno.ENOSYS)]
    program += _answers(known, REFUSED, _ERRNO | errno.EPERM)
    program += _answers(known, ABSENT, _ERRNO | errno.ENOSYS)
    clone = [
        _argument(0),
        _instruction(_JUMP_SET, _NAMESPACE_FLAGS, if_false=1),
        _fail(errno.EPERM),
        _instruction(_JUMP_SET, _CLONE_THREAD, if_false=1),
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, births),
    ]
    return [*program, *_answers(known, ("fork", "vfork"), births), *_for_call(known, "clone", clone)]


def _ending(known: Machine, requests: tuple[int, ...], commands: tuple[int, ...]) -> list[bytes]:
    return [
        *_without_requests(known, "ioctl", requests),
        *_without_requests(known, "fcntl", commands),
        _instruction(_RETURN, _ALLOW),
    ]


def _without_requests(known: Machine, name: str, requests: tuple[int, ...]) -> list[bytes]:
    """Refuse a call where its second argument is one of the requests."""
    body = [_argument(1)]
    for request in requests:
        body += [_instruction(_JUMP_EQUAL, request, if_false=1), _fail(errno.EPERM)]
    return _for_call(known, name, [*body, _instruction(_RETURN, _ALLOW)])


def _families(known: Machine, families: tuple[int, ...]) -> list[bytes]:
    body = [_argument(0)]
    for family in families:
        body += [_instruction(_JUMP_EQUAL, family, if_false=1), _instruction(_RETURN, _ALLOW)]
    return _for_call(known, "socket", [*body, _fail(errno.EAFNOSUPPORT)])


def _connected_pairs_only(known: Machine) -> list[bytes]:
    """A pair of datagram sockets could send to any other socket by name; streams and sequenced packets cannot."""
    body = [_argument(0), _instruction(_JUMP_EQUAL, _UNIX, if_true=1), _fail(errno.EAFNOSUPPORT)]
    body += [_argument(1), _instruction(_AND, _SOCKET_TYPE_MASK)]
    for kind in (_STREAM, _SEQUENCED_PACKET):
        body += [_instruction(_JUMP_EQUAL, kind, if_false=1), _instruction(_RETURN, _ALLOW)]
    return _for_call(known, "socketpair", [*body, _fail(errno.EAFNOSUPPORT)])


def _deputised(known: Machine, abi: int) -> list[bytes]:
    program: list[bytes] = []
    for name in _deputies(abi):
        if name in BIRTH_DEPUTIES:
            continue  # `_beginning` has them
        body = [_instruction(_RETURN, _NOTIFY)]
        if name in _HARMLESS_ON_ITSELF:  # process 0 is the caller
            body = [_argument(0), _instruction(_JUMP_EQUAL, 0, if_false=1), _instruction(_RETURN, _ALLOW), *body]
        program += _for_call(known, name, body)
    return program


def _opening(known: Machine, abi: int) -> list[bytes]:
    """Refuse what landlock does not look at when a file is opened.

    Always the access mode for ioctl only; and before its ABI 3, which knows of truncation, emptying a file that may only be
    read, by truncate(2) or by opening it.
    """
    program = _answers(known, ("truncate",), _ERRNO | errno.EPERM) if abi < _TRUNCATION_FROM else []
    refused = [(_ACCESS_MODES, _NO_ACCESS), *([_READ_ONLY_TRUNCATION] if abi < _TRUNCATION_FROM else [])]
    for name, index in (("open", 1), ("openat", 2)):
        body: list[bytes] = []
        for mask, value in refused:
            body += [_argument(index), _instruction(_AND, mask)]
            body += [_instruction(_JUMP_EQUAL, value, if_false=1), _fail(errno.EACCES)]
        program += _for_call(known, name, [*body, _instruction(_RETURN, _ALLOW)])
    return program


def _file_requests(known: Machine) -> list[bytes]:
    """Refuse requests (ioctl) that change a file through a descriptor for reading, besides those of terminals and owners."""
    body = [_argument(1)]
    for request in _FILE_REQUESTS_ALLOWED:
        body += [_instruction(_JUMP_EQUAL, request, if_false=1), _instruction(_RETURN, _ALLOW)]
    for request in (*_TERMINAL_INJECTION, *_SIGNAL_OWNER_REQUESTS):
        body += [_instruction(_JUMP_EQUAL, request, if_false=1), _fail(errno.EPERM)]
    body.append(_instruction(_AND, _REQUEST_TYPES))
    for kind in _FILE_REQUEST_TYPES:
        body += [_instruction(_JUMP_EQUAL, kind, if_false=1), _fail(errno.EPERM)]
    return _for_call(known, "ioctl", [*body, _instruction(_RETURN, _ALLOW)])
