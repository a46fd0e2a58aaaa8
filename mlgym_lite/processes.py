"""Starting programs so that they end when they should.

Three things live here. `launcher_thread()` is the one thread of this process from which every sandbox starts: the
kernel sends a sandbox its death signal when the *thread* that started it ends (prctl PR_SET_PDEATHSIG), so that thread
must outlive all of them; it is a daemon thread that ends with the process. `Keeper` is a tiny shell process in a session
of its own that holds one end of a pipe: when this process ends, however it ends, it removes the folders it was told of.
`run_program` runs one ordinary program to its end, and `run_filter` one that turns some bytes into others.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import queue
import select
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_HOLDER_MILLISECONDS = 5000
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, prctl(2)
_LIBRARY = ctypes.CDLL(None, use_errno=True)


class LauncherThread:
    """A thread that runs what it is given, one call after another, and lives as long as its process."""

    def __init__(self) -> None:
        self.process_id = os.getpid()
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="mlgym-lite-launcher", daemon=True).start()

    def call(self, function: Callable[[], Result], undo: Callable[[Result], None]) -> Result:
        """Run `function` on the thread and hand back its value or its error.

        Where Ctrl-C interrupts the wait, the value is still waited for and handed to `undo`.
        """
        future: Future[Result] = Future()
        self._calls.put((function, future))
        try:
            return future.result()
        except KeyboardInterrupt:
            if future.exception() is None:
                undo(future.result())
            raise

    def _serve(self) -> None:
        while True:
            function, future = self._calls.get()
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)


_lock = threading.Lock()
_launcher: LauncherThread | None = None


def launcher_thread() -> LauncherThread:
    """The launcher of this process; a forked child gets one of its own."""
    global _launcher
    with _lock:
        if _launcher is None or _launcher.process_id != os.getpid():
            _launcher = LauncherThread()
        return _launcher


def start_with_launcher(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a program, as `subprocess.Popen` does, that the kernel kills when this process ends, kill -9 included."""

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, preexec_fn=_die_with_launcher, **options)

    return launcher_thread().call(start, lambda process: process.kill())


def _die_with_launcher() -> None:
    _LIBRARY.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


_KEEPER_SCRIPT = """
cd /
read -r -d "" _
gone() { for pattern in "$@"; do for folder in $pattern; do [ -d "$folder" ] && return 1; done; done; return 0; }
exec 3<>/dev/fd/3; IFS=
for attempt in {1..200}; do
  for pattern in "$@"; do rmdir $pattern 2>/dev/null; done
  gone "$@" && break
  read -r -t 0.02 -u 3
done
"""


class Keeper:
    """Removes folders that match the patterns once this process is gone, kill -9 included.

    The folders must be empty by then or become so (a cgroup does when its last process is reaped).
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        """Start the keeper. It is no child to wait for: it outlives this process."""
        reading, self._held = os.pipe()
        never, never_writing = os.pipe()
        actions = [
            (os.POSIX_SPAWN_DUP2, reading, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, never, 3),
        ]
        arguments = ["bash", "-c", _KEEPER_SCRIPT, "mlgym-lite-keeper", *patterns]
        os.posix_spawnp("bash", arguments, {"PATH": os.defpath}, file_actions=actions, setsid=True)
        for descriptor in (reading, never, never_writing):
            os.close(descriptor)


class Holder:
    """Holds a descriptor as long as anybody holds the write end of its pipe, this process or what it was passed on to.

    So the pipe can be given to a process that others look into, and what is held stays out of their reach.
    """

    def __init__(self, held: int) -> None:
        """Start the holder; the caller's own descriptor can be closed then."""
        reading, self.descriptor = os.pipe()
        """The write end; closed by `close`."""
        actions = [
            (os.POSIX_SPAWN_DUP2, held, 3),
            (os.POSIX_SPAWN_DUP2, reading, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        arguments = ["bash", "-c", 'cd /; read -r -d "" _', "mlgym-lite-holder"]
        self._process = os.posix_spawnp("bash", arguments, {"PATH": os.defpath}, file_actions=actions, setsid=True)
        os.close(reading)

    def close(self) -> None:
        """Let go and wait until the holder has ended, which it does when nobody else holds the pipe; twice is harmless."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            with contextlib.suppress(OSError, AttributeError):  # no pidfd before Linux 5.3
                ended = os.pidfd_open(self._process)
                waiting = select.poll()
                waiting.register(ended, select.POLLIN)
                waiting.poll(_HOLDER_MILLISECONDS)  # a forked copy of this process may hold the pipe too
                os.close(ended)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._process, os.WNOHANG)


@dataclass(frozen=True, kw_only=True)
class ProgramResult:
    """How a program ended."""

    status: int
    """Exit status; negative for the number of the signal that ended it."""
    output: str
    """Standard output and error together."""


def run_program(
    arguments: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    working_directory: Path | None = None,
    timeout_seconds: float | None = None,
    on_line: Callable[[str], None] | None = None,
) -> ProgramResult:
    """Run a program to its end in a process group of its own, which is ended with it; lines go to `on_line` as they come.

    Raises OSError where it cannot start and TimeoutError where it does not end in time.
    """
    command = [str(argument) for argument in arguments]
    logger.info("run %s", shlex.join(command))
    process = subprocess.Popen(
        command, env=environment, cwd=working_directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True, text=True, encoding="utf-8", errors="replace", umask=0o022,
    )  # fmt: skip
    timer = threading.Timer(timeout_seconds, lambda: _kill_group(process.pid)) if timeout_seconds else None
    lines: list[str] = []
    try:
        if timer:
            timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if on_line:
                on_line(line.rstrip("\n"))
        status = process.wait()
    finally:
        if process.poll() is None:
            _kill_group(process.pid)
            process.wait()
        if timer:
            timer.cancel()
        assert process.stdout is not None
        process.stdout.close()
    if status == -signal.SIGKILL and timer and not timer.is_alive():
        raise TimeoutError(f"{shlex.join(command)} did not end within {timeout_seconds} s")
    return ProgramResult(status=status, output="".join(lines))


@dataclass(frozen=True, kw_only=True)
class FilterResult:
    """What a filter made of its input, and how it ended."""

    status: int
    """Exit status; negative for the number of the signal that ended it."""
    output: bytes


def run_filter(
    arguments: Sequence[str], content: bytes, *, environment: Mapping[str, str], timeout_seconds: float, most_bytes: int
) -> FilterResult:
    """Run a program on `content` in a process group of its own, which is killed at the time-out; its errors are dropped.

    Input and output are files, so neither side waits for the other and a limit on the size of files holds for the output;
    what is longer than `most_bytes` is cut off. Raises OSError where it cannot start.
    """
    logger.info("run %s on %d bytes", shlex.join(arguments), len(content))
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as made:
        given.write(content)
        given.seek(0)
        process = subprocess.Popen(
            arguments, env=environment, cwd="/", stdin=given, stdout=made, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout_seconds)
        finally:
            _kill_group(process.pid)  # what it started too
            status = process.wait()
        made.seek(0)
        return FilterResult(status=status, output=made.read(most_bytes))


def _kill_group(process_id: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process_id, signal.SIGKILL)


class Conversation:
    """A program that is spoken with in lines over its standard input and output; its errors go where ours go.

    It runs in a process group of its own, which `close` ends, and is killed with this process.
    """

    def __init__(self, arguments: Sequence[str | Path], *, environment: Mapping[str, str] | None = None) -> None:
        """Start the program. Raises OSError where it cannot start."""
        command = [str(argument) for argument in arguments]
        logger.info("start %s", shlex.join(command))
        self._process = start_with_launcher(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._received = b""

    def send(self, line: str) -> None:
        """Send a line. Raises OSError where the program is gone."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode("utf-8") + b"\n")
        self._process.stdin.flush()

    def receive(self, *, seconds: float | None = None, most_bytes: int = 16 << 20) -> str | None:
        """The next line; None where the program ended.

        Raises TimeoutError where none comes in time, and ValueError where it is too long or not UTF-8.
        """
        assert self._process.stdout is not None
        deadline = None if seconds is None else time.monotonic() + seconds
        waiting = select.poll()
        waiting.register(self._process.stdout, select.POLLIN)
        while b"\n" not in self._received:
            left = None if deadline is None else deadline - time.monotonic()
            if (left is not None and left <= 0) or not waiting.poll(None if left is None else left * 1000):
                raise TimeoutError(f"no line within {seconds} s")
            piece = os.read(self._process.stdout.fileno(), 1 << 16)
            if not piece:
                return None
            self._received += piece
            if len(self._received) > most_bytes:
                raise ValueError(f"a line of more than {most_bytes} bytes")
        line, self._received = self._received.split(b"\n", 1)
        return line.decode("utf-8")

    def close(self, *, seconds: float = 5.0) -> int:
        """Close its input, wait for its end, then end it; the exit status. Twice is harmless."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        _kill_group(self._process.pid)  # what it started too
        return self._process.wait()
