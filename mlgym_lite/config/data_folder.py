"""A task's data on this host: where it lies, whether it is what was prepared, and what to do when it is not there.

The data of one variant is two trees: agent/ (shown read-only at /data) and judge/ (labels, shown to the grader only).
`mini` ships in the task's folder, or the task's program makes it once on each host, in the cache; `full` is put below the
data folder by `mlgym-lite prepare`, with a manifest.json that holds every file's size and sha256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlgym_lite.config.places import Places
from mlgym_lite.config.task_file import Task, Variant
from mlgym_lite.errors import DataError
from mlgym_lite.whole_files import write_whole

MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class DataTrees:
    """The two trees of one variant; None where the task has no data."""

    agent: Path | None
    judge: Path | None


def full_folder(task: Task, places: Places) -> Path:
    """Where `prepare` puts a task's full data."""
    return places.data / task.whole_name


def made_mini_folder(task: Task, places: Places) -> Path | None:
    """Where the mini data that the task's program makes is kept; None where the task has no such program."""
    if task.data is None or task.data.mini_program is None:
        return None
    return places.cache / "mini" / f"{task.whole_name}-{file_sha256(task.path(task.data.mini_program))[:24]}"


def is_ready(task: Task, variant: Variant, places: Places) -> bool:
    """Whether a variant can run on this host, as far as can be told without reading its data."""
    if task.data is None:
        return True
    if variant == "mini":
        return task.data.mini is not None or task.data.mini_program is not None
    folder = full_folder(task, places)
    try:
        return (folder / MANIFEST).is_file() and not _is_of_another_program(task, _manifest(folder))
    except DataError:  # its manifest cannot be read
        return False


def data_bytes(task: Task, variant: Variant, places: Places) -> int:
    """How large a variant's data on this host is; 0 where it has none or it is not there yet."""
    try:
        trees = find_data(task, variant, places)
    except DataError:
        return 0
    folders = [tree for tree in (trees.agent, trees.judge) if tree is not None]
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def find_data(task: Task, variant: Variant, places: Places) -> DataTrees:
    """The data of a variant; raises DataError with the command that gets it where it is missing or was changed."""
    if task.data is None:
        return DataTrees(agent=None, judge=None)
    if variant == "mini":
        if task.data.mini is not None:
            return trees_in(task.path(task.data.mini))
        made = made_mini_folder(task, places)
        if made is None:
            raise DataError(f"{task.name} has no mini variant")
        if not (made / MANIFEST).is_file():
            raise DataError(f"{task.name}: its mini data is not in {made}; run `mlgym-lite prepare {task.reference}` once")
        return trees_in(made)
    folder = full_folder(task, places)
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{task.name}: its full data is not in {folder}. {_how_to_get(task)}")
    manifest = _manifest(folder)
    if _is_of_another_program(task, manifest):
        raise DataError(
            f"{task.name}: the data in {folder} was made by another {task.data.prepare} than this task's: by an older one, or by "
            f"that of another task called {task.whole_name}. {_how_to_get(task)}"
        )
    _check_sizes(folder, manifest["files"])
    return trees_in(folder)


def _how_to_get(task: Task) -> str:
    data = task.data
    assert data is not None
    if data.prepare is None:
        return "There is no program that prepares it; use --variant mini."
    hand_over = f" --source {data.source.name}" if data.source else ""
    why = f"\n  {data.source.instructions}" if data.source else ""
    if data.download:
        where = ", ".join(data.download.repositories)
        why = f"\n  It downloads about {data.download.megabytes} MB from {where}, or takes a copy with --source FOLDER."
    return (
        f"Run `mlgym-lite prepare {task.reference}{hand_over}` once on a machine with network, or name the data folder with "
        f"--data or MLGYM_LITE_DATA, or use --variant mini.{why}"
    )


def trees_in(folder: Path) -> DataTrees:
    """The trees of one variant's folder."""
    return DataTrees(
        agent=folder / "agent" if (folder / "agent").is_dir() else None,
        judge=folder / "judge" if (folder / "judge").is_dir() else None,
    )


def check_sizes(folder: Path) -> None:
    """Compare sizes at every run, for the checksums are `prepare`'s to compare; raises DataError where one differs."""
    _check_sizes(folder, read_manifest(folder))


def _check_sizes(folder: Path, files: Mapping[str, Mapping[str, int | str]]) -> None:
    for name, entry in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry["bytes"]:
            raise DataError(f"{path}: is not what was prepared ({entry['bytes']} bytes); run `mlgym-lite prepare` again")


def _is_of_another_program(task: Task, manifest: Mapping[str, Any]) -> bool:
    """Whether the program that made the data is not the task's; a manifest may not tell, and a task may have none."""
    made_by = manifest.get("program")
    if made_by is None or task.data is None or task.data.prepare is None:
        return False
    return bool(made_by != file_sha256(task.path(task.data.prepare)))


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files: dict[str, dict[str, int | str]] = content["files"]
        if not all(entry["bytes"] >= 0 and entry["sha256"] for entry in files.values()):  # type: ignore[operator]
            raise ValueError("its entries lack bytes or sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error}); run `mlgym-lite prepare` again") from error
    return content


def read_manifest(folder: Path) -> dict[str, dict[str, int | str]]:
    """The manifest's files: name to bytes and sha256; raises DataError where it cannot be read."""
    files: dict[str, dict[str, int | str]] = _manifest(folder)["files"]
    return files


def write_manifest(folder: Path, source: str | None, program: Path | None = None) -> None:
    """Record every file below a folder, atomically, with the sha256 of what it was made from and of the program that made it."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    made_by = None if program is None else file_sha256(program)
    write_whole(folder / MANIFEST, json.dumps({"source": source, "program": made_by, "files": files}, indent=1) + "\n")


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            total.update(piece)
    return total.hexdigest()
