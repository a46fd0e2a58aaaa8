"""The system call filter, run by an interpreter of its own instruction set: for both machines, also where the host is another."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from mlgym_lite.isolation.seccomp import filter_program

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {
    "x86_64": {
        "clone": 56,
        "ioctl": 16,
        "fcntl": 72,
        "socket": 41,
        "read": 0,
        "openat": 257,
        "execve": 59,
        "mbind": 237,
        "kill": 62,
    },
    "aarch64": {
        "clone": 220,
        "ioctl": 29,
        "fcntl": 25,
        "socket": 198,
        "read": 63,
        "openat": 56,
        "execve": 221,
        "mbind": 235,
        "kill": 129,
    },
}
HEADERS = {"x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "/usr/include/asm-generic/unistd.h"}
REFUSED = [
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "keyctl", "add_key", "request_key", "bpf",
    "perf_event_open", "userfaultfd", "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "name_to_handle_at",
    "open_by_handle_at", "quotactl", "quotactl_fd", "swapon", "swapoff", "reboot", "kexec_load", "kexec_file_load",
    "init_module", "finit_module", "delete_module", "acct", "syslog", "personality", "clock_settime", "clock_adjtime",
    "adjtimex", "settimeofday", "fanotify_init", "vhangup",
]  # fmt: skip
ABSENT = [
    "clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "open_tree", "move_mount", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "memfd_secret",
]  # fmt: skip
ALLOWED, KILLED = "allowed", "killed"


def verdict(machine: str, number: int, *arguments: int, audit: int | None = None) -> str:
    """What the filter says to one call: allowed, killed, or the error's name."""
    program = filter_program(machine)
    assert program is not None
    values = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("=IIQ6Q", number, AUDIT[machine] if audit is None else audit, 0, *(v & (1 << 64) - 1 for v in values))
    instructions = list(struct.iter_unpack("=HBBI", program))
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif code in (0x15, 0x35, 0x45):
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            at += if_true if holds else if_false
        else:
            assert code == 0x06, f"instruction {code:#x} is not known to this test"
            action = value & 0xFFFF0000
            return {0x7FFF0000: ALLOWED, 0x80000000: KILLED}.get(action) or errno.errorcode[value & 0xFFFF]


def number_of(machine: str, name: str) -> int:
    """A call's number by the system's own header."""
    header = Path(HEADERS[machine])
    if not header.is_file():
        pytest.skip(f"{header} is not there")
    found = re.search(rf"#define __NR(?:3264)?_{name}\s+(\d+)$", header.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        pytest.skip(f"{header} does not know {name}")
    return int(found[1])


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("name", REFUSED)
def test_calls_are_refused(machine: str, name: str) -> None:
    """Each call that namespaces do not contain answers EPERM, by the number the system's header gives it."""
    assert verdict(machine, number_of(machine, name), *[2**64 - 1] * 6) == "EPERM"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("name", ABSENT)
def test_calls_are_absent(machine: str, name: str) -> None:
    """Each call that programs probe for and can do without answers ENOSYS."""
    assert verdict(machine, number_of(machine, name)) == "ENOSYS"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_arguments_that_are_looked_at(machine: str) -> None:
    """Namespaces, terminal injection, leases and families are refused by their arguments, whatever the upper halves are."""
    numbers = NUMBERS[machine]
    for flag in (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        expected = ALLOWED if flag == 0x80 else "EPERM"
        assert verdict(machine, numbers["clone"], flag | 17) == expected, hex(flag)
    for request in (0x5412, 0x541C):
        assert verdict(machine, numbers["ioctl"], 0, request) == "EPERM"
        assert verdict(machine, numbers["ioctl"], 0, request | 1 << 32) == "EPERM"
    assert verdict(machine, numbers["ioctl"], 0, 0x5401) == ALLOWED
    assert verdict(machine, numbers["fcntl"], 0, 1024) == "EPERM"
    assert verdict(machine, numbers["fcntl"], 0, 6) == ALLOWED
    families = {family for family in range(64) if verdict(machine, numbers["socket"], family, 1) == ALLOWED}
    assert families == {1, 2, 10, 16}
    assert verdict(machine, numbers["socket"], 40 | 1 << 32) == "EAFNOSUPPORT"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_ordinary_calls_pass(machine: str) -> None:
    """Reading, opening, starting programs, signals and memory placement are left alone."""
    assert {verdict(machine, NUMBERS[machine][name]) for name in ("read", "openat", "execve", "mbind", "kill")} == {ALLOWED}


def test_other_ways_into_the_kernel() -> None:
    """A foreign architecture kills, also each machine's other one, and x32 calls do not exist."""
    assert verdict("x86_64", 0, audit=0x40000003) == KILLED
    assert verdict("x86_64", 0, audit=AUDIT["aarch64"]) == KILLED
    assert verdict("aarch64", 0, audit=0x40000028) == KILLED
    assert {verdict("x86_64", 0x40000000 | number) for number in (0, 39, 101, 321)} == {"ENOSYS"}


def test_machines_without_a_filter() -> None:
    """For a machine whose numbers are not known there is no filter rather than a wrong one."""
    assert filter_program("riscv64") is None
