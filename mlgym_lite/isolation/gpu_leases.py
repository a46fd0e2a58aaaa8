"""GPUs lent to one run at a time among the runs of a node, whoever's they are.

All leases of a node are byte-range locks on one file, one byte for each GPU (at a place that its UUID gives). They are locks
of an open file description (fcntl(2), F_OFD_SETLK), so a single descriptor carries all of a run's. A small process of its own
(`processes.Holder`) holds it as long as a pipe is open, whose other end is held by the engine and by whatever stands above its
sandboxes (bwrap by --sync-fd, or the supervisor); those outlive a killed engine until everything inside has ended. The
descriptor itself is not given to bwrap, because the agent can look into the descriptors of its sandbox's first process.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlgym_lite.errors import LimitError
from mlgym_lite.isolation.gpu_discovery import Gpu
from mlgym_lite.processes import Holder

VARIABLE = "MLGYM_LITE_GPU_LEASES"
_FOLDERS = (Path("/run/lock"), Path("/tmp"))
_NAME = "mlgym-lite-gpus"
_FLOCK = "hhqqi0q"  # struct flock
_REFUSED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "9p", "fuse.glusterfs"}


def lease_folder(environment: Mapping[str, str]) -> Path:
    """The node's folder of leases: every user must come to the same one, so it is chosen by what it is, not by who asks."""
    if named := environment.get(VARIABLE):
        return Path(named)
    shared = (folder for folder in _FOLDERS if folder.is_dir() and folder.stat().st_mode & 0o1002 == 0o1002)
    return next(shared, _FOLDERS[-1]) / _NAME


class GpuLease:
    """GPUs taken; whoever took them closes the lease after the last process that uses them."""

    def __init__(self, gpus: tuple[Gpu, ...], locks: int) -> None:
        """`locks` is the descriptor that carries the locks; it is closed here."""
        self.gpus = gpus
        self._holder = Holder(locks)
        os.close(locks)

    @property
    def descriptor(self) -> int:
        """Held beside a sandbox, it keeps the lease."""
        return self._holder.descriptor

    def close(self) -> None:
        """Let go, when every sandbox has ended; twice is harmless."""
        self._holder.close()


def take(gpus: Sequence[Gpu], count: int, folder: Path) -> GpuLease:
    """Take `count` of the GPUs, the first that are free, or none at all; raises LimitError where too few are free."""
    descriptor = _opened(folder)
    try:
        taken: list[Gpu] = []
        for gpu in gpus:
            if len(taken) < count and _lock(descriptor, gpu, folder):
                taken.append(gpu)
        if len(taken) < count:
            busy = [gpu.uuid for gpu in gpus if gpu not in taken]
            raise LimitError(
                f"{count} GPUs are wanted and {len(taken)} of {len(gpus)} are free: {', '.join(busy) or 'no other'} taken by "
                f"other runs on this node (leases in {folder}). Wait for one of them, or ask for fewer with --gpus"
            )
    except BaseException:
        os.close(descriptor)
        raise
    return GpuLease(tuple(taken), descriptor)


def is_free(gpu: Gpu, folder: Path) -> bool:
    """Whether a GPU is lent to no run, without taking it."""
    if not (folder / "leases").exists():
        return True
    descriptor = _opened(folder)
    try:
        return _lock(descriptor, gpu, folder)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, gpu: Gpu, folder: Path) -> bool:
    place = int.from_bytes(hashlib.sha256(gpu.uuid.encode("utf-8")).digest()[:7], "big")
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if error.errno in _REFUSED:
            raise LimitError(
                f"{folder}: its file system takes no locks ({error.strerror}), so GPUs cannot be shared out; name a folder on a "
                f"disk of this node with {VARIABLE}"
            ) from error
        raise
    return True


def _opened(folder: Path) -> int:
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o1777, exist_ok=True)
            folder.chmod(0o1777)
        _check(folder)
        return _opened_file(folder / "leases")
    except OSError as error:
        raise LimitError(
            f"{folder}: leases of GPUs cannot be kept there: {error.strerror or error}; name another folder of this node that "
            f"all its users can write with {VARIABLE}"
        ) from error


def _check(folder: Path) -> None:
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "it is a link")
    if state.st_uid not in (0, os.geteuid()) and not state.st_mode & stat.S_ISVTX:
        raise PermissionError(errno.EPERM, "it belongs to another user, who could replace what is in it")
    kind = _file_system(folder)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise OSError(errno.EREMOTE, f"it is on a network file system ({kind}), and leases are a node's own")


def _file_system(folder: Path) -> str:
    """The kind of the file system a folder is on, by the longest mount point above it."""
    place, found, kind = os.path.realpath(folder), "", ""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].encode("ascii", "surrogateescape").decode("unicode_escape")
        if (place == point or place.startswith(point.rstrip("/") + "/")) and len(point) >= len(found):
            found, kind = point, after.split(" ")[0]
    return kind


def _opened_file(path: Path) -> int:
    """Open the file of locks, made at the first time; opening another user's with O_CREAT is refused in shared folders."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return os.open(path, flags)
    os.fchmod(descriptor, 0o666)
    return descriptor
