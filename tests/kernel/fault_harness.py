"""An engine in a process of its own that faults are done to: driven over pipes, its processes found by what they run."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

WAIT_SECONDS = 30.0

ENGINE = """\
import json, os, sys
if "jumping" in os.environ.get("FAULT_CLOCK", ""):
    import random, time
    time.time = lambda: random.choice([0.0, 1e9, 4e9])
    time.time_ns = lambda: int(time.time() * 1e9)
from pathlib import Path
import mlgym_lite
from mlgym_lite.config.run_settings import RunSettings
task = mlgym_lite.load_task(sys.argv[1])
episode = mlgym_lite.Episode(task, settings=RunSettings(output=Path(sys.argv[2])))
print(json.dumps({"told": "started"}), flush=True)
for line in sys.stdin:
    call, *arguments = json.loads(line)
    try:
        value = getattr(episode, call)(*arguments)
        told = getattr(value, "observation", None) or str(getattr(value, "metrics", "") or getattr(value, "score", ""))
        print(json.dumps({"told": told}), flush=True)
    except BaseException as error:
        print(json.dumps({"told": str(error), "error": type(error).__name__}), flush=True)
episode.close()
"""


class Engine:
    """One engine process with one episode; whoever starts it closes it."""

    def __init__(
        self, task: Path, output: Path, environment: Mapping[str, str], prefix: Sequence[str] = (), **variables: str
    ) -> None:
        """Start it, with words before its command and further variables."""
        self.output = output
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", ENGINE, str(task), str(output)], env={**environment, **variables},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._data = b""
        self.seen: set[psutil.Process] = set()
        assert self.answer()["told"] == "started"

    def call(self, *words: str) -> None:
        """Have it call a method of its episode, without waiting for the end."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What came of the earliest call whose end was not asked for yet; empty when the engine is gone."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + WAIT_SECONDS
        while b"\n" not in self._data:
            ready = select.select([self.process.stdout], [], [], deadline - time.monotonic())[0]
            assert ready, "the engine gave no answer"
            piece = os.read(self.process.stdout.fileno(), 1 << 16)
            if not piece:
                return {}
            self._data += piece
        line, _, self._data = self._data.partition(b"\n")
        content: dict[str, Any] = json.loads(line)
        return content

    def ask(self, *words: str) -> dict[str, Any]:
        """Call and wait for the end."""
        self.call(*words)
        return self.answer()

    def processes(self) -> list[psutil.Process]:
        """Everything it started that still runs; what was seen once is remembered for `leaves_nothing`."""
        found: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(self.process.pid).children(recursive=True)
        self.seen |= set(found)
        return found

    def wait_until_running(self, word: str) -> psutil.Process:
        """Wait until it has a process with a word in its command line; that process."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            for process in self.processes():
                try:
                    if word in process.cmdline():
                        return process
                except psutil.Error:
                    continue
            time.sleep(0.01)
        raise AssertionError(f"nothing with {word!r} came to run")

    def outermost(self, process: psutil.Process) -> psutil.Process:
        """The bwrap that a process is in, as the engine started it."""
        while process.ppid() != self.process.pid:
            process = process.parent()  # type: ignore[assignment]
        return process

    def first(self, process: psutil.Process) -> psutil.Process:
        """The first process of the sandbox that a process is in."""
        return self.outermost(process).children()[0]

    def kill(self) -> None:
        """kill -9."""
        self.processes()
        self.process.kill()
        self.process.wait(WAIT_SECONDS)

    def close(self) -> str:
        """Let it end by itself, or see that it has; what it printed as errors."""
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.processes()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(WAIT_SECONDS)
        finally:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
            self.process.stdout.close()
            with self.process.stderr:
                errors = self.process.stderr.read().decode("utf-8", "replace")
        return errors

    def has_ended(self) -> bool:
        """Whether nothing of it runs any more: no process it was seen to have, no control group, no lock."""
        number = self.process.pid
        running = [process for process in self.seen if _runs(process)]
        groups = [name for _, names, _ in os.walk("/sys/fs/cgroup") for name in names if name.startswith(f"mlgym-lite-{number}-")]
        locks = [line for line in Path("/proc/locks").read_text().splitlines() if line.split()[4:5] == [str(number)]]
        return not (running or groups or locks)

    def wait_until_ended(self) -> None:
        """Wait for that."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.has_ended():
            assert time.monotonic() < deadline, f"left: {[one for one in self.seen if _runs(one)]}, or a group or a lock"
            time.sleep(0.02)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def ending_of(run: Path) -> str:
    """The reason in result.json; empty where there is none."""
    path = run / "result.json"
    return str(json.loads(path.read_text(encoding="utf-8"))["ending"]["reason"]) if path.exists() else ""


def steps_of(run: Path) -> list[int]:
    """The numbers of the recorded steps."""
    lines = (run / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["step"] for line in lines]
