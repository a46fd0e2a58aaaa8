"""Putting a task's data in place: the mini variant's, made on this host, and the full one's, prepared from the real source.

Both are made aside by a program of the task and moved into place whole, with a manifest, so that a run never sees half of it.
The programs are the task author's, trusted as the task itself, and run outside any sandbox.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlgym_lite.config.data_folder import (
    MANIFEST,
    file_sha256,
    full_folder,
    is_ready,
    made_mini_folder,
    read_manifest,
    write_manifest,
)
from mlgym_lite.config.places import Places
from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.environments import Progress, preparing_python
from mlgym_lite.errors import DataError
from mlgym_lite.isolation.marked_folders import aside_folder, one_at_a_time
from mlgym_lite.processes import run_program

_SHOWN_OUTPUT = 2000
_TREES = {"agent", "judge"}


def make_mini_data(task: Task, places: Places, on_progress: Progress | None) -> None:
    """Make the mini data where the task has a program for it and this host has none yet; raises DataError."""
    folder = made_mini_folder(task, places)
    if folder is None or (folder / MANIFEST).is_file():
        return
    assert task.data is not None and task.data.mini_program is not None
    with _told(folder, "MLGYM_LITE_CACHE"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(Path(f"{folder}.lock")), aside_folder(folder) as aside:
            if (folder / MANIFEST).is_file():
                return
            if on_progress:
                on_progress(f"making the mini data of {task.name} (once for this host)")
            _run(task, [sys.executable, task.path(task.data.mini_program), aside], None, None)
            _publish(task, aside, folder, None, task.data.mini_program)


def prepare_full_data(
    task: Task, places: Places, environment: Mapping[str, str], source: Path | None, on_progress: Progress
) -> None:
    """Put the full data in place, or check what is there; raises DataError."""
    if task.data is None or task.data.prepare is None:
        return
    folder = full_folder(task, places)
    if is_ready(task, "full", places) and source is None:
        _verify(folder)
        on_progress(f"{task.name}: the data in {folder} is complete")
        return
    _check_source(task, source)
    command = [preparing_python(task, places, environment, on_progress), task.path(task.data.prepare)]
    if task.data.download and source is None:
        where = ", ".join(task.data.download.repositories)
        on_progress(f"{task.name}: downloading about {task.data.download.megabytes} MB from {where}")
    with _told(folder, "--data"):
        partial = places.cache / "partial" / task.whole_name
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(Path(f"{partial}.lock")), aside_folder(folder) as aside:
            variables = {**environment, "MLGYM_LITE_PARTIAL": str(partial)}
            _run(task, [*command, aside, *([source.absolute()] if source else [])], variables, on_progress)
            _check_yield(task, aside)
            _publish(task, aside, folder, task.data.source.sha256 if task.data.source else None, task.data.prepare)
        shutil.rmtree(partial, ignore_errors=True)
    on_progress(f"{task.name}: the data is in {folder}")


@contextlib.contextmanager
def _told(folder: Path, setting: str) -> Iterator[None]:
    """Tell of a folder that cannot be written."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{folder.parent}: cannot be written ({error.strerror}). Run `mlgym-lite prepare` where it can, "
            f"or name another folder with {setting}"
        ) from error


def _run(task: Task, command: list[str | Path], environment: Mapping[str, str] | None, on_line: Progress | None) -> None:
    program = Path(command[1]).name
    result = run_program(command, environment=environment, on_line=on_line)
    if result.status != 0:
        raise DataError(
            f"{task.name}: {program} failed with exit status {result.status}:\n{result.output[-_SHOWN_OUTPUT:].strip()}"
            + _advice(task, program)
        )


def _advice(task: Task, program: str) -> str:
    assert task.data is not None
    if program != task.data.prepare or task.data.download is None:
        return ""
    return (
        f"\nRun `mlgym-lite prepare {task.reference}` again to go on from there. Where "
        f"{task.data.download.repositories[0]} cannot be reached, prepare on another machine and share the data folder, or hand "
        "over a copy with --source FOLDER"
    )


def _publish(task: Task, aside: Path, folder: Path, source: str | None, program: str) -> None:
    """Make what a program made readable, write its manifest, and move it into place; raises DataError where it is no data."""
    shutil.rmtree(aside / "__pycache__", ignore_errors=True)
    found = sorted(path.name for path in aside.iterdir())
    if not found or not {*found} <= _TREES:
        made = ", ".join(map(repr, found)) or "nothing"
        raise DataError(f"{task.name}: {program} made {made}; expected the folders agent/ and judge/, or one of them, only")
    for part in aside.rglob("*"):
        part.chmod(0o755 if part.is_dir() else 0o644)
    aside.chmod(0o755)
    if (aside / "judge").is_dir() and os.geteuid() != 0:
        (aside / "judge").chmod(0o700)
    write_manifest(aside, source, task.path(program))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(aside, folder)


def _verify(folder: Path) -> None:
    for name, entry in read_manifest(folder).items():
        if not (folder / name).is_file() or file_sha256(folder / name) != entry["sha256"]:
            raise DataError(
                f"{folder / name}: is not what was prepared (sha256 {entry['sha256']}); delete {folder} and prepare again"
            )


def _check_source(task: Task, source: Path | None) -> None:
    assert task.data is not None
    wanted = task.data.source
    if source is not None and not source.exists():
        missing = f"no such file; expected {wanted.name}" if wanted else "no such file or folder; expected a copy of the data"
        raise DataError(f"{source}: {missing} for {task.name}")
    if wanted is None:
        return
    if source is None:
        raise DataError(
            f"{task.name}: needs {wanted.name}, which only you can get: {wanted.instructions}\n"
            f"Then run `mlgym-lite prepare {task.reference} --source {wanted.name}`"
        )
    if not source.is_file():
        raise DataError(f"{source}: is no file; expected {wanted.name} for {task.name}")
    found = file_sha256(source)
    if found != wanted.sha256:
        raise DataError(
            f"{source}: is not the {wanted.name} that {task.name} is about: its sha256 is {found}, expected {wanted.sha256}. "
            f"{wanted.instructions}"
        )


def _check_yield(task: Task, folder: Path) -> None:
    assert task.data is not None
    for name, wanted in task.data.sha256.items():
        path = folder / name
        if not path.is_file() or file_sha256(path) != wanted:
            raise DataError(f"{task.name}: preparing yielded a {name} that is not the expected one (sha256 {wanted})")
