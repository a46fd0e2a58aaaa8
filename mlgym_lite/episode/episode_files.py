"""The files of one episode: its workspace and virtual environment, made at the start, kept by snapshots, put back from them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.kept_states import KeptFolder, KeptStates
from mlgym_lite.episode.outcome import Snapshot
from mlgym_lite.episode.workspace import copy_tree
from mlgym_lite.isolation.virtual_environments import BaseEnvironment, make_layer

_LEFT_BY_INSTALLERS = frozenset({"__pycache__"})


class EpisodeFiles:
    """What the agent can write, below the run directory; `owner` is the sandbox's user where the engine is root."""

    def __init__(self, run_directory: Path, owner: int) -> None:
        self.workspace = run_directory / "workspace"
        self.venv = run_directory / ".state" / "venv"
        self.grading_layers = run_directory / ".state" / "grading"
        self._submission = run_directory / "submission"
        self._state = run_directory / ".state"
        self._owner = owner if os.geteuid() == 0 else None
        self._snapshots = run_directory.absolute() / ".state" / "snapshots"
        self._states = KeptStates(self._snapshots, self._owner)

    def make(self, task: Task, base: BaseEnvironment, start: Snapshot | None) -> None:
        """Fill them from the task's starter files, or from the snapshot an episode goes on from."""
        self.venv.mkdir()
        self.grading_layers.mkdir()
        if start is not None:
            self.put_back(start.trees)
            return
        starter = task.folder / "environment"
        if starter.is_dir():
            copy_tree(starter, self.workspace, owner=self._owner, without=_LEFT_BY_INSTALLERS)
        elif self._owner is not None:
            os.chown(self.workspace, self._owner, self._owner)
        make_layer(self.venv, base)
        if self._owner is not None:
            _give_tree(self.venv, self._owner)

    def adopt(self) -> None:
        """Give what an earlier engine left to the user of this one's sandbox."""
        self.let_in()
        if self._owner is not None:
            for folder in (self.workspace, self.venv):
                _give_tree(folder, self._owner)
        for layer in self.grading_layers.iterdir() if self.grading_layers.is_dir() else ():
            shutil.rmtree(layer, ignore_errors=True)  # a grader was at work; the next one begins with fresh ones
        self.grading_layers.mkdir(exist_ok=True)
        for collected in (self._submission, self._snapshots, *self._state.glob("validation-*")):
            shutil.rmtree(collected, ignore_errors=True)  # snapshots went with the engine that could name them
        self._submission.mkdir(mode=0o755)

    def let_in(self) -> None:
        """Let their owner and the engine into them again, whatever rights the agent took from itself.

        The folders themselves cannot be exchanged from inside: the agent sees them as mounts.
        """
        for folder in (self.workspace, self.venv):
            folder.chmod(folder.stat().st_mode & 0o777 | 0o700)

    def keep(self) -> Mapping[str, KeptFolder]:
        """The state of both."""
        return {tree.name: self._states.take(tree) for tree in (self.workspace, self.venv)}

    def put_back(self, trees: Mapping[str, KeptFolder]) -> None:
        """Make both what a state says; nothing runs in them meanwhile."""
        self.let_in()
        for tree in (self.workspace, self.venv):
            self._states.put(trees[tree.name], tree)


def _give_tree(folder: Path, owner: int) -> None:
    os.chown(folder, owner, owner)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent, name), owner, owner, follow_symlinks=False)
