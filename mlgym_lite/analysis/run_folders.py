"""Finding run directories below folders: ours have a run.json, MLGym's a .traj file or a name of MLGym's and a results.json.

Links are not followed, and nothing is looked for inside a run directory: what an agent left there is no run. A bench's plan.json
is found too. Of an episode of a bench, which may have been tried several times, the last try counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlgym_lite.analysis.mlgym_names import parsed_name
from mlgym_lite.analysis.planned_runs import PLAN
from mlgym_lite.analysis.scored_run import Source
from mlgym_lite.errors import ActionsError


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFolder:
    """A directory that holds one run, or a bench's plan; as a text, which takes less memory than a Path."""

    place: str
    source: Source | Literal["plan"]

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.place)


def run_folders(given: Sequence[Path]) -> list[RunFolder]:
    """Every run directory at or below the given folders, in order; each once.

    Raises:
        ActionsError: One of them is no folder, cannot be read, or holds no run.
    """
    found: dict[str, RunFolder] = {}
    for folder in given:
        if not folder.is_dir():
            raise ActionsError(f"{folder}: is not a folder; {_EXPECTED}")
        below = list(_below(folder))
        if not below:
            raise ActionsError(f"{folder}: holds no run; {_EXPECTED}")
        for run in below:
            found.setdefault(os.path.realpath(run.place) if len(given) > 1 else run.place, run)
    return list(found.values())


_EXPECTED = (
    "expected run directories of mlgym-lite (with a run.json) or of MLGym (with a .traj file or a results.json), at any depth"
)


def _below(folder: Path) -> Iterator[RunFolder]:
    waiting = [str(folder)]
    while waiting:
        path = waiting.pop()
        try:
            with os.scandir(path) as scan:
                entries = sorted(scan, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            if path == str(folder):
                raise ActionsError(f"{folder}: cannot be read: {error.strerror or error}") from error
            continue  # such as lost+found; a run directory that cannot be read is told when its files are read
        names = [entry.name for entry in entries]
        source = _source(Path(path), names)
        if source is not None:
            yield RunFolder(place=path, source=source)
        elif "episode.json" in names:
            waiting += _last_try(entries)
        else:
            if PLAN in names:
                yield RunFolder(place=path, source="plan")
            waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def _last_try(entries: list[os.DirEntry[str]]) -> list[str]:
    """Of an episode of a bench, the try that counts."""
    tries = {entry.name.removeprefix("try-"): entry.path for entry in entries if entry.name.startswith("try-")}
    numbers = [name for name, path in tries.items() if name.isdigit() and Path(path).is_dir()]
    return [tries[max(numbers, key=int)]] if numbers else []


def _source(path: Path, names: list[str]) -> Source | None:
    if "run.json" in names:
        return "mlgym-lite"
    if any(name.endswith(".traj") for name in names):
        return "MLGym"
    has_name = parsed_name(path.absolute().name) is not None
    return "MLGym" if has_name and ("results.json" in names or "args.yaml" in names) else None
