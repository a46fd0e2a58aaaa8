"""What killed runs left behind: found by name, owner and mark, told, and removed when asked for.

The kernel ends a killed engine's sandboxes and gives back its locks; what can be left are files, and control groups where
the keeper was killed too. A thing is a leftover only if it has the name we give such things, belongs to this user, and its
mark (`isolation.marked_folders`) or its process tells that nobody uses it. Where nobody can tell it is listed and kept. A
run directory is never removed: its record is what a killed run tells; only what the engine needed for itself goes.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlgym_lite.config.places import Places
from mlgym_lite.episode.data_staging import staging_folder
from mlgym_lite.episode.recorder import MARK, STEPS_RECORD
from mlgym_lite.isolation.marked_folders import LOCK_NAME, TEMPORARY_PREFIX, Mark, mark_of, mark_taken, remove_free_lock
from mlgym_lite.isolation.removal import remove_tree
from mlgym_lite.isolation.root_start import USERS_FOLDER
from mlgym_lite.isolation.tree_size import tree_size

_PART = re.compile(r".+\.part-[a-z0-9_]{8}")
_GROUP = re.compile(r"mlgym-lite-(\d+)-\d+")
_GROUPS_FOLDER = Path("/sys/fs/cgroup")
_PART_FOLDERS = ("environments", "toolkits", "readable", "mini")
_ENGINES_OWN = re.compile(r"venv|grading|snapshots|validation-\d+")


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """One thing that a killed run left."""

    kind: str
    path: Path
    bytes: int
    removable: bool
    """False where nobody can tell whether it is in use; it is kept."""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What became of one leftover."""

    leftover: Leftover
    problem: str = ""
    """Why it is still there; empty when it is gone."""


def find_leftovers(places: Places, runs: Sequence[Path]) -> list[Leftover]:
    """Everything of this user's that is left in the cache, the data folder, `runs`, the temporary files and the kernel."""
    found: list[Leftover] = []
    for name in _PART_FOLDERS:
        found += _parts(places.cache / name)
    found += _parts(places.data)
    if places.local_disk is not None:
        found += _parts(staging_folder(places.local_disk))
    found += _locks(places.cache / "environments", "*.lock")
    for name in ("mini", "partial"):
        found += _locks(places.cache / name, "*.lock")
    found += _baselines(places.cache / "baselines")
    found += _temporary(Path(tempfile.gettempdir()))
    if os.geteuid() == 0:
        found += _locks(USERS_FOLDER, "[0-9]*")
    found += _groups()
    for folder in runs:
        found += _runs(folder)
    return found


def _entries(folder: Path, wanted: Callable[[os.stat_result], bool]) -> Iterator[Path]:
    """What lies in a folder, belongs to this user, and is of the wanted kind; links are of no kind."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        try:
            state = path.lstat()
        except OSError:
            continue
        if state.st_uid == os.geteuid() and wanted(state):
            yield path


def _folders(folder: Path) -> Iterator[Path]:
    return _entries(folder, lambda state: stat.S_ISDIR(state.st_mode))


def _files(folder: Path) -> Iterator[Path]:
    return _entries(folder, lambda state: stat.S_ISREG(state.st_mode))


def _parts(folder: Path) -> Iterator[Leftover]:
    for path in _folders(folder):
        if _PART.fullmatch(path.name):
            yield from _marked("half-made folder", path, mark_of(path))


def _marked(kind: str, path: Path, mark: Mark, size_of: Iterable[Path] = ()) -> Iterator[Leftover]:
    if mark == "held":
        return
    known = mark == "free"
    detail = "" if known else "kept: nobody can tell whether it is in use (its mark is missing or its file system has no locks)"
    yield Leftover(kind=kind, path=path, bytes=_size(size_of or (path,)), removable=known, detail=detail)


def _size(paths: Iterable[Path]) -> int:
    total = 0
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            total += tree_size([descriptor]).bytes
        finally:
            os.close(descriptor)
    return total


def _locks(folder: Path, pattern: str) -> Iterator[Leftover]:
    for path in _files(folder):
        if path.match(pattern) and mark_of(path) == "free":
            yield Leftover(kind="lock file", path=path, bytes=0, removable=True)


def _baselines(folder: Path) -> Iterator[Leftover]:
    for path in _files(folder):
        found = re.fullmatch(r".+\.(\d+)\.part", path.name)
        if found and not _is_alive(int(found[1])):
            yield Leftover(kind="half-written baseline", path=path, bytes=path.stat().st_size, removable=True)


def _temporary(folder: Path) -> Iterator[Leftover]:
    for path in _folders(folder):
        if path.name.startswith(TEMPORARY_PREFIX):
            yield from _marked("temporary folder", path, mark_of(path / LOCK_NAME))


def _groups() -> Iterator[Leftover]:
    """Control groups of engines that are gone; one that is not empty cannot be removed and is told."""
    for parent, folders, _ in os.walk(_GROUPS_FOLDER, followlinks=False):
        for name in [*folders]:
            path = Path(parent, name)
            found = _GROUP.fullmatch(name)
            if found is None:
                continue
            folders.remove(name)
            if _is_ours(path) and not _is_alive(int(found[1])):
                busy = bool(_text(path / "cgroup.procs"))
                yield Leftover(
                    kind="control group",
                    path=path,
                    bytes=0,
                    removable=not busy,
                    detail="kept: processes are in it" if busy else "",
                )


def _is_ours(path: Path) -> bool:
    try:
        return os.lstat(path).st_uid == os.geteuid()
    except OSError:
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def _is_alive(process_id: int) -> bool:
    return Path(f"/proc/{process_id}").exists()


def _runs(folder: Path) -> Iterator[Leftover]:
    """What engines that were killed needed for themselves in their run directories."""
    for run in _folders(folder):
        if (run / STEPS_RECORD).is_file():  # of a task of several steps, each with a run directory
            yield from _runs(run)
        if not (run / "run.json").is_file() or (run / "result.json").exists():
            continue
        parts = _parts_of_run(run)
        if parts:
            for leftover in _marked("killed run", run, mark_of(run / MARK), parts):
                names = ", ".join(f".state/{part.name}" for part in parts)
                detail = (
                    leftover.detail or f"its record is kept; {names} can go, but then `mlgym-lite resume` cannot go on with it"
                )
                yield Leftover(kind=leftover.kind, path=run, bytes=leftover.bytes, removable=leftover.removable, detail=detail)


def _parts_of_run(run: Path) -> list[Path]:
    state = run / ".state"
    try:
        inside = sorted(state.iterdir()) if _is_ours(state) and not state.is_symlink() else []
    except OSError:
        return []
    return [path for path in inside if _ENGINES_OWN.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]


def remove(leftover: Leftover) -> Removal:
    """Remove one leftover, once more only if nobody uses it by now."""
    try:
        _remove(leftover)
    except FileNotFoundError:  # another one was quicker
        return Removal(leftover=leftover)
    except OSError as error:
        return Removal(leftover=leftover, problem=error.strerror or str(error))
    return Removal(leftover=leftover)


def _remove(leftover: Leftover) -> None:
    path = leftover.path
    if leftover.kind == "lock file":
        remove_free_lock(path)
    elif leftover.kind == "half-written baseline":
        path.unlink(missing_ok=True)
    elif leftover.kind == "control group":
        path.rmdir()
    elif leftover.kind == "killed run":
        _remove_marked(path / MARK, _parts_of_run(path))
    else:
        _remove_marked(path if leftover.kind == "half-made folder" else path / LOCK_NAME, [path])


def _remove_marked(mark: Path, folders: Iterable[Path]) -> None:
    with mark_taken(mark) as state:
        if state == "free":
            for folder in folders:
                remove_tree(folder)
