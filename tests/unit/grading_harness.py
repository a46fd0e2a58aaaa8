"""Grades a submission with a task's own grader, playing the engine's part without a sandbox.

Grader and player are real processes, joined by a real socket; only the walls around them are missing. The folders a
grader expects at the root of its sandbox lie under a temporary folder, which `MLGYM_LITE_ROOT` names.
"""

from __future__ import annotations

import importlib.util
import json
import os
import site
import socket
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parents[2]
TASKS = REPOSITORY / "tasks"
GRADING = REPOSITORY / "mlgym_lite" / "tools" / "grading"
SEED = 20_260_101


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a grading left behind."""

    status: int
    """The grader's exit status."""
    reward: dict[str, float] | None
    """The numbers, where it gave any."""
    rejection: str | None
    """What the agent is told, where the submission was refused."""
    stderr: str
    """What the grader had to say to people."""
    seconds: float
    """Wall time of grader and player together."""


def grading_interpreter(folder: Path) -> Path:
    """Make a virtual environment in which the grading files and this interpreter's packages can be imported."""
    venv.EnvBuilder(symlinks=True).create(folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    packages.joinpath("grading.pth").write_text("\n".join([str(GRADING), *site.getsitepackages()]), encoding="utf-8")
    return folder / "bin" / "python"


def graded(
    interpreter: Path,
    folder: Path,
    task: Path,
    submission: Path,
    *,
    split: str = "test",
    variant: str = "mini",
    seed: int = SEED,
    hidden: Path | None = None,
) -> Verdict:
    """Grade a submission in a new, empty folder; `task` is the task's folder."""
    logs = folder / "logs" / "verifier"
    logs.mkdir(parents=True)
    folder.joinpath("tests").symlink_to(task / "tests")
    folder.joinpath("submission").symlink_to(submission)
    if hidden is not None:
        folder.joinpath("hidden").symlink_to(hidden)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "MLGYM_LITE_ROOT": str(folder),
        "MLGYM_LITE_SPLIT": split,
        "MLGYM_LITE_VARIANT": variant,
        "MLGYM_LITE_SEED": str(seed),
        "MLGYM_LITE_PYTHON": str(interpreter),
    }
    started = time.monotonic()
    judge_end, player_end = socket.socketpair()
    with judge_end, player_end:
        player = _player(interpreter, task / "tests" / "player.py", submission, player_end)
        player_end.close()
        judge = subprocess.run(
            ["bash", str(folder / "tests" / "test.sh")],
            cwd=logs,
            env=environment | {"MLGYM_LITE_PLAYER_FD": str(judge_end.fileno())},
            pass_fds=[judge_end.fileno()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    if player is not None:
        player.kill()
        player.wait()
    return Verdict(
        status=judge.returncode,
        reward=json.loads(text) if (text := _text(logs / "reward.json")) is not None else None,
        rejection=_text(logs / "rejection.txt"),
        stderr=judge.stderr,
        seconds=time.monotonic() - started,
    )


def module_at(path: Path) -> ModuleType:
    """Import a file of a task, leaving no bytecode in the task's folder.

    A grader finds the grading files beside the package's other tools.
    """
    if str(GRADING) not in sys.path:
        sys.path.append(str(GRADING))
    specification = importlib.util.spec_from_file_location("_".join(path.parts[-3:]).removesuffix(".py"), path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    keeps_no_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        specification.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = keeps_no_bytecode
    return module


def _player(interpreter: Path, program: Path, submission: Path, link: socket.socket) -> subprocess.Popen[bytes] | None:
    """Start the task's player program, if the task has one."""
    if not program.exists():
        return None
    return subprocess.Popen(
        [str(interpreter), str(program)],
        cwd=submission,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "MLGYM_LITE_PLAYER_FD": str(link.fileno()),
        },
        pass_fds=[link.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _text(path: Path) -> str | None:
    """Return a file's text, or nothing where there is no such file."""
    return path.read_text(encoding="utf-8") if path.exists() else None


class Desk:
    """Grades submissions of one file given as text, for one test."""

    def __init__(self, interpreter: Path, folder: Path, task: Path, hidden: Path, file_name: str) -> None:
        """Keep submissions and gradings under a folder."""
        self._interpreter = interpreter
        self._folder = folder
        self._task = task
        self._hidden = hidden
        self._file_name = file_name
        self._numbers = count()

    def grade(self, submission: str | bytes | None, *, split: str = "test", hidden: Path | None = None) -> Verdict:
        """Grade a file with this content, or none at all."""
        number = next(self._numbers)
        folder = self._folder / f"submission-{number}"
        folder.mkdir()
        if submission is not None:
            content = submission.encode() if isinstance(submission, str) else submission
            folder.joinpath(self._file_name).write_bytes(content)
        grading = self._folder / f"grading-{number}"
        return graded(self._interpreter, grading, self._task, folder, hidden=hidden or self._hidden, split=split)
