"""Removing folders in which an agent may have left anything: links are not followed, denied rights are given back first."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Remove a folder that no process uses any more; raises OSError with what cannot be removed."""
    with contextlib.suppress(FileNotFoundError):
        _let_us_in(folder)
        shutil.rmtree(folder)


def _let_us_in(folder: Path) -> None:
    """Give ourselves rights on every folder of ours in a tree, each before what is in it."""
    if stat.S_ISDIR(os.lstat(folder).st_mode):
        os.chmod(folder, 0o700)
    for _, folders, _, descriptor in os.fwalk(folder):
        for name in folders:
            state = os.lstat(name, dir_fd=descriptor)
            if stat.S_ISDIR(state.st_mode) and state.st_mode & 0o700 != 0o700:
                os.chmod(name, 0o700, dir_fd=descriptor)
