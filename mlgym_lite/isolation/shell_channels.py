"""The descriptors between the engine and a shell in a sandbox, and what is said on them.

commands  text the shell reads as its standard input        action   a memory file with the text of the next action
output    what actions print                                status   number, exit status and directory, after each action
control   requests of tools in the sandbox (a datagram socket; an answer goes to the socket that came with the request)

The shell moves its ends to high numbers first, out of the way of what agents use, and hands none of them but control on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shlex
import socket
import struct
import termios
import time
from dataclasses import dataclass

from mlgym_lite.errors import SandboxError
from mlgym_lite.isolation.waiting import readable, writable

_HIGH_NUMBERS = range(200, 210)
_PIPE_BYTES = 256 << 10
_STUCK_SECONDS = 30.0
_MOST_ANSWER_BYTES = 1 << 20
_MOST_VARIABLES_BYTES = 16 << 20
_EXIT_STATUS = re.compile(rb"\d{1,3}")
_MARK = "__mlgym_lite_action"
"""A variable of the shell that tells which action it ran last; an agent can break its shell so that it runs none."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """What the shell tells after an action."""

    exit_status: int
    working_directory: str


class ShellChannels:
    """The engine's ends, and until `started` also the shell's; whoever opened them closes them."""

    def __init__(self) -> None:
        self._actions = 0
        self._status_data = b""
        self._ours = contextlib.ExitStack()
        self._theirs = contextlib.ExitStack()
        self.command_end, self._commands = self._pipe(ours_reads=False)
        self.output, self._output_end = self._pipe(ours_reads=True)
        self.status, self._status_end = self._pipe(ours_reads=True)
        self.control, self._control_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.callback(self.control.close)
        self._theirs.callback(self._control_end.close)
        self.errors = self._memory_file("mlgym-lite-shell")
        self._action = self._memory_file("mlgym-lite-action")
        self.control.setblocking(False)
        os.set_blocking(self.output, False)
        os.set_blocking(self._commands, False)
        with contextlib.suppress(OSError):  # over the user's limit for pipes: the default size does
            fcntl.fcntl(self._output_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.passed = (self._output_end, self._status_end, self._action, self._control_end.fileno())
        numbers = [number for number in _HIGH_NUMBERS if number not in self.passed]
        self._output_at, self._status_at, self._action_at = numbers[:3]
        self.variables = {"MLGYM_LITE_CONTROL_FD": str(self._control_end.fileno()), "PS1": "", "PS2": ""}

    def _pipe(self, *, ours_reads: bool) -> tuple[int, int]:
        reading, writing = os.pipe()
        ours, theirs = (reading, writing) if ours_reads else (writing, reading)
        self._ours.callback(os.close, ours)
        self._theirs.callback(os.close, theirs)
        return reading, writing

    def _memory_file(self, name: str) -> int:
        descriptor = os.memfd_create(name)
        self._ours.callback(os.close, descriptor)
        return descriptor

    def started(self) -> None:
        """The shell has its ends: close ours of them, so that its end can be seen."""
        self._theirs.close()

    def keep_until_closed(self, reply: socket.socket) -> None:
        """Hold an answering socket open: who waits on it waits until the sandbox is gone."""
        self._ours.callback(reply.close)

    def close(self) -> None:
        """Close every end; twice is harmless."""
        self._theirs.close()
        self._ours.close()

    def send_set_up(self) -> None:
        """Have the new shell move its ends and be quiet."""
        moves = ((self._output_end, self._output_at), (self._status_end, self._status_at), (self._action, self._action_at))
        moved = "; ".join(f"exec {at}>&{given} {given}>&-" for given, at in moves)
        quiet = "set +o history +o histexpand; shopt -s execfail; unset HISTFILE PS1 PS2; exec 2>/dev/null"
        self._send(f"{moved}; {quiet}; {_MARK}=0\n")

    def send_action(self, text: str, *, shown: bool = True) -> None:
        """Have the shell run a text that holds no descriptor but its output, input from /dev/null and control.

        Raises BrokenPipeError where the shell is gone or does not read.
        """
        output = f"&{self._output_at}" if shown else "/dev/null"
        closed = " ".join(f"{number}>&-" for number in (self._output_at, self._status_at, self._action_at))
        self._actions += 1
        marked = f"eval {_MARK}={self._actions}; "
        run = f"eval {shlex.quote(text)} </dev/null >{output} 2>&1 {closed}\n"
        data = (marked + run).encode("utf-8", "surrogateescape")
        os.ftruncate(self._action, 0)
        written = 0
        while written < len(data):
            written += os.pwrite(self._action, data[written:], written)
        self._send(f". /dev/fd/{self._action_at}\n")

    def ask_status(self, number: str = "") -> str:
        """Ask for the status of what was sent before; the number that the answer will carry.

        The same number may be asked again where an interrupt may have met the shell at answering; one answer counts.
        """
        number = number or secrets.token_hex(8)
        values = f'"$?" "${_MARK}" "$PWD"'
        self._send(f"builtin printf '{number}\\0%d\\0%s\\0%s\\0\\n' {values} >&{self._status_at}\n")
        return number

    def read_status(self, number: str) -> Status | None:
        """The answer that carries a number, if the pipe holds it.

        Raises EOFError when the shell closed its end, and BrokenPipeError when it answers but runs no actions any more, or
        when what comes is no answer: an agent can reach its shell's end of the pipe.
        """
        data = os.read(self.status, 1 << 16)
        if not data:
            raise EOFError("the shell closed its status pipe")
        self._status_data += data
        _, found, rest = self._status_data.partition(number.encode("ascii") + b"\0")
        if not found or rest.count(b"\0") < 3:
            if len(self._status_data) > _MOST_ANSWER_BYTES:
                raise BrokenPipeError("what the shell's status pipe holds is no answer")
            return None  # a long working directory comes in pieces
        self._status_data = b""
        status, mark, directory, _ = rest.split(b"\0", 3)
        if mark != b"%d" % self._actions:
            raise BrokenPipeError("the shell did not run the action: it redefined what runs actions")
        if not _EXIT_STATUS.fullmatch(status):
            raise BrokenPipeError("the exit status was not written by the shell")
        return Status(exit_status=int(status), working_directory=os.fsdecode(directory))

    def exported_variables(self, seconds: float) -> str:
        """The shell's exported variables as text that sets them again."""
        number = secrets.token_hex(8)
        tell = f">&{self._status_at}"
        self._send(f"builtin printf '{number}\\0' {tell}; builtin export -p {tell}; builtin printf '\\0' {tell}\n")
        data, deadline = b"", time.monotonic() + seconds
        while not data.partition(number.encode("ascii") + b"\0")[2].endswith(b"\0"):
            piece = os.read(self.status, 1 << 16) if readable([self.status], deadline - time.monotonic()) else b""
            if not piece or len(data) > _MOST_VARIABLES_BYTES:
                raise SandboxError("the shell did not tell its variables")
            data += piece
        return data.partition(number.encode("ascii") + b"\0")[2][:-1].decode("utf-8", "surrogateescape")

    def waiting_output(self) -> int:
        """How many bytes the output pipe holds."""
        return int(struct.unpack("i", fcntl.ioctl(self.output, termios.FIONREAD, b"\0\0\0\0"))[0])

    def _send(self, text: str) -> None:
        data = memoryview(text.encode("utf-8", "surrogateescape"))
        while data:
            try:
                data = data[os.write(self._commands, data) :]
            except BlockingIOError:
                if not writable([self._commands], _STUCK_SECONDS):
                    raise BrokenPipeError("the shell does not read its commands") from None
