"""What the host's file systems can do to make copies quick, tried on files of a moment."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from pathlib import Path

from mlgym_lite.isolation.marked_folders import temporary_folder
from mlgym_lite.isolation.removal import remove_tree
from mlgym_lite.processes import run_program

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_OVERLAY = 'mkdir "$1"/lower "$1"/upper "$1"/work "$1"/all && mount -t overlay -o '
_OVERLAY += '"lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work,userxattr" overlay "$1"/all'


def can_reflink(folder: Path) -> bool:
    """Whether two files on a folder's file system can share their blocks until one changes."""
    try:
        with tempfile.TemporaryFile(dir=folder) as source, tempfile.TemporaryFile(dir=folder) as target:
            source.write(b"x" * 4096)
            source.flush()
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except OSError:
        return False
    return True


def can_overlay() -> bool:
    """Whether an ordinary user may mount an overlay in namespaces of their own."""
    program = shutil.which("unshare")
    if program is None:
        return False
    with temporary_folder("overlay") as folder:
        command = [program, "--user", "--map-root-user", "--mount", "sh", "-c", _OVERLAY, "sh", str(folder)]
        try:
            return run_program(command, timeout_seconds=30).status == 0
        except (OSError, TimeoutError):
            return False
        finally:
            remove_tree(folder / "work")  # in which an overlay leaves a folder that denies its owner everything
