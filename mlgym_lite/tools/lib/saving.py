"""Replacing a file's content in one step, so that nobody ever sees half of it.

The new content is written to a file beside the old one, gets its permission bits and takes its place. Whatever goes
wrong before that, a full disk for instance, leaves the old file as it was and nothing beside it.
"""

# ruff: noqa: PTH108, PTH118, PTH120
from __future__ import annotations

import os
import stat

from .messages import Refusal, visible

ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def refuse_read_only(path: str) -> None:
    """Raise Refusal when the file's permissions, or its file system, forbid changing it; root is no exception."""
    if not os.access(path, os.W_OK) or not os.stat(path).st_mode & ANY_WRITE:
        raise Refusal(f"Error: {visible(path)} is read-only and was not changed.")


def replace(path: str, content: bytes) -> None:
    """Put the content in the file's place, mode bits kept; raises Refusal when that is impossible."""
    folder = os.path.dirname(path)
    aside = os.path.join(folder, f".mlgym_lite_{os.getpid()}_{os.urandom(4).hex()}")
    try:
        _write_beside(path, aside, content)
        os.replace(aside, path)
    except OSError as error:
        if os.path.lexists(aside):
            os.unlink(aside)
        raise Refusal(f"Error: {visible(path)} was not changed; {error.strerror}, in {visible(folder)}.") from error


def _write_beside(path: str, aside: str, content: bytes) -> None:
    mode = stat.S_IMODE(os.stat(path).st_mode)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(descriptor, mode)
