"""States of what an agent can write, kept so that taking one, or going back to one, costs what has changed and not what there is.

The content of each file is kept once, as a blob that no sandbox can reach. A state names the blobs; folders in which nothing
has changed since the last state are shared by both. What has changed is told by a file's number, size and times of content and
state (mtime, ctime): an agent cannot set the latter. A file that was written so shortly before a look that a later write might
have the same times is not trusted, and is copied again by the next one. A blob goes when no state names it any more.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlgym_lite.episode.workspace import FOLDER_FLAGS, MOST_DEPTH, copy_content, open_file
from mlgym_lite.isolation.removal import remove_tree

_CLOCK_TICK_NANOSECONDS = 20_000_000
"""More than the coarsest clock of file times advances at once (10 ms, where the kernel ticks a hundred times a second)."""

_Mark = tuple[int, int, int, int]


class Blob:
    """The content of one file; the file goes with the last reference to it in the process that made it."""

    __slots__ = ("_process_id", "path")

    def __init__(self, path: str, process_id: int) -> None:
        self.path = path
        self._process_id = process_id

    def __del__(self) -> None:
        if self._process_id == os.getpid():
            with contextlib.suppress(OSError):
                os.unlink(self.path)  # noqa: PTH108 - there may be ten thousand, as texts

    def __reduce__(self) -> tuple[type[Blob], tuple[str, int]]:
        """A copy in another process, or a deep copy, borrows the file."""
        return (Blob, (self.path, 0))


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A regular file."""

    blob: Blob
    mode: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class KeptLink:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True)
class KeptFolder:
    """A folder with what lies in it, by name."""

    mode: int
    entries: Mapping[str, Kept]


Kept = KeptFile | KeptLink | KeptFolder


@dataclass(slots=True)
class _Seen:
    """A folder as it was looked at last: its state, and the marks of files that can be trusted to have not changed since."""

    kept: KeptFolder
    marks: dict[str, _Mark] = field(default_factory=dict)
    folders: dict[str, _Seen] = field(default_factory=dict)


class KeptStates:
    """The states of one episode's trees. `owner` is the sandbox's user where the engine is root."""

    def __init__(self, folder: Path, owner: int | None) -> None:
        """`folder` holds the blobs; it is made when it is needed."""
        self._folder = folder
        self._owner = owner
        self._numbers = itertools.count(1)
        self._seen: dict[Path, _Seen] = {}

    def take(self, tree: Path) -> KeptFolder:
        """The state of a tree as it is; raises OSError. The agent may go on changing it meanwhile."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        top = os.open(tree, FOLDER_FLAGS)
        try:
            seen = self._look(top, self._seen.get(tree), MOST_DEPTH, time.time_ns())
        finally:
            os.close(top)
        self._seen[tree] = seen
        return seen.kept

    def put(self, kept: KeptFolder, tree: Path) -> None:
        """Make an existing tree what a state says; nothing may run that could change it meanwhile. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        seen = self._sync(kept, str(tree), self._seen.get(tree))
        _distrust(seen, time.time_ns())
        if self._owner is not None:
            os.chown(tree, self._owner, self._owner)
        self._seen[tree] = seen

    def _look(self, folder: int, before: _Seen | None, depth: int, now: int) -> _Seen:
        if depth == 0:
            raise OSError(errno.ENAMETOOLONG, "folders lie too deep in one another")
        entries: dict[str, Kept] = {}
        seen = _Seen(KeptFolder(stat.S_IMODE(os.fstat(folder).st_mode) & 0o777, entries))
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # what runs in the sandbox may remove files meanwhile
                state = os.lstat(name, dir_fd=folder)
                if stat.S_ISLNK(state.st_mode):
                    entries[name] = KeptLink(os.readlink(name, dir_fd=folder))
                elif stat.S_ISDIR(state.st_mode):
                    inner = os.open(name, FOLDER_FLAGS, dir_fd=folder)
                    try:
                        child = self._look(inner, before.folders.get(name) if before else None, depth - 1, now)
                    finally:
                        os.close(inner)
                    seen.folders[name], entries[name] = child, child.kept
                elif stat.S_ISREG(state.st_mode):
                    known = _unchanged(before, name, state)
                    entries[name] = known or self._keep(folder, name)
                    if known or state.st_ctime_ns < now - _CLOCK_TICK_NANOSECONDS:
                        seen.marks[name] = _mark(state)
        if before is not None and _is_same(before.kept, seen.kept):
            seen.kept = before.kept
        return seen

    def _keep(self, folder: int, name: str) -> KeptFile:
        with open_file(folder, name) as (descriptor, state):
            blob = self._new_blob()
            copy_content(descriptor, blob.path)
        return KeptFile(blob, stat.S_IMODE(state.st_mode) & 0o777, state.st_mtime_ns)

    def _new_blob(self) -> Blob:
        return Blob(f"{self._folder}/{next(self._numbers)}", os.getpid())

    def _sync(self, kept: KeptFolder, place: str, before: _Seen | None) -> _Seen:
        os.chmod(place, 0o700)
        entries: dict[str, Kept] = {}
        seen = _Seen(KeptFolder(kept.mode, entries))
        there = set(os.listdir(place))  # noqa: PTH208 - names
        for name in there - kept.entries.keys():
            _remove(f"{place}/{name}", os.lstat(f"{place}/{name}"))
        for name, wanted in kept.entries.items():
            path = f"{place}/{name}"
            state = os.lstat(path) if name in there else None
            if isinstance(wanted, KeptFolder):
                self._make_folder(path, state)
                child = self._sync(wanted, path, before.folders.get(name) if before else None)
                seen.folders[name], entries[name] = child, child.kept
            elif isinstance(wanted, KeptLink):
                self._make_link(path, state, wanted)
                entries[name] = wanted
            else:
                known = _unchanged(before, name, state)
                if known is wanted and state is not None:
                    entries[name], seen.marks[name] = known, _mark(state)
                else:
                    entries[name] = self._own(wanted)
                    seen.marks[name] = _mark(self._make_file(path, state, wanted))
        os.chmod(place, kept.mode | 0o700)
        seen.kept = kept if _is_same(kept, seen.kept) else seen.kept
        return seen

    def _make_folder(self, path: str, state: os.stat_result | None) -> None:
        if state is not None and stat.S_ISDIR(state.st_mode):
            return
        _remove(path, state)
        os.mkdir(path)  # noqa: PTH102 - texts
        self._give(path)

    def _make_link(self, path: str, state: os.stat_result | None, wanted: KeptLink) -> None:
        if state is not None and stat.S_ISLNK(state.st_mode) and os.readlink(path) == wanted.target:
            return
        _remove(path, state)
        os.symlink(wanted.target, path)  # noqa: PTH211 - texts
        self._give(path)

    def _make_file(self, path: str, state: os.stat_result | None, wanted: KeptFile) -> os.stat_result:
        _remove(path, state)
        source = os.open(wanted.blob.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            copy_content(source, path)
        finally:
            os.close(source)
        self._give(path)
        os.chmod(path, wanted.mode)
        os.utime(path, ns=(wanted.mtime_ns, wanted.mtime_ns))
        return os.lstat(path)

    def _give(self, path: str) -> None:
        if self._owner is not None:
            os.chown(path, self._owner, self._owner, follow_symlinks=False)

    def _own(self, kept: KeptFile) -> KeptFile:
        """A file of another episode's state, with a blob of this one's, so that neither needs the other's run directory."""
        if os.path.dirname(kept.blob.path) == str(self._folder):  # noqa: PTH120 - texts
            return kept
        blob = self._new_blob()
        try:
            os.link(kept.blob.path, blob.path)
        except OSError:
            shutil.copyfile(kept.blob.path, blob.path)
        return KeptFile(blob, kept.mode, kept.mtime_ns)


def _mark(state: os.stat_result) -> _Mark:
    return (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _unchanged(before: _Seen | None, name: str, state: os.stat_result | None) -> KeptFile | None:
    """The file as it was kept last, where it is still the same."""
    if before is None or state is None or not stat.S_ISREG(state.st_mode) or before.marks.get(name) != _mark(state):
        return None
    kept = before.kept.entries.get(name)
    return kept if isinstance(kept, KeptFile) else None


def _distrust(seen: _Seen, now: int) -> None:
    """Forget the marks of files that were made just now."""
    newest = now - _CLOCK_TICK_NANOSECONDS
    seen.marks = {name: mark for name, mark in seen.marks.items() if mark[3] < newest}
    for child in seen.folders.values():
        _distrust(child, now)


def _is_same(one: KeptFolder, other: KeptFolder) -> bool:
    """Whether two states of a folder name the same things; of what they share, only the names are compared."""
    if one.mode != other.mode or one.entries.keys() != other.entries.keys():
        return False
    return all(entry is other.entries[name] or _is_same_link(entry, other.entries[name]) for name, entry in one.entries.items())


def _is_same_link(one: object, other: object) -> bool:
    return isinstance(one, KeptLink) and one == other


def _remove(path: str, state: os.stat_result | None) -> None:
    """Remove what was found there, if anything was."""
    if state is None:
        return
    if stat.S_ISDIR(state.st_mode):
        remove_tree(Path(path))
    else:
        os.unlink(path)  # noqa: PTH108 - texts
