"""A copy of a task's data on this node's own disk, where the data folder is shared by many nodes and slow.

The first episode on a node that needs the data copies it, the others wait for it; the copy stays for later ones. It is named
after its manifest, so that data which is prepared anew is copied anew. Staging only saves time: where it fails, the episode
says why and reads the data from where it is.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from mlgym_lite.config.data_folder import MANIFEST, DataTrees, check_sizes, file_sha256, read_manifest, trees_in
from mlgym_lite.config.places import Places
from mlgym_lite.episode.environments import Progress
from mlgym_lite.errors import DataError
from mlgym_lite.isolation.marked_folders import aside_folder, one_at_a_time
from mlgym_lite.isolation.toolkit import reason_of

_SPARE_BYTES = 64 << 20


def stage_data(name: str, data: DataTrees, places: Places, on_progress: Progress | None) -> DataTrees:
    """The trees on the node's own disk, where `places` names one; `name` is the task's."""
    tree = data.agent or data.judge
    if places.local_disk is None or tree is None or not (tree.parent / MANIFEST).is_file():
        return data
    tell = on_progress or (lambda _: None)
    try:
        return trees_in(_staged(name, tree.parent, places.local_disk, tell))
    except (OSError, DataError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        tell(f"{name}: its data is read from {tree.parent}, for it cannot be copied to {places.local_disk}: {reason}")
        return data


def staging_folder(local_disk: Path) -> Path:
    """This user's folder on a node's own disk."""
    return local_disk / f"mlgym-lite-data-{os.geteuid()}"


def _staged(name: str, source: Path, disk: Path, tell: Progress) -> Path:
    folder = _own(staging_folder(disk)) / f"{name}-{file_sha256(source / MANIFEST)[:24]}"
    with one_at_a_time(Path(f"{folder}.lock")):
        if not _is_whole(folder):
            size = sum(int(entry["bytes"]) for entry in read_manifest(source).values())
            free = shutil.disk_usage(folder.parent).free
            if free < size + _SPARE_BYTES:
                raise DataError(f"it has {size >> 20} MiB, and only {free >> 20} MiB are free")
            tell(f"{name}: copying its data ({size >> 20} MiB) to {folder}, once for this node")
            _copy(source, folder)
    return folder


def _own(folder: Path) -> Path:
    """Make the folder that nobody else may change; raises DataError where somebody else was quicker."""
    folder.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise DataError(f"{folder} is not this user's alone")
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether every file is there, which those who clean up temporary folders may have seen otherwise."""
    try:
        check_sizes(folder)
    except DataError:
        return False
    return True


def _copy(source: Path, folder: Path) -> None:
    with aside_folder(folder) as aside:
        shutil.copytree(source, aside, dirs_exist_ok=True)
        check_sizes(aside)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(aside, folder)
