"""One command in the shell, from its start to its end or its time-out.

On a time-out the command's processes and bash are interrupted, as Ctrl-C would, and then the processes are killed; jobs that
earlier commands left running are spared. A shell that does not answer by then is given up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlgym_lite.isolation.output import CapturedOutput, OutputCapture
from mlgym_lite.isolation.protocol import Sandbox
from mlgym_lite.isolation.sealed_memory import sealed_content
from mlgym_lite.isolation.shell_channels import ShellChannels, Status
from mlgym_lite.isolation.waiting import readable

logger = logging.getLogger(__name__)

_READ_BYTES = 64 << 10
_CLOCK_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_INTERRUPT_SECONDS = (1.0, *(0.05,) * 20, 0.5, 1.0, 1.0)
"""How long to wait after each interrupt; from the second on, processes are killed."""
_STOPPED_SECONDS = (0.05,) * 4
"""The first of those waits where the command is stopped for what it does and not for its time; nothing is killed in them."""
_KILL_SECONDS = 1.0
_MOST_DESCRIPTORS = 253  # SCM_MAX_FD of the kernel
_MOST_CLOSING = 8


@dataclass(frozen=True, kw_only=True)
class Served:
    """What serving a request means for the running command."""

    ends_command: bool = False
    extra_seconds: float = 0.0
    """Time that is not the command's own, such as grading."""


@dataclass(frozen=True, kw_only=True)
class ControlRequest:
    """What a tool in the sandbox asks; all of it is the agent's to choose."""

    data: bytes
    reply: socket.socket | None
    """Where the answer goes; it never blocks."""
    attached: bytes = b""
    """What the tool sent along, as a memory file that nobody can change any more."""


ControlHandler = Callable[[ControlRequest], Served]
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
    interrupted: bool
    """A person ended the command; it counts as timed out too."""
    shell_ended: bool
    """The shell is gone and a new one is needed."""
    stopped: bool = False
    """Something beside the shell asked for the command's end; it counts as timed out too."""
    storage_note: str = ""
    """What the agent is to know about what it stores."""


class ShellRun:
    """One command on its way; lives for one call of `Shell.run`."""

    def __init__(
        self,
        channels: ShellChannels,
        sandbox: Sandbox,
        capture: OutputCapture,
        on_control: ControlHandler,
        on_output: OutputHandler | None,
        stop_descriptor: int | None = None,
    ) -> None:
        """`stop_descriptor` becomes readable when the command must end whatever time it has left."""
        self._channels = channels
        self._sandbox = sandbox
        self._capture = capture
        self._on_control = on_control
        self._on_output = on_output
        self._started = time.monotonic()
        self._started_since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._latest_process = _latest_process()
        self._interrupts = 0
        self._is_broken = False
        self._by_person = False
        self._closing: list[threading.Thread] = []
        self._number = ""
        self._answer: Status | None = None
        self._stop_descriptor = stop_descriptor
        self._stopped = False
        self._watched = {channels.output, channels.status, channels.control.fileno(), sandbox.ended_descriptor}
        if stop_descriptor is not None:
            self._watched.add(stop_descriptor)

    def finish(self, command: str, timeout_seconds: float, *, interruptible: bool) -> ShellResult:
        """Run the command and serve the descriptors until it has ended, one way or another."""
        self._deadline = self._started + timeout_seconds
        ended = not self._send(command)
        while self._answer is None and not ended:
            try:
                ended = self._serve_once()
            except KeyboardInterrupt:
                if not interruptible:
                    raise
                self._deadline = time.monotonic()
                self._by_person = True
        if self._interrupts and not ended:
            self._kill_what_is_left()
        self._drain(everything=ended)
        return self._result()

    def _send(self, command: str) -> bool:
        try:
            self._channels.send_action(command)
            self._number = self._channels.ask_status()
        except BrokenPipeError:
            return False
        return True

    def _result(self) -> ShellResult:
        answer = self._answer
        return ShellResult(
            output=self._capture.finish(),
            exit_status=answer.exit_status if answer else None,
            working_directory=answer.working_directory if answer else None,
            seconds=time.monotonic() - self._started,
            timed_out=self._interrupts > 0,
            interrupted=self._by_person and self._interrupts > 0,
            shell_ended=answer is None,
            stopped=self._stopped and self._interrupts > 0,
        )

    def _serve_once(self) -> bool:
        """Wait for the next thing and deal with it; true when the shell is gone or given up."""
        channels, ended = self._channels, self._sandbox.ended_descriptor
        ready = readable(self._watched, self._deadline - time.monotonic())
        if self._stop_descriptor in ready:
            self._watched.discard(self._stop_descriptor)
            self._stopped = self._interrupts == 0
            self._deadline = min(self._deadline, time.monotonic())
        if not ready or time.monotonic() >= self._deadline:  # also where output, requests or forged answers come without end
            if channels.status in ready:
                self._read_answer()
            return self._is_broken or (self._answer is None and self._time_is_up())
        if channels.output in ready:
            self._read_output()
        if channels.control.fileno() in ready and self._serve_control():
            return True
        if channels.status in ready:
            self._read_answer()
            return self._is_broken
        return ended in ready and not self._sandbox.is_running()

    def _read_answer(self) -> None:
        try:
            self._answer = self._channels.read_status(self._number)
        except EOFError:  # the shell is gone or was replaced by `exec`; the sandbox goes on until that ends
            self._watched.discard(self._channels.status)
        except BrokenPipeError:
            self._is_broken = True

    def _read_output(self) -> int:
        try:
            piece = os.read(self._channels.output, _READ_BYTES)
        except BlockingIOError:
            return 0
        if not piece:
            self._watched.discard(self._channels.output)
        self._capture.add(piece)
        if self._on_output and piece:
            self._on_output(piece)
        return len(piece)

    def _drain(self, *, everything: bool) -> None:
        """Take what the command left in the pipe; what background jobs go on writing waits for the next command."""
        waiting = self._channels.waiting_output()
        while waiting > 0 or everything:
            count = self._read_output()
            if not count:
                break
            waiting -= count

    def _serve_control(self) -> bool:
        """Hand one request over; time spent on it is not the command's. True when the command must end for it."""
        try:
            # All descriptors are taken: the kernel would close the others itself, and a socket can make it wait for that.
            request, descriptors, _, _ = socket.recv_fds(self._channels.control, 4096, _MOST_DESCRIPTORS)
        except BlockingIOError:
            return False
        if not request and not descriptors:
            self._watched.discard(self._channels.control.fileno())
            return False
        attached = next(filter(None, map(sealed_content, descriptors)), b"")
        received = [one for one in map(_as_socket, descriptors) if one is not None]
        reply = received[0] if received and received[0].family == socket.AF_UNIX else None
        served = Served()
        try:
            served = self._on_control(ControlRequest(data=request, reply=reply, attached=attached))
        finally:
            if served.ends_command and reply is not None:
                self._channels.keep_until_closed(received.pop(0))
            self._close_aside(received)
        self._deadline += served.extra_seconds
        return served.ends_command

    def _close_aside(self, received: list[socket.socket]) -> None:
        """Close what came with a request on a thread of its own: a socket can be made to hold up whoever closes it.

        While too many are held up, no more requests are taken; what they hold goes with the sandbox.
        """
        if received:
            closing = threading.Thread(target=_close_all, args=(received,), name="mlgym-lite-closing", daemon=True)
            closing.start()
            self._closing = [thread for thread in (*self._closing, closing) if thread.is_alive()]
        if len(self._closing) >= _MOST_CLOSING:
            self._watched.discard(self._channels.control.fileno())

    def _time_is_up(self) -> bool:
        if self._interrupts == len(_INTERRUPT_SECONDS):
            return True
        logger.info("interrupt command, attempt %d", self._interrupts + 1)
        gentle = len(_STOPPED_SECONDS) if self._stopped else 1
        self._signal_command(kill=self._interrupts >= gentle)
        with contextlib.suppress(BrokenPipeError):
            self._channels.ask_status(self._number)
        waits = (*_STOPPED_SECONDS, *_INTERRUPT_SECONDS[gentle:]) if self._stopped else _INTERRUPT_SECONDS
        self._deadline = time.monotonic() + waits[self._interrupts]
        self._interrupts += 1
        return False

    def _signal_command(self, *, kill: bool) -> None:
        """Interrupt or kill what this command started, and interrupt the shell itself, so that its loops end too.

        bash gives up when it is interrupted while it waits for a program that then dies of an interrupt too; so the shell
        comes first. A program that does not die of it is killed, and bash must then be met on its way to the next program;
        so what the shell waits for comes last but one, and the shell last.
        """
        processes = self._sandbox.process_ids()
        shell_process, own = processes[:1], self._of_this_command(processes[1:])
        if kill:
            for number in reversed(own):
                _kill(number)
        for number in (*shell_process, *(own if not kill else ())):
            _send_signal(number, signal.SIGINT)

    def _kill_what_is_left(self) -> None:
        """Kill what ignored the interrupt in the background, and wait until it writes no more."""
        for number in self._of_this_command(self._sandbox.process_ids()[1:]):
            _kill(number)

    def _of_this_command(self, processes: list[int]) -> list[int]:
        """Those of the processes, which come oldest first, that are no job of an earlier command nor started by one."""
        earlier: set[int] = set()
        for number in processes:
            with contextlib.suppress(OSError):
                origin = _process_origin(number)
                was_there = origin.started <= self._started_since_boot and number <= self._latest_process
                if was_there or origin.parent in earlier:
                    earlier.add(number)
        return [number for number in processes if number not in earlier]


def _latest_process() -> int:
    """The process id given last on this host (proc(5), loadavg): start times only tell hundredths of a second."""
    return int(Path("/proc/loadavg").read_bytes().rsplit(maxsplit=1)[1])


def _kill(process_id: int) -> None:
    """Kill a process and wait until it is gone, where the kernel can tell (from 5.3)."""
    try:
        ended = os.pidfd_open(process_id)
    except (OSError, AttributeError):
        _send_signal(process_id, signal.SIGKILL)
        return
    _send_signal(process_id, signal.SIGKILL)
    readable([ended], _KILL_SECONDS)
    os.close(ended)


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
    """A received descriptor as a socket that never blocks; what is no socket is closed."""
    try:
        received = socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        return None
    received.setblocking(False)
    return received


def _close_all(received: list[socket.socket]) -> None:
    for one in received:
        one.close()
