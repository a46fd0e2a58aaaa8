"""The process that stands above a sandbox without namespaces, and ends everything in it.

Started by the landlock mechanism as a program of its own (`python -I -S`), it waits until it is under its limits, forks the
child that confines itself and becomes the command, and from then on answers the calls handed to it (`deputies`), takes in
orphans (PR_SET_CHILD_SUBREAPER) and reaps. It ends when the command does, when the engine closes the lifeline (or dies) or
asks it to (SIGTERM): it stops all processes below it, kills them, and removes the sandbox's folder. The agent can neither
signal nor trace it: the landlock domain, or else the deputies, do not let signals through to it.

status     JSON lines to the engine: {"started": true} or {"error": text}, then {"exit-code": number}
block      one byte from the engine once this process is under its limits
lifeline   held by the engine; its end means the end

The file `lock` in the root is locked as long as anything of the sandbox may live, for those who clean up after killed runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

from mlgym_lite.isolation.confinement import install_filter, prefer_for_memory_kills, restrict_files, set_limits
from mlgym_lite.isolation.deputies import Deputies

_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36
_PATIENCE_MILLISECONDS = 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Descriptors:
    """The supervisor's own descriptors; the command gets none of them."""

    status: int
    block: int
    lifeline: int
    held: int = -1
    """Whatever it stands for is held as long as this process lives."""


def main() -> None:
    """Read the plan from the descriptor named first on the command line and see the sandbox to its end."""
    with open(int(sys.argv[1]), encoding="utf-8") as file:
        plan = json.load(file)
    descriptors = Descriptors(**plan["descriptors"])
    wake, wake_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
    libc.prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    try:
        if os.read(descriptors.block, 1):
            _Supervisor(plan, descriptors, wake).run()
    finally:
        _end_all()
        remove_folder(plan["root"])


class _Supervisor:
    """One sandbox, from the fork to the end of its last process."""

    def __init__(self, plan: dict[str, Any], descriptors: Descriptors, wake: int) -> None:
        self._plan = plan
        self._descriptors = descriptors
        self._wake = wake
        self._deputies: Deputies | None = None

    def run(self) -> None:
        """From making the root to the command's end."""
        try:
            lock = _make_root(self._plan)
        except OSError as error:
            full = " (make room there, or name another folder with TMPDIR)" if error.errno in _NO_ROOM else ""
            self._tell({"error": f"{error.filename}: cannot be made: {error.strerror}{full}"})
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = os.fork()
        if command == 0:
            ours.close()
            os.close(lock)
            _become_command(self._plan, theirs)
        theirs.close()
        self._let_go_of_the_commands_descriptors()
        if not self._is_started(ours):
            return
        self._tell({"started": True})
        try:
            status = self._wait(command)
        finally:
            self._stop_listening()
        _end_all()
        if status is not None:
            self._tell({"exit-code": status})

    def _let_go_of_the_commands_descriptors(self) -> None:
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (1, 2):  # but not the input: who writes to a command learns of its end by the end of the sandbox
            os.dup2(nothing, number)
        os.close(nothing)
        for number in self._plan["passed_descriptors"]:
            os.close(number)

    def _is_started(self, link: socket.socket) -> bool:
        """Hear from the child: the listener of its filter, then either its error or, at its exec, the end."""
        listeners: list[int] = []
        error = b""
        while True:
            data, received, _, _ = socket.recv_fds(link, 1 << 16, 1)
            listeners += received
            if not data:
                break
            if data != b"listener":
                error = data
        link.close()
        if error:
            self._tell({"error": error.decode("utf-8", "replace")})
            return False
        if listeners:
            names = {int(number): name for number, name in self._plan["deputised"].items()}
            self._deputies = Deputies(listeners[0], names, self._plan["writable"], _is_below_us)
        return True

    def _wait(self, command: int) -> int | None:
        """Serve until the command has ended; its exit status, or None when the engine wants the end."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._descriptors.lifeline, select.POLLIN)
        if self._deputies:
            poll.register(self._deputies.listener, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._descriptors.lifeline in ready or self._is_asked_to_end(ready):
                return None
            if self._wake in ready:
                status = _reap(command)
                if status is not None:
                    return status
            if self._deputies and self._deputies.listener in ready:
                if ready[self._deputies.listener] & select.POLLIN:
                    self._deputies.answer_one()
                else:  # nobody is left under the filter
                    poll.unregister(self._deputies.listener)
                    self._deputies = None

    def _stop_listening(self) -> None:
        """From here on no process inside can start another, so that stopping and killing them comes to an end."""
        if self._deputies:
            os.close(self._deputies.listener)
            self._deputies = None

    def _is_asked_to_end(self, ready: dict[int, int]) -> bool:
        if self._wake not in ready:
            return False
        with contextlib.suppress(BlockingIOError):
            return signal.SIGTERM in os.read(self._wake, 1 << 16)
        return False

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the engine may be gone
            os.write(self._descriptors.status, json.dumps(message).encode("utf-8") + b"\n")


def _make_root(plan: dict[str, Any]) -> int:
    """Make the sandbox's own folder with its links; a descriptor that holds its lock."""
    os.mkdir(plan["root"], 0o700)
    lock = os.open(plan["lock"], os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):  # where the file system has no locks, whoever cleans up leaves the folder alone
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for folder in plan["own_folders"]:
        os.makedirs(folder, 0o700)
    for link, source in plan["links"].items():
        os.makedirs(os.path.dirname(link), 0o700, exist_ok=True)
        os.symlink(source, link)
    return lock


def _become_command(plan: dict[str, Any], link: socket.socket) -> None:
    """Confine this process and become the command; what fails is told over the link."""
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # should the supervisor be killed
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        prefer_for_memory_kills()
        os.chdir(plan["working_directory"])
        set_limits(plan["limits"])
        for number in plan["descriptors"].values():
            os.close(number)
        for number in plan["passed_descriptors"]:
            os.set_inheritable(number, True)
        if plan["landlock"]:
            restrict_files(plan["landlock"]["handled"], plan["landlock"]["rules"])
        if plan["filter"]:
            listener = install_filter(bytes.fromhex(plan["filter"]))
            socket.send_fds(link, [b"listener"], [listener])
            os.close(listener)
        os.execve(plan["command"][0], plan["command"], plan["environment"])
    except BaseException as error:
        with contextlib.suppress(OSError):
            link.send(str(error).encode("utf-8", "backslashreplace")[:4000] or b"unknown")
    finally:
        os._exit(127)


def _reap(command: int) -> int | None:
    """Take every ended child; the command's exit status, or 128 and its signal's number, if it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                break
            if process == command:
                code = os.waitstatus_to_exitcode(status)
                found = 128 - code if code < 0 else code
    return found


def _parent_of(process: int) -> int:
    """A process's parent, 0 where there is none (any more); proc(5): the name in brackets may hold anything."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _is_below_us(process: int) -> bool:
    """Whether a process descends from this one; orphans have been handed to it."""
    own = os.getpid()
    while process > 1:
        process = _parent_of(process)
        if process == own:
            return True
    return False


def _descendants() -> set[int]:
    parents = {int(name): _parent_of(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    found: set[int] = set()
    level = {os.getpid()}
    while level:
        level = {process for process, parent in parents.items() if parent in level} - found
        found |= level
    return found


def _end_all() -> None:
    """Stop everything below, so that nothing can start anew, then kill it; returns when all are reaped."""
    stopped: set[int] = set()
    while fresh := _descendants() - stopped:
        for process in fresh:
            _send(process, signal.SIGSTOP)
        stopped |= fresh
    waiting = select.poll()
    while True:
        for process in _descendants():
            _send(process, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        waiting.poll(_PATIENCE_MILLISECONDS)  # the kernel is ending them; orphans arrive meanwhile


def _send(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


def remove_folder(folder: str) -> None:
    """Remove a folder the agent could write, what it denied included; links are never followed."""
    from pathlib import Path

    from mlgym_lite.isolation.removal import remove_tree

    with contextlib.suppress(OSError):  # what is left, `mlgym-lite gc` tells
        remove_tree(Path(folder))


if __name__ == "__main__":
    main()
