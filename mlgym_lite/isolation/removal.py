"""Removing folders in which an agent may have left anything: links are not followed, denied rights are given back first.

However deep folders lie in one another, no path gets longer and nothing recurses: what lies in a folder is moved up to the top
before the folder goes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(folder: Path) -> None:
    """Remove a folder that no process uses any more; raises OSError with what cannot be removed."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(folder).st_mode):
            os.chmod(folder, 0o700)
        top = os.open(folder, _FOLDER_FLAGS)
        try:
            _empty(top)
        finally:
            os.close(top)
        folder.rmdir()


def _empty(top: int) -> None:
    token, number = secrets.token_hex(8), 0
    while names := os.listdir(top):
        for name in names:
            if _is_unlinked(name, top):
                continue
            inner = os.open(name, _FOLDER_FLAGS, dir_fd=top)
            try:
                for child in os.listdir(inner):  # noqa: PTH208
                    if not _is_unlinked(child, inner):
                        number += 1
                        os.rename(child, f"{token}-{number}", src_dir_fd=inner, dst_dir_fd=top)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)


def _is_unlinked(name: str, folder: int) -> bool:
    """Remove what is no folder; a folder of ours gets its rights back and stays."""
    if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
        os.unlink(name, dir_fd=folder)
        return True
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)
    finally:
        os.close(place)
    return False
