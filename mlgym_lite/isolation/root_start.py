"""Running sandboxes as an ordinary user although the engine was started by root.

bubblewrap started by root keeps powers over the host (it could write /proc/sys), so a root engine takes an ordinary user
id of its own for each sandbox and drops to it before bubblewrap starts. Ids come from systemd's documented range for
transient users; a lock on a file in /run/mlgym-lite keeps two runs from sharing one and frees itself when a run dies.

That ordinary user cannot reach an interpreter or checkout under /root. So the launcher thread gets a mount namespace of
its own (unshare(2) is per thread), binds what only root can reach into a readable staging folder there, and starts
bubblewrap from that thread. Nothing of this shows on the host, and it ends with the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import pwd
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlgym_lite.errors import IsolationError

_STATE_FOLDER = Path("/run/mlgym-lite")
USERS_FOLDER = _STATE_FOLDER / "users"
_TRANSIENT_USER_IDS = range(61184, 65520)  # https://systemd.io/UIDS-GIDS/, "Dynamic User"

_CLONE_NEWNS = 0x00020000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_SLAVE = 0x2, 0x4, 0x1000, 0x4000, 0x80000
_MNT_DETACH = 2


@dataclass(kw_only=True)
class OwnUser:
    """The user the engine itself runs as, when that is not root."""

    user_id: int

    def close(self) -> None:
        """Nothing to give back."""


class TransientUser:
    """An ordinary user id that no other run on this host holds; its owner closes it after the last of its processes."""

    def __init__(self) -> None:
        self._lock_descriptor, self.user_id = _take_free_user_id()

    def close(self) -> None:
        """Give the id back."""
        if self._lock_descriptor >= 0:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1


def _take_free_user_id() -> tuple[int, int]:
    folder = USERS_FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    for user_id in _TRANSIENT_USER_IDS:
        descriptor = os.open(folder / str(user_id), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        except OSError as error:
            os.close(descriptor)
            raise IsolationError(
                f"{folder}: its file system refuses the locks that keep two runs from sharing a user id ({error.strerror}): "
                "mount a file system of this host at /run, or run as an ordinary user"
            ) from error
        if _is_unused(user_id) and _is_still_there(descriptor, folder / str(user_id)):
            return descriptor, user_id
        os.close(descriptor)
    raise IsolationError(
        f"started by root, and every user id from {_TRANSIENT_USER_IDS.start} to {_TRANSIENT_USER_IDS.stop - 1} is "
        f"taken (locks in {folder}): end other runs, or run as an ordinary user"
    )


def _is_still_there(descriptor: int, path: Path) -> bool:
    """Whether an opened lock file was not cleaned up meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    return False


def _is_unused(user_id: int) -> bool:
    with contextlib.suppress(KeyError):
        pwd.getpwuid(user_id)
        return False
    return True


def is_reachable_by_others(path: Path) -> bool:
    """Whether a user who owns nothing and is in no group can open `path` (each folder above included)."""
    for folder in path.parents:
        if not os.stat(folder).st_mode & stat.S_IXOTH:
            return False
    mode = os.stat(path).st_mode
    wanted = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return mode & wanted == wanted


def first_unreadable(folder: Path) -> Path | None:
    """The first file or folder in a tree that an ordinary user may not read, or None."""
    if not _readable(folder):
        return folder
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if not path.is_symlink() and not _readable(path):
                return path
    return None


def _readable(path: Path) -> bool:
    mode = path.stat().st_mode
    return bool(mode & stat.S_IROTH) and (not stat.S_ISDIR(mode) or bool(mode & stat.S_IXOTH))


class StagingArea:
    """A place in the calling thread's own mount namespace where paths only root can reach are bound for a moment.

    Made and used on the launcher thread only.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.folder = _STATE_FOLDER / "stage"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        try:
            self._check(self._libc.unshare(_CLONE_NEWNS), "unshare a mount namespace")
            self._mount(b"none", b"/", b"", _MS_REC | _MS_SLAVE)
            self._mount(b"tmpfs", os.fsencode(self.folder), b"tmpfs", _MS_NOSUID | _MS_NODEV, b"mode=755,size=1m")
        except OSError as error:
            raise IsolationError(
                f"started by root without the right to mount ({error}): what lies under a folder that only root can "
                "enter cannot be shown to a sandbox; run as an ordinary user, or put the interpreter, the checkout and "
                "the output where other users can read them"
            ) from error

    @contextlib.contextmanager
    def bound(self, sources: Sequence[Path]) -> Iterator[dict[Path, Path]]:
        """Bind each source below the staging folder; the value maps a source to its readable place."""
        places: dict[Path, Path] = {}
        try:
            for number, source in enumerate(dict.fromkeys(sources)):
                # A place is never removed: that would take the mount away in the sandbox's copy of the namespace too.
                place = self.folder / f"{'folder' if source.is_dir() else 'file'}-{number}"
                if source.is_dir():
                    place.mkdir(exist_ok=True)
                else:
                    place.touch()
                self._mount(os.fsencode(source), os.fsencode(place), b"", _MS_BIND | _MS_REC)
                places[source] = place
            yield places
        finally:
            for place in places.values():
                self._libc.umount2(os.fsencode(place), _MNT_DETACH)

    def _mount(self, source: bytes, target: bytes, kind: bytes, flags: int, data: bytes | None = None) -> None:
        status = self._libc.mount(source, target, kind or None, ctypes.c_ulong(flags), data)
        self._check(status, f"mount {os.fsdecode(source)} at {os.fsdecode(target)}")

    @staticmethod
    def _check(status: int, what: str) -> None:
        if status != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {errno.errorcode.get(number, number)}")


_per_thread = threading.local()


def staging_area() -> StagingArea:
    """The calling thread's staging area, made at the first call."""
    area: StagingArea | None = getattr(_per_thread, "area", None)
    if area is None:
        area = _per_thread.area = StagingArea()
    return area
