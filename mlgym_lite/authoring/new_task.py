"""Making a new task: a folder that is complete and passes its check at once, to be changed into what one wants.

The folders of skeletons/ are copied as they are, except for the task's name in their texts. A task is written beside its
place and moved there, so that a folder is either whole or not there, and nothing that exists is touched.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlgym_lite.errors import OutputError, TaskError
from mlgym_lite.isolation.marked_folders import aside_folder
from mlgym_lite.shipped_files import shipped_task_names

Kind = Literal["table", "player"]

_SKELETONS = Path(__file__).resolve().parent / "skeletons"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST_NAME = 50
_PLACEHOLDER = "TASK_NAME"


@dataclass(frozen=True, kw_only=True)
class NewTask:
    """A task that was made."""

    name: str
    folder: Path
    kind: Kind
    files: tuple[str, ...]
    """Relative to the folder."""


def new_task(name: str, *, within: Path, kind: Kind = "table") -> NewTask:
    """Make a task folder; raises TaskError for a name that is none, OutputError where the folder cannot be made."""
    _check_name(name)
    folder = within / name
    if not within.is_dir():
        raise OutputError(f"{within}: no such folder; expected the one in which {name} is to be made")
    if os.path.lexists(folder):
        raise OutputError(f"{folder}: is there already and is left as it is; choose another name, or another folder with --in")
    try:
        with aside_folder(folder) as aside:
            files = _write(name, _SKELETONS / kind, aside / name)
            os.rename(aside / name, folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror}); choose another folder with --in") from error
    return NewTask(name=name, folder=folder, kind=kind, files=files)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        nearest = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:_LONGEST_NAME].strip("_")
        hint = f", for example {nearest}" if nearest else ""
        raise TaskError(
            f"{name!r} is no name for a task: expected small letters, digits and underscores, a letter first, "
            f"{_LONGEST_NAME} at most{hint}"
        )
    if name in shipped_task_names():
        raise TaskError(f"{name!r} is the name of a shipped task; choose another one")


def _write(name: str, skeleton: Path, folder: Path) -> tuple[str, ...]:
    """Write a skeleton's files into a new folder."""
    files = []
    for source in sorted(skeleton.rglob("*")):
        path = source.relative_to(skeleton)
        if source.is_dir() or "__pycache__" in path.parts:
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text(encoding="utf-8").replace(_PLACEHOLDER, name), encoding="utf-8")
        if target.suffix == ".sh":
            target.chmod(0o777 & ~_umask())
        files.append(str(path))
    return tuple(files)


def _umask() -> int:
    """The process's mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
