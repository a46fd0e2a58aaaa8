"""Runs a task's prepare.py in an environment of its own, offline, as the engine does.

What uses it is marked `network`, which tells where no package index can be reached.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

from mlgym_lite.isolation.virtual_environments import BuildRequest, built_environment, find_interpreter


def preparing_python(task: Path, temporary: pytest.TempPathFactory) -> Path:
    """The Python that a task's prepare.py runs with; built in the user's own cache where MLGYM_LITE_CACHE names one."""
    named = os.environ.get("MLGYM_LITE_CACHE")
    base = built_environment(
        BuildRequest(
            requirements=task / "prepare-requirements.txt", interpreter=find_interpreter(), environment=os.environ,
            cache=Path(named) if named else temporary.getbasetemp() / "cache", timeout_seconds=600.0, task_reference=task.name,
        )
    )  # fmt: skip
    assert base.folder is not None
    return base.folder / "bin" / "python"


class Preparer:
    """Runs a task's prepare.py, for one test."""

    def __init__(self, python: Path, task: Path, folder: Path, options: Sequence[str] = ()) -> None:
        """Keep what it writes under a folder; `options` go to the program where a call does not say otherwise."""
        self.python = python
        self._program = task / "prepare.py"
        self._folder = folder
        self._options = options
        self._numbers = count()
        self.partial = folder / "partial"
        self.environment = os.environ | {
            "MLGYM_LITE_PARTIAL": str(self.partial),
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_OFFLINE": "1",
        }

    def start(self, source: Path, options: Sequence[str] | None = None) -> tuple[Path, subprocess.Popen[str]]:
        """Start preparing into a new folder."""
        output = self._folder / f"output-{next(self._numbers)}"
        output.mkdir()
        words = [*(self._options if options is None else options), str(output), str(source)]
        process = subprocess.Popen(
            [str(self.python), str(self._program), *words], env=self.environment, text=True,
            start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return output, process

    def run(self, source: Path, options: Sequence[str] | None = None) -> tuple[Path, str, int]:
        """Prepare and return the folder, what was printed, and the exit status."""
        output, process = self.start(source, options)
        text, _ = process.communicate(timeout=150)
        return output, text, process.returncode
