"""A running sandbox as the engine holds it, whichever mechanism put it up.

Its first process stands above all others: bubblewrap's first process in the namespace, or landlock's supervisor. A status
descriptor tells the command's exit status as a JSON line and shows end of file when everything is over.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from mlgym_lite.errors import SandboxError
from mlgym_lite.isolation.limits import LimitGroup
from mlgym_lite.isolation.protocol import Usage
from mlgym_lite.isolation.waiting import readable

_END_SECONDS = 30.0
_START_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a mechanism hands over when a sandbox has been put up."""

    process: subprocess.Popen[bytes]
    """The program that was started and is to be waited for."""
    first: int
    """The process id above everything inside."""
    status: int
    """Descriptor of the reports; owned by the sandbox from now on."""
    error: int
    """Where the program's complaints can be read again, for messages."""
    group: LimitGroup
    end: Callable[[int | None], None]
    """Begin the end of everything inside, given an opened descriptor of the first process where there is one; called once."""
    after_end: Callable[[], None] = lambda: None
    """What is left to do when the program is gone."""
    root: str = ""
    """The folder below which the sandbox's own places lie; empty where they are at the top."""


class RunningSandbox:
    """One running sandbox; whoever started it closes it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._closed = False
        self._last_usage = Usage()
        self._first_ended = _process_descriptor(parts.first)
        self.ended_descriptor = parts.status
        self.root = parts.root

    def is_running(self) -> bool:
        """Whether it still runs."""
        return self._parts.process.poll() is None

    def process_ids(self) -> list[int]:
        """Host process ids of everything inside but the first process, oldest first: the command itself leads."""
        with contextlib.suppress(psutil.Error):
            inside = psutil.Process(self._parts.first).children(recursive=True)
            return [process.pid for process in sorted(inside, key=lambda process: (process.create_time(), process.pid))]
        return []

    def usage(self) -> Usage:
        """What it used so far; after its end, what it had used."""
        if not self._closed:
            self._last_usage = self._parts.group.usage()
        return self._last_usage

    def exit_status(self) -> int:
        """Wait for the command's end; its exit status, or 128 and the number of the signal that ended it.

        Raises SandboxError where the sandbox ended without the command having run.
        """
        self._parts.process.wait()
        report = b""
        while piece := os.read(self.ended_descriptor, 4096):
            report += piece
        for line in report.splitlines():
            if b"exit-code" in line:
                return int(json.loads(line)["exit-code"])
        reason = last_text(self._parts.error) or "no reason was given"
        raise SandboxError(f"the sandbox ended before its command did: {reason}")

    def kill(self) -> None:
        """Kill everything inside but the first process, from any thread."""
        opened = {number: _process_descriptor(number) for number in self.process_ids()}
        inside = {*self.process_ids()}  # again: a number may have gone to another process before it was opened
        for number, descriptor in opened.items():
            with contextlib.suppress(OSError):
                if descriptor is None:
                    os.kill(number, signal.SIGKILL)
                elif number in inside:
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            if descriptor is not None:
                os.close(descriptor)

    def close(self) -> None:
        """End everything inside and wait until it is gone."""
        if self._closed:
            return
        self._end()
        with contextlib.suppress(OSError):
            self.usage()
        self._closed = True
        os.close(self.ended_descriptor)
        self._parts.group.close()

    def _end(self) -> None:
        """The program may exit a moment before the first process does, and only the latter's end means that all are gone."""
        process = self._parts.process
        with contextlib.suppress(ProcessLookupError):
            self._parts.end(self._first_ended)
        if self._first_ended is not None:
            readable([self._first_ended], _END_SECONDS)
            os.close(self._first_ended)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._parts.after_end()


def _process_descriptor(process_id: int) -> int | None:
    """A descriptor that becomes readable when the process ends; None before Linux 5.3."""
    try:
        return os.pidfd_open(process_id)
    except (OSError, AttributeError):
        return None


def first_report(status: int, error: int, program: str) -> dict[str, object]:
    """Wait for the first line a starting sandbox reports; raises SandboxError with what its program complained of."""
    report = b""
    while not report.endswith(b"\n"):
        if not readable([status], _START_SECONDS):
            raise SandboxError(f"{program} did not report within {_START_SECONDS:g} s")
        piece = os.read(status, 1)  # the next line is `exit_status`'s to read
        if not piece:
            raise SandboxError(f"{program} could not make the sandbox: {last_text(error) or 'it gave no reason'}")
        report += piece
    content: dict[str, object] = json.loads(report.splitlines()[0])
    return content


def last_text(descriptor: int) -> str:
    """The last text in a descriptor that can be read again (a file), else nothing."""
    with contextlib.suppress(OSError):
        size = os.lseek(descriptor, 0, os.SEEK_END)
        return os.pread(descriptor, 2000, max(0, size - 2000)).decode("utf-8", "replace").strip()
    return ""
