"""The run directory: what an episode leaves on disk, written so that a killed run still tells its story.

run.json          everything resolved, before the first step
trajectory.jsonl  one line for each step, on disk before the next step begins
outputs/          the whole output of steps whose observation was cut or is not text
workspace/        the agent's files        submission/  what was handed to the grader        grading/  what graders said
result.json       written last, aside and then moved into place
.state/           what the engine itself needs: the virtual environment's layers, snapshots, the mark that it lives
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlgym_lite.errors import EpisodeStateError, OutputError
from mlgym_lite.isolation.marked_folders import marked
from mlgym_lite.isolation.storage_watch import LEAST_FREE_BYTES
from mlgym_lite.whole_files import write_whole

_LEAST_START_BYTES = 2 * LEAST_FREE_BYTES
MARK = ".state/engine.lock"
"""Held while the run's engine lives."""
STEPS_RECORD = "series.json"
"""Lies in the folder of a task of several steps, beside the steps' run directories."""
_FOLDERS = ("outputs", "workspace", "submission", "grading", ".state")
_UNSEEN = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What JSON leaves as it is although a terminal takes it for a command, or turns or breaks lines at it."""


def new_run_path(runs: Path, *parts: str) -> Path:
    """A path for a new run below `runs`, named after its parts and the time."""
    name = "-".join((*parts, time.strftime("%Y%m%d-%H%M%S"), secrets.token_hex(3)))
    return runs / name.replace("/", "_")


def check_room(path: Path) -> None:
    """Refuse a run directory on a disk that is nearly full: raises OutputError."""
    place = next(folder for folder in path.absolute().parents if folder.is_dir())
    state = os.statvfs(place)
    free = state.f_bavail * state.f_frsize
    if state.f_blocks and free < _LEAST_START_BYTES:  # what has no room at all, such as /proc, has its own refusal
        raise OutputError(
            f"{place}: only {free >> 20} MiB are free on its disk; a run starts with at least {_LEAST_START_BYTES >> 20} MiB. "
            "Make room, or name another --output"
        )


def already_there(path: Path) -> OutputError:
    """The refusal of a place that is taken."""
    return OutputError(f"{path}: already exists; a run is never overwritten. Name another --output")


def still_goes_on(path: Path) -> EpisodeStateError:
    """The refusal of a run whose engine is alive."""
    return EpisodeStateError(f"{path}: this episode still goes on; its engine is alive")


class RunDirectory:
    """One run's directory; the episode owns it and closes it."""

    def __init__(self, path: Path, *, finished_steps: int | None = None) -> None:
        """Make the directory, which must not exist, or open that of an episode that goes on behind so many finished steps.

        Raises:
            OutputError: It cannot be made or opened.
            EpisodeStateError: Another process goes on with that episode, or has done so meanwhile.
        """
        self.path = path.absolute()
        if finished_steps is not None:
            self._open_again(finished_steps)
            return
        self._trajectory = -1
        self._stack = contextlib.ExitStack()
        try:
            self._make_parent()
            self.path.mkdir(mode=0o700)
            for name in _FOLDERS:
                (self.path / name).mkdir(mode=0o755)
            self._stack.enter_context(marked(self.path / MARK))
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._trajectory = os.open(self.path / "trajectory.jsonl", flags, 0o644)
        except FileExistsError as error:
            raise already_there(self.path) from error
        except OSError as error:
            self._stack.close()
            raise OutputError(f"{self.path}: cannot be made: {error.strerror or error}. Name another --output") from error

    def _open_again(self, finished_steps: int) -> None:
        """Take the mark and the trajectory, from which a half-written line goes."""
        self._stack = contextlib.ExitStack()
        try:
            self._stack.enter_context(marked(self.path / MARK, alone=True))
            lines = (self.path / "trajectory.jsonl").read_bytes()
            lacks_its_end = lines[-1:] not in (b"", b"\n") and lines.count(b"\n") + 1 == finished_steps
            if (self.path / "result.json").exists() or lines.count(b"\n") + lacks_its_end != finished_steps:
                self._stack.close()
                raise EpisodeStateError(f"{self.path}: another process has gone on with this episode meanwhile")
            self._trajectory = os.open(self.path / "trajectory.jsonl", os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            if lacks_its_end:
                os.write(self._trajectory, b"\n")
            else:
                os.ftruncate(self._trajectory, lines.rfind(b"\n") + 1)
        except BlockingIOError as error:
            raise still_goes_on(self.path) from error
        except OSError as error:
            self._stack.close()
            raise OutputError(f"{self.path}: cannot be gone on with: {error.strerror or error}") from error

    def note_resumption(self, content: Mapping[str, Any]) -> None:
        """Add a line to resumptions.jsonl."""
        with (self.path / "resumptions.jsonl").open("a", encoding="utf-8") as file:
            file.write(_as_json(content) + "\n")

    def _make_parent(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(error.errno, "a file is in the place of a folder above it") from error

    def write_run(self, content: Mapping[str, Any]) -> None:
        """Write run.json."""
        self._write_whole("run.json", content)

    def append_step(self, record: Mapping[str, Any]) -> None:
        """Write one step's line; on failure nothing of it stays, so that earlier lines keep being readable."""
        line = (_as_json(record) + "\n").encode("utf-8", "backslashreplace")
        start = os.lseek(self._trajectory, 0, os.SEEK_END)
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(self._trajectory, view) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._trajectory, start)
            raise OutputError(
                f"{self.path / 'trajectory.jsonl'}: step {record.get('step')} cannot be written: {error.strerror or error}. "
                "Steps before it are kept"
            ) from error

    def write_result(self, content: Mapping[str, Any]) -> None:
        """Write result.json, all of it or nothing."""
        self._write_whole("result.json", content)

    def _write_whole(self, name: str, content: Mapping[str, Any]) -> None:
        try:
            write_whole(self.path / name, _as_json(content, indent=1) + "\n", errors="backslashreplace")
        except OSError as error:
            raise OutputError(f"{self.path / name}: cannot be written: {error.strerror or error}") from error

    def close(self) -> None:
        """Close the trajectory; twice is harmless."""
        if self._trajectory >= 0:
            os.close(self._trajectory)
            self._trajectory = -1
        self._stack.close()


def _as_json(content: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON that reads back exactly, and does nothing to a terminal on which the file is looked at."""
    text = json.dumps(content, indent=indent, ensure_ascii=False)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
