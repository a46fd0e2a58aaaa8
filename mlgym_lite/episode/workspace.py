"""Copying files to and from folders an agent can write, without ever following a link it may have made.

Every component of a path is opened on its own, relative to the folder above it and with O_NOFOLLOW, so no link at any place
is followed whatever changes meanwhile; what is opened is then judged by its descriptor. O_NONBLOCK keeps a FIFO from holding
the engine up. `collect_artifacts` takes what is handed to the grader and refuses everything that is not a plain file;
`copy_tree` copies a whole workspace for a snapshot and leaves out what is not a file, folder or link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PIECE = 1 << 20
_NO_RANGES = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
"""What copy_file_range says where a file system or a container does not have it, or not across two of them."""
MOST_DEPTH = 200


class ArtifactRefused(Exception):
    """A declared artifact is missing or is not a plain file or folder; the text may be shown to the agent."""


@dataclass(frozen=True, kw_only=True)
class ArtifactLimits:
    """How much a submission may hold."""

    total_bytes: int = 4 << 30
    files: int = 10_000
    folders: int = 10_000
    depth: int = 32


@dataclass
class _Room:
    """What a submission may still take; one lives for one collection."""

    bytes_left: int
    files_left: int
    folders_left: int


def collect_artifacts(
    workspace: Path, names: Iterable[str], target: Path, limits: ArtifactLimits, left_out: Container[str] = ()
) -> None:
    """Copy the declared artifacts to the same paths below `target`, readable by all; raises ArtifactRefused.

    The name "." stands for everything in the workspace but what is `left_out`.
    """
    room = _Room(limits.total_bytes, limits.files, limits.folders)
    for name in _everything(workspace, left_out) if "." in (names := tuple(names)) else _outermost(names):
        parts = PurePosixPath(name).parts
        with _opened_folder(workspace, parts[:-1], name) as folder:
            place = target.joinpath(*parts[:-1])
            place.mkdir(parents=True, exist_ok=True)
            _collect(folder, parts[-1], place / parts[-1], name, room, limits.depth)
    for folder_path, _, _ in os.walk(target):
        os.chmod(folder_path, 0o755)


def _everything(workspace: Path, left_out: Container[str]) -> list[str]:
    with _opened_folder(workspace, (), ".") as folder:
        return sorted(name for name in os.listdir(folder) if name not in left_out)  # noqa: PTH208 - a descriptor


def _outermost(names: Iterable[str]) -> list[str]:
    """The names without those that lie in a folder which is named too."""
    paths = [PurePosixPath(name) for name in dict.fromkeys(names)]
    return [str(path) for path in paths if not any(other in path.parents for other in paths)]


@contextlib.contextmanager
def _opened_folder(top: Path, parts: tuple[str, ...], name: str) -> Iterator[int]:
    try:
        descriptor = os.open(top, FOLDER_FLAGS)
    except PermissionError as error:  # an agent can take the right to read it from itself, and so from an engine that is no root
        raise ArtifactRefused(f"{name}: the workspace cannot be read ({error.strerror})") from error
    try:
        for part in parts:
            inner = _open(part, FOLDER_FLAGS, descriptor, name)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _open(part: str, flags: int, folder: int, name: str) -> int:
    try:
        return os.open(part, flags, dir_fd=folder)
    except OSError as error:
        raise ArtifactRefused(f"{name}: {_reason(error, part, folder)}") from error


def _reason(error: OSError, part: str, folder: int) -> str:
    if error.errno == errno.ENOENT:
        return "missing"
    try:
        kind = _kind(os.lstat(part, dir_fd=folder).st_mode)
    except OSError:
        kind = "changed while it was read"
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
        return f"{kind}; only regular files are accepted"
    return f"cannot be read ({error.strerror})"


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISREG, "a file"),
    )
    return next((name for test, name in kinds if test(mode)), "a device")


def _collect(folder: int, part: str, target: Path, name: str, room: _Room, depth: int) -> None:
    descriptor = _open(part, _FILE_FLAGS, folder, name)
    try:
        state = os.fstat(descriptor)
        if stat.S_ISDIR(state.st_mode):
            _collect_folder(descriptor, target, name, room, depth)
        elif stat.S_ISREG(state.st_mode):
            _collect_file(descriptor, state, target, name, room)
        else:
            raise ArtifactRefused(f"{name}: {_kind(state.st_mode)}; only regular files are accepted")
    finally:
        os.close(descriptor)


def _collect_folder(descriptor: int, target: Path, name: str, room: _Room, depth: int) -> None:
    if depth == 0:
        raise ArtifactRefused(f"{name}: folders lie too deep in one another")
    room.folders_left -= 1
    if room.folders_left < 0:
        raise ArtifactRefused(f"{name}: too many folders in the submission")
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        raise _too_long(error, name) from error
    for part in sorted(os.listdir(descriptor)):
        _collect(descriptor, part, target / part, f"{name}/{part}", room, depth - 1)


def _collect_file(descriptor: int, state: os.stat_result, target: Path, name: str, room: _Room) -> None:
    if state.st_nlink != 1:
        raise ArtifactRefused(f"{name}: a hard link (it has {state.st_nlink} names); only files of one name are accepted")
    room.files_left -= 1
    if room.files_left < 0:
        raise ArtifactRefused(f"{name}: too many files in the submission")
    if state.st_size > room.bytes_left:
        raise ArtifactRefused(f"{name}: too large ({state.st_size} bytes; {room.bytes_left} are left for the submission)")
    try:
        out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _too_long(error, name) from error
    try:
        while piece := os.read(descriptor, _PIECE):
            room.bytes_left -= len(piece)
            if room.bytes_left < 0:
                raise ArtifactRefused(f"{name}: grew too large while it was read")
            _write_all(out, piece)
        os.fchmod(out, 0o644)
    finally:
        os.close(out)


def _too_long(error: OSError, name: str) -> Exception:
    """A path longer than the kernel takes is the submission's fault; any other error is what it is."""
    return ArtifactRefused(f"{name[:100]}…: its path is too long") if error.errno == errno.ENAMETOOLONG else error


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_small_file(folder: Path, name: str, most_bytes: int) -> bytes | None:
    """A plain file right below a folder others may write, or None where there is none; longer ones raise ValueError."""
    top = os.open(folder, FOLDER_FLAGS)
    try:
        descriptor = os.open(name, _FILE_FLAGS, dir_fd=top)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{name} is not a plain file ({error.strerror})") from error
    finally:
        os.close(top)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{name} is not a plain file")
    with open(descriptor, "rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"{name} is longer than {most_bytes} bytes")
    return data


def copy_tree(source: Path, target: Path, *, owner: int | None = None, without: frozenset[str] = frozenset()) -> None:
    """Copy files, folders and links (as links) below an existing folder `target`.

    `owner` becomes theirs where given; names in `without` are left out wherever they stand.
    """
    top = os.open(source, FOLDER_FLAGS)
    try:
        _copy_folder(top, target, owner, MOST_DEPTH, without)
    finally:
        os.close(top)
    if owner is not None:
        os.chown(target, owner, owner)


def _copy_folder(folder: int, target: Path, owner: int | None, depth: int, without: frozenset[str]) -> None:
    if depth == 0:
        raise OSError(errno.ENAMETOOLONG, "folders lie too deep in one another", str(target))
    for part in os.listdir(folder):
        if part in without:
            continue
        with contextlib.suppress(FileNotFoundError):  # what runs in the sandbox may remove files meanwhile
            _copy_entry(folder, part, target / part, owner, depth, without)


def _copy_entry(folder: int, part: str, place: Path, owner: int | None, depth: int, without: frozenset[str]) -> None:
    state = os.lstat(part, dir_fd=folder)
    if stat.S_ISLNK(state.st_mode):
        place.symlink_to(os.readlink(part, dir_fd=folder))
    elif stat.S_ISDIR(state.st_mode):
        inner = os.open(part, FOLDER_FLAGS, dir_fd=folder)
        try:
            place.mkdir()
            _copy_folder(inner, place, owner, depth - 1, without)
        finally:
            os.close(inner)
        place.chmod(state.st_mode & 0o777 | 0o700)
    elif stat.S_ISREG(state.st_mode):
        _copy_file(folder, part, place)
    else:
        return
    if owner is not None:
        os.chown(place, owner, owner, follow_symlinks=False)


def _copy_file(folder: int, part: str, place: Path) -> None:
    with open_file(folder, part) as (descriptor, state):
        copy_content(descriptor, place)
        place.chmod(state.st_mode & 0o777)
        os.utime(place, ns=(state.st_atime_ns, state.st_mtime_ns))


@contextlib.contextmanager
def open_file(folder: int, name: str) -> Iterator[tuple[int, os.stat_result]]:
    """A regular file right below an open folder, which others may change meanwhile: its descriptor and state.

    Raises OSError where it is no such file, FileNotFoundError where it is gone or something else by now.
    """
    descriptor = os.open(name, _FILE_FLAGS, dir_fd=folder)
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise FileNotFoundError(errno.ENOENT, "is no regular file any more", name)
        yield descriptor, state
    finally:
        os.close(descriptor)


def copy_content(source: int, place: Path | str) -> None:
    """Copy an open file to a new one; file systems that can share what is alike do so."""
    out = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            while os.copy_file_range(source, out, 1 << 30):
                pass
        except OSError as error:
            if error.errno not in _NO_RANGES:
                raise
            while os.sendfile(out, source, None, 1 << 30):
                pass
    finally:
        os.close(out)
