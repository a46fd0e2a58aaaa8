"""What the tests of the command line share: the real program, in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from program_harness import DEADLINE_SECONDS, PROGRAM, Ended, Program


@pytest.fixture
def working_folder(tmp_path: Path) -> Path:
    """Where the program is started; empty at first."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def mlgym(working_folder: Path, environment: dict[str, str]) -> Program:
    """Runs `mlgym-lite` with arguments; further variables as keywords."""

    def run(*arguments: str | bytes | Path, **variables: str) -> Ended:
        result = subprocess.run(
            [*PROGRAM, *arguments], cwd=working_folder, env={**environment, **variables}, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=DEADLINE_SECONDS,
        )  # fmt: skip
        return Ended(
            status=result.returncode, out=result.stdout.decode("utf-8"), err=result.stderr.decode("utf-8", "surrogateescape")
        )

    return run


@pytest.fixture
def started(working_folder: Path, environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `mlgym-lite` and leaves it running; what still runs at the end is ended."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*PROGRAM, *arguments], cwd=working_folder, env={**environment, **variables}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def actions(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a file of actions."""

    def write(text: str, name: str = "actions.jsonl") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
