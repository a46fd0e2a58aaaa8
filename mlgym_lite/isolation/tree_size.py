"""How much of a disk folders take that an agent can write, counted while the agent may change them.

Every folder is opened by its name in the folder above it and no link is ever followed, so nothing but what lies in the
folders is counted. What takes up space is blocks: a sparse file counts for what it really holds, a file of several names
counts once, a folder counts too. A folder that denies its owner reading (chmod 000) is opened for a moment and given its
rights back. A file that is open in a process but has no name any more is counted through that process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK_BYTES = 512  # of st_blocks, whatever the file system's own are (stat(2))
MOST_DEPTH = 128
"""Folders deeper in one another than this are not looked into; a tree that has them counts as over its limit."""

_CHANGED_MEANWHILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)


@dataclass(frozen=True, kw_only=True)
class TreeSize:
    """What folders hold together."""

    bytes: int = 0
    files: int = 0
    """Files, folders and links."""
    is_too_deep: bool = False


@dataclass(kw_only=True)
class _Count:
    """One count on its way."""

    is_wanted: Callable[[], bool]
    bytes: int = 0
    files: int = 0
    is_too_deep: bool = False
    seen: set[tuple[int, int]] = field(default_factory=set)

    def add(self, state: os.stat_result) -> None:
        if state.st_nlink > 1 and not stat.S_ISDIR(state.st_mode):
            key = (state.st_dev, state.st_ino)
            if key in self.seen:
                return
            self.seen.add(key)
        self.files += 1
        self.bytes += state.st_blocks * _BLOCK_BYTES


def tree_size(folders: Iterable[int], is_wanted: Callable[[], bool] = lambda: True) -> TreeSize:
    """Count what lies below opened folders; ends early, with what it has, once `is_wanted` says no."""
    count = _Count(is_wanted=is_wanted)
    for folder in folders:
        _count_folder(folder, count, MOST_DEPTH)
    return TreeSize(bytes=count.bytes, files=count.files, is_too_deep=count.is_too_deep)


def nameless_bytes(folders: Iterable[int], processes: Iterable[int]) -> int:
    """What processes hold open, without a name any more, on the file systems of opened folders."""
    devices = {os.fstat(folder).st_dev for folder in folders}
    found: dict[tuple[int, int], int] = {}
    for process in processes:
        with contextlib.suppress(OSError), os.scandir(f"/proc/{process}/fd") as entries:  # it may have ended
            for entry in entries:
                with contextlib.suppress(OSError):
                    state = os.stat(entry.path)
                    if state.st_nlink == 0 and state.st_dev in devices:
                        found[state.st_dev, state.st_ino] = state.st_blocks * _BLOCK_BYTES
    return sum(found.values())


def _count_folder(folder: int, count: _Count, depth: int) -> None:
    with _Rights(folder) as rights:
        for name in _count_entries(folder, count, rights):
            if depth == 0 or not count.is_wanted():
                count.is_too_deep = count.is_too_deep or depth == 0
                return
            descriptor = _opened(folder, name)
            if descriptor is not None:
                try:
                    _count_folder(descriptor, count, depth - 1)
                finally:
                    os.close(descriptor)


def _count_entries(folder: int, count: _Count, rights: _Rights) -> list[str]:
    """Count what lies right in a folder; the names of the folders in it."""
    inner: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # it is gone meanwhile
                try:
                    state = entry.stat(follow_symlinks=False)
                except PermissionError:
                    rights.give()
                    state = os.lstat(entry.name, dir_fd=folder)
                count.add(state)
                if stat.S_ISDIR(state.st_mode):
                    inner.append(entry.name)
    return inner


class _Rights:
    """An opened folder's rights, which are as they were again at the end; names in it are looked up by them each time."""

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._mode: int | None = None

    def give(self) -> None:
        """Give ourselves the right to look up names."""
        mode = stat.S_IMODE(os.fstat(self._folder).st_mode)
        if self._mode is None:
            self._mode = mode
        os.fchmod(self._folder, mode | stat.S_IRUSR | stat.S_IXUSR)

    def __enter__(self) -> _Rights:
        return self

    def __exit__(self, *error: object) -> None:
        if self._mode is not None:
            with contextlib.suppress(OSError):
                os.fchmod(self._folder, self._mode)


def _opened(folder: int, name: str) -> int | None:
    """A folder in a folder; None where it is none any more."""
    try:
        return os.open(name, _FOLDER_FLAGS, dir_fd=folder)
    except PermissionError:
        return _opened_against_its_rights(folder, name)
    except OSError as error:
        if error.errno in _CHANGED_MEANWHILE:
            return None
        raise


def _opened_against_its_rights(folder: int, name: str) -> int | None:
    """Open a folder of our own that denies us reading; the kernel changes rights only through a name or an open file."""
    try:
        place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    path = f"/proc/self/fd/{place}"
    try:
        mode = stat.S_IMODE(os.fstat(place).st_mode)
        os.chmod(path, mode | stat.S_IRUSR | stat.S_IXUSR)
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.chmod(path, mode)
    except OSError:
        return None
    finally:
        os.close(place)
