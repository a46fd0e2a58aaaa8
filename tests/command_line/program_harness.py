"""Running the real program: how it ended, what it left running, and a person at its terminal."""

from __future__ import annotations

import codecs
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

PROGRAM = (sys.executable, "-m", "mlgym_lite")
DEADLINE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    def told_one_error(self, status: int, *words: str) -> None:
        """Check that it ended with one error of ours, with this status and these words, and nothing on stdout."""
        assert "Traceback" not in self.err, self.err
        assert self.status == status, self.err
        assert self.err.count("mlgym-lite: error: ") == 1, self.err
        assert self.out == ""
        for word in words:
            assert word in self.err, self.err

    def told_usage(self, *words: str) -> None:
        """Check that it was refused for how it was called."""
        assert "Traceback" not in self.err, self.err
        assert (self.status, self.out) == (2, ""), self.err
        assert "Usage: mlgym-lite" in self.err
        for word in words:
            assert word in self.err, self.err


Program = Callable[..., Ended]


def running_with(marker: str) -> list[psutil.Process]:
    """Every process of the host whose command line holds a marker, but for this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(marker in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)


_IN_A_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """A person at a terminal of their own, in which one command runs; whoever starts it closes it."""

    def __init__(self, arguments: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str]) -> None:
        """Start the command with a new pseudo-terminal as its controlling terminal."""
        self._screen, inside = os.openpty()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.shown = ""
        """What is on the screen and was not waited for yet."""
        self.before = ""
        """What was on the screen before the text that was last waited for."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", _IN_A_TERMINAL, *PROGRAM, *arguments], cwd=folder, stdin=inside, stdout=inside,
            stderr=inside, start_new_session=True, env={**environment, "TERM": "dumb", "HOME": str(folder)},
        )  # fmt: skip
        os.close(inside)

    def wait_until_shown(self, text: str) -> None:
        """Wait until a text is on the screen, behind what was waited for before."""
        deadline = time.monotonic() + DEADLINE_SECONDS / 2
        while text not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0 and self._read(left), f"waited in vain for {text!r}; on the screen: {self.shown!r}"
        self.before, _, self.shown = self.shown.partition(text)

    def shows(self, text: str, *, seconds: float) -> bool:
        """Whether a text comes on the screen within a time; it stays there to be waited for."""
        deadline = time.monotonic() + seconds
        while text not in self.shown and (left := deadline - time.monotonic()) > 0:
            if not self._read(left):
                break
        return text in self.shown

    def _read(self, seconds: float) -> bool:
        if not select.select([self._screen], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._screen, 1 << 16)
        except OSError:  # the other end is closed
            return False
        self.shown += self._decoder.decode(data)
        return bool(data)

    def type(self, text: str) -> None:
        """Type a text; "\\n" is the return key, "\\x03" Ctrl-C, "\\x04" Ctrl-D."""
        os.write(self._screen, text.encode())

    def wait_until_ended(self) -> int:
        """Read until the command ends; its exit status."""
        while self._read(DEADLINE_SECONDS / 2):
            pass
        return self._process.wait(DEADLINE_SECONDS / 2)

    def close(self) -> None:
        """End the command if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._screen)
