"""The persistent shell of an episode: one bash in the sandbox, driven over descriptors.

Theory of operation. bash runs interactively but without a terminal: commands reach its standard input, output comes back
on a pipe of its own, and after each command one line on a third pipe tells a fresh number, the exit status and the working
directory. So nothing that a command prints can be taken for control. The text of a command stands in a memory file that
the shell reads with `.`; that runs with standard input from /dev/null, output to the output pipe, and the shell's own
descriptors closed, so that what it starts holds none of them.

An interactive bash is used because it alone abandons a running loop or function at an interrupt and still keeps its
variables; inside `.` it behaves like a script, without notices about jobs. On a time-out the command's processes and
bash are interrupted, then the processes are killed; a shell that does not answer by then is given up. A fourth descriptor carries
requests of tools (`validate`, `submit`) to the engine.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import shlex
import signal
import socket
import struct
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mlgym_lite.errors import SandboxError
from mlgym_lite.isolation.output import CapturedOutput, OutputCapture
from mlgym_lite.isolation.protocol import Identity, Mechanism, Sandbox, SandboxRequest, Usage
from mlgym_lite.isolation.waiting import readable, writable

logger = logging.getLogger(__name__)

_HIGH_NUMBERS = range(200, 210)
"""Where the shell keeps its descriptors, out of the way of what agents use."""
_PIPE_BYTES = 256 << 10
_READ_BYTES = 64 << 10
_CLOCK_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_START_SECONDS = 30.0
_INTERRUPT_SECONDS = (1.0, 0.3, 0.3, 0.3)
"""How long to wait after each interrupt; from the second on, processes are killed."""

ControlHandler = Callable[[bytes, "socket.socket | None"], bool]
"""Serves one request; true when the running command must end for it."""
OutputHandler = Callable[[bytes], None]


@dataclass(frozen=True, kw_only=True)
class ShellResult:
    """How one command ended."""

    output: CapturedOutput
    exit_status: int | None
    """None when the shell ended with the command."""
    working_directory: str | None
    seconds: float
    timed_out: bool
    shell_ended: bool
    """The shell is gone and a new one is needed."""


class Shell:
    """One bash in one sandbox; whoever opened it closes it."""

    def __init__(self, mechanism: Mechanism, request: SandboxRequest, identity: Identity, set_up: str = "") -> None:
        """Start the sandbox (`request.command` and its descriptors are filled in here) and run `set_up` in the shell."""
        self._stack = contextlib.ExitStack()
        try:
            self._open(mechanism, request, identity)
            self._first_words(set_up)
        except BaseException:
            self.close()
            raise

    def _open(self, mechanism: Mechanism, request: SandboxRequest, identity: Identity) -> None:
        with contextlib.ExitStack() as inner:
            command_end, self._commands = self._pipe(inner, ours_reads=False)
            self._output, self._output_end = self._pipe(inner, ours_reads=True)
            self._status, self._status_end = self._pipe(inner, ours_reads=True)
            self._control, control_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._stack.callback(self._control.close)
            inner.callback(control_end.close)
            self._errors = self._memory_file("mlgym-lite-shell")
            self._action = self._memory_file("mlgym-lite-action")
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            inner.callback(os.close, nowhere)
            passed = (self._output_end, self._status_end, self._action, control_end.fileno())
            numbers = [number for number in _HIGH_NUMBERS if number not in passed]
            self._output_at, self._status_at, self._action_at = numbers[:3]
            self._control.setblocking(False)
            os.set_blocking(self._output, False)
            os.set_blocking(self._commands, False)
            with contextlib.suppress(OSError):  # over the user's limit for pipes: the default size does
                fcntl.fcntl(self._output_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            variables = {"MLGYM_LITE_CONTROL_FD": str(control_end.fileno()), "PS1": "", "PS2": ""}
            complete = replace(
                request,
                command=("/bin/bash", "--noprofile", "--norc", "--noediting", "-i"),
                environment={**request.environment, **variables},
                standard_input=command_end,
                standard_output=nowhere,
                standard_error=self._errors,
                passed_descriptors=passed,
            )
            self.sandbox: Sandbox = mechanism.start(complete, identity)
            self._stack.callback(self.sandbox.close)

    def _memory_file(self, name: str) -> int:
        descriptor = os.memfd_create(name)
        self._stack.callback(os.close, descriptor)
        return descriptor

    def _pipe(self, inner: contextlib.ExitStack, *, ours_reads: bool) -> tuple[int, int]:
        reading, writing = os.pipe()
        ours, theirs = (reading, writing) if ours_reads else (writing, reading)
        self._stack.callback(os.close, ours)
        inner.callback(os.close, theirs)
        return reading, writing

    def _first_words(self, set_up: str) -> None:
        moves = (
            (self._output_end, self._output_at),
            (self._status_end, self._status_at),
            (self._action, self._action_at),
        )
        moved = "; ".join(f"exec {at}>&{given} {given}>&-" for given, at in moves)
        quiet = "set +o history +o histexpand; shopt -s execfail; unset HISTFILE PS1 PS2; exec 2>/dev/null"
        self._send(f"{moved}; {quiet}\n")
        if set_up:
            self._send_action(set_up, output="/dev/null")
        number = self._ask_status()
        answer = self._wait_for_status(number, time.monotonic() + _START_SECONDS)
        if answer is None:
            text = os.pread(self._errors, 4000, 0).decode("utf-8", "replace")
            lines = [line for line in text.splitlines() if "terminal process group" not in line and "job control" not in line]
            raise SandboxError("the shell did not start in the sandbox: " + (" | ".join(lines) or "it gave no reason"))

    def _send(self, text: str) -> None:
        """Hand text to the shell, which waits for it; a shell that does not read has ended for us (BrokenPipeError)."""
        data = memoryview(text.encode("utf-8", "surrogateescape"))
        while data:
            try:
                data = data[os.write(self._commands, data) :]
            except BlockingIOError:
                if not writable([self._commands], _START_SECONDS):
                    raise BrokenPipeError("the shell does not read its commands") from None

    def _send_action(self, text: str, output: str) -> None:
        """Have the shell run a text with its output to `output`, and only that: it holds no other descriptor."""
        closed = " ".join(f"{number}>&-" for number in (self._output_at, self._status_at, self._action_at))
        data = f"eval {shlex.quote(text)} </dev/null >{output} 2>&1 {closed}\n".encode("utf-8", "surrogateescape")
        os.ftruncate(self._action, 0)
        written = 0
        while written < len(data):
            written += os.pwrite(self._action, data[written:], written)
        self._send(f". /dev/fd/{self._action_at}\n")

    def _ask_status(self) -> str:
        number = secrets.token_hex(8)
        self._send(f'builtin printf \'{number}\\0%d\\0%s\\0\\n\' "$?" "$PWD" >&{self._status_at}\n')
        return number

    def _wait_for_status(self, number: str, deadline: float) -> tuple[int, str] | None:
        """Wait for an answer only, leaving output where it is; None when none comes."""
        while (left := deadline - time.monotonic()) > 0:
            ready = readable([self._status, self.sandbox.ended_descriptor], left)
            if self._status in ready:
                try:
                    answer = self._read_status(number)
                except EOFError:
                    return None
                if answer is not None:
                    return answer
            elif ready and self._has_ended():
                return None
        return None

    def _has_ended(self) -> bool:
        return not self.sandbox.is_running()

    def _read_status(self, number: str) -> tuple[int, str] | None:
        """Read what the status pipe holds and find the answer to one question in it."""
        data = os.read(self._status, 1 << 16)
        if not data:
            raise EOFError("the shell closed its status pipe")
        _, found, rest = data.partition(number.encode("ascii") + b"\0")
        if not found:
            return None
        status, _, directory = rest.partition(b"\0")
        try:
            return int(status), directory.partition(b"\0")[0].decode("utf-8", "replace")
        except ValueError:
            return None

    def run(
        self,
        command: str,
        *,
        timeout_seconds: float,
        capture: OutputCapture,
        on_control: ControlHandler,
        on_output: OutputHandler | None = None,
        interruptible: bool = False,
    ) -> ShellResult:
        """Run one shell input to its end or its time-out; the command may be any text without NUL characters.

        With `interruptible`, Ctrl-C ends the command as a time-out would, instead of raising KeyboardInterrupt.
        """
        return _Run(self, command, timeout_seconds, capture, on_control, on_output).finish(interruptible=interruptible)

    def exported_variables(self) -> str:
        """The exported variables as shell text that sets them again."""
        number = secrets.token_hex(8)
        self._send(f"builtin printf '{number}\\0%s\\0' \"$(builtin export -p)\" >&{self._status_at}\n")
        data, deadline = b"", time.monotonic() + _START_SECONDS
        while not data.partition(number.encode("ascii") + b"\0")[2].endswith(b"\0"):
            if not readable([self._status], deadline - time.monotonic()):
                raise SandboxError("the shell did not tell its variables")
            piece = os.read(self._status, 1 << 16)
            if not piece:
                raise SandboxError("the shell ended before it told its variables")
            data += piece
        return data.partition(number.encode("ascii") + b"\0")[2][:-1].decode("utf-8", "surrogateescape")

    def usage(self) -> Usage:
        """What the sandbox used so far."""
        return self.sandbox.usage()

    def close(self) -> None:
        """End the sandbox with everything in it; twice is harmless."""
        self._stack.close()


class _Run:
    """One command on its way; lives for one call of `Shell.run`."""

    def __init__(
        self,
        shell: Shell,
        command: str,
        timeout_seconds: float,
        capture: OutputCapture,
        on_control: ControlHandler,
        on_output: OutputHandler | None,
    ) -> None:
        self._shell = shell
        self._capture = capture
        self._on_control = on_control
        self._on_output = on_output
        self._started = time.monotonic()
        self._started_since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._deadline = self._started + timeout_seconds
        self._interrupts = 0
        self._watched = {shell._output, shell._status, shell._control.fileno(), shell.sandbox.ended_descriptor}
        self._answer: tuple[int, str] | None = None
        self._given_up = False
        self._number = ""
        try:
            shell._send_action(command, output=f"&{shell._output_at}")
            self._number = shell._ask_status()
        except BrokenPipeError:
            self._given_up = True

    def finish(self, *, interruptible: bool) -> ShellResult:
        """Serve the descriptors until the command has ended, one way or another."""
        ended = self._given_up
        while self._answer is None and not ended:
            try:
                ended = self._serve_once()
            except KeyboardInterrupt:
                if not interruptible:
                    raise
                self._deadline = time.monotonic()
        if self._interrupts and not ended:
            self._signal_command(kill=True, spare_shell=True)
        self._drain(everything=ended)
        seconds = time.monotonic() - self._started
        status, directory = self._answer if self._answer else (None, None)
        return ShellResult(
            output=self._capture.finish(), exit_status=status, working_directory=directory, seconds=seconds,
            timed_out=self._interrupts > 0, shell_ended=self._answer is None,
        )  # fmt: skip

    def _serve_once(self) -> bool:
        """Wait for the next thing and deal with it; true when the shell is gone or given up."""
        shell = self._shell
        ended = shell.sandbox.ended_descriptor
        ready = readable(self._watched, self._deadline - time.monotonic())
        if not ready:
            return self._time_is_up()
        if shell._output in ready:
            self._read_output()
        if shell._control.fileno() in ready and self._serve_control():
            return True
        if shell._status in ready:
            self._read_answer()
        elif ended in ready:
            return shell._has_ended()
        return False

    def _read_answer(self) -> None:
        try:
            self._answer = self._shell._read_status(self._number)
        except EOFError:  # the shell is gone or was replaced by `exec`; the sandbox goes on until that ends
            self._watched.discard(self._shell._status)

    def _read_output(self) -> int:
        try:
            piece = os.read(self._shell._output, _READ_BYTES)
        except BlockingIOError:
            return 0
        if not piece:
            self._watched.discard(self._shell._output)
        self._capture.add(piece)
        if self._on_output and piece:
            self._on_output(piece)
        return len(piece)

    def _drain(self, *, everything: bool) -> None:
        """Take what the command left in the pipe; what background jobs go on writing waits for the next command."""
        waiting = struct.unpack("i", fcntl.ioctl(self._shell._output, termios.FIONREAD, b"\0\0\0\0"))[0]
        while waiting > 0 or everything:
            count = self._read_output()
            if not count:
                break
            waiting -= count

    def _serve_control(self) -> bool:
        """Hand one request over; time spent on it is not the command's. True when the command must end for it."""
        started = time.monotonic()
        try:
            request, descriptors, _, _ = socket.recv_fds(self._shell._control, 4096, 1)
        except BlockingIOError:
            return False
        if not request:
            self._watched.discard(self._shell._control.fileno())
            return False
        reply = _as_socket(descriptors[0]) if descriptors else None
        ends = False
        try:
            ends = self._on_control(request, reply)
        finally:
            if ends and reply is not None:
                self._shell._stack.callback(reply.close)  # the tool that asked waits until it is ended with the sandbox
            elif reply is not None:
                reply.close()
            self._deadline += time.monotonic() - started
        return ends

    def _time_is_up(self) -> bool:
        if self._interrupts == len(_INTERRUPT_SECONDS):
            return True
        logger.info("interrupt command, attempt %d", self._interrupts + 1)
        self._signal_command(kill=self._interrupts > 0)
        self._deadline = time.monotonic() + _INTERRUPT_SECONDS[self._interrupts]
        self._interrupts += 1
        return False

    def _signal_command(self, *, kill: bool, spare_shell: bool = False) -> None:
        """Interrupt what this command started, and the shell itself, so that its loops end too.

        Jobs that earlier commands left running, and what these started, are spared.
        """
        processes = self._shell.sandbox.process_ids()
        if not processes:
            return
        shell_process, *others = processes
        earlier: set[int] = set()
        for number in others:
            with contextlib.suppress(OSError):
                origin = _process_origin(number)
                if origin.started < self._started_since_boot - _CLOCK_TICK_SECONDS or origin.parent in earlier:
                    earlier.add(number)
        for number in others:
            if number not in earlier:
                _send_signal(number, signal.SIGKILL if kill else signal.SIGINT)
        if not spare_shell:
            _send_signal(shell_process, signal.SIGINT)


def _send_signal(process_id: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process_id, number)


@dataclass(frozen=True, kw_only=True)
class _Origin:
    parent: int
    started: float
    """Seconds since boot, to the clock tick."""


def _process_origin(process_id: int) -> _Origin:
    """Read /proc/PID/stat (proc(5)); the name in brackets may hold anything, so count from its last bracket."""
    fields = Path(f"/proc/{process_id}/stat").read_bytes().rpartition(b")")[2].split()
    return _Origin(parent=int(fields[1]), started=int(fields[19]) * _CLOCK_TICK_SECONDS)


def _as_socket(descriptor: int) -> socket.socket | None:
    """A received descriptor as a socket that never blocks; anything else the agent sent is closed."""
    try:
        received = socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        return None
    received.setblocking(False)
    return received
