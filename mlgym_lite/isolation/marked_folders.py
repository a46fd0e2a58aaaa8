"""Folders that are in use for a while, marked so that what a killed process left can be told from what a live one uses.

The mark is a lock of the kernel's (flock) that goes with its process, however that ends: on the folder itself while something
is made aside in it, and on the file `lock` in a temporary folder or `engine.lock` in a run. Some network file systems refuse
such locks; then nobody can tell, and `mark_of` says so.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

logger = logging.getLogger(__name__)

Mark = Literal["held", "free", "unknown"]
TEMPORARY_PREFIX = f"mlgym-lite-{os.getuid()}-"
LOCK_NAME = "lock"


@contextlib.contextmanager
def aside_folder(final: Path) -> Iterator[Path]:
    """A new folder beside the place it is to be moved to; what was not moved is removed at the end."""
    while True:
        aside = Path(tempfile.mkdtemp(prefix=f"{final.name}.part-", dir=final.parent))
        descriptor = os.open(aside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if take(descriptor, aside) and aside.is_dir():  # else it is cleaned up before it was marked
            break
        os.close(descriptor)
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        os.close(descriptor)


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """A new folder in the folder for temporary files, removed at the end; the mark is in it."""
    folder, mark = make_temporary_folder(purpose)
    try:
        yield folder
    finally:
        os.close(mark)
        shutil.rmtree(folder, ignore_errors=True)


def make_temporary_folder(purpose: str) -> tuple[Path, int]:
    """The same for who cannot use a `with`; the descriptor holds the mark, and both are the caller's to give back."""
    folder = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}{purpose}-"))
    return folder, _mark(folder / LOCK_NAME)


@contextlib.contextmanager
def marked(path: Path, *, alone: bool = False) -> Iterator[None]:
    """Hold a mark in a file of its own, which stays; with `alone`, raises BlockingIOError where another process holds it."""
    descriptor = _mark(path, alone=alone)
    try:
        yield
    finally:
        os.close(descriptor)


def _mark(path: Path, *, alone: bool = False) -> int:
    """Make a mark in a file of its own; it is held as long as the descriptor is open."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if not take(descriptor, path) and alone:
        os.close(descriptor)
        raise BlockingIOError(errno.EWOULDBLOCK, "another process holds its mark", str(path))
    return descriptor


def take(descriptor: int, path: Path) -> bool:
    """Mark what is opened as in use; false where another holds it. Where locks are refused, work goes on without."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        logger.info("no lock on %s (%s): `mlgym-lite gc` will not clean up after this process there", path, error.strerror)
    return True


@contextlib.contextmanager
def mark_taken(path: Path) -> Iterator[Mark]:
    """Whether a live process holds the mark on a file or folder; where none does ("free"), it is ours within."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield "unknown"
        return
    try:
        yield _state(descriptor)
    finally:
        os.close(descriptor)


def _state(descriptor: int) -> Mark:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "held"
    except OSError:
        return "unknown"
    return "free"


def mark_of(path: Path) -> Mark:
    """Whether a live process holds the mark on a file or folder; it is not kept."""
    with mark_taken(path) as mark:
        return mark


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Wait until no other process is in the same section, which a file of its own stands for.

    Where the file system refuses locks nobody waits: what is done within must stand being done twice.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            logger.warning("no lock on %s (%s): another process may do the same work at the same time", path, error.strerror)
            break
        except BaseException:
            os.close(descriptor)
            raise
        if _is_at(descriptor, path):
            break
        os.close(descriptor)  # cleaned up while we waited
    try:
        yield
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def remove_free_lock(path: Path) -> None:
    """Remove a lock file, unless somebody holds it."""
    with mark_taken(path) as mark:
        if mark == "free":
            path.unlink(missing_ok=True)
