"""Reading many runs: each becomes a ScoredRun of some hundred bytes; a file that cannot be used is told and stops nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from mlgym_lite.analysis.planned_runs import PLAN, planned_runs
from mlgym_lite.analysis.reading_mlgym import read_mlgym_run
from mlgym_lite.analysis.reading_ours import read_our_run
from mlgym_lite.analysis.recorded_values import RecordError
from mlgym_lite.analysis.run_folders import RunFolder
from mlgym_lite.analysis.scored_run import ScoredRun


@dataclass(frozen=True, kw_only=True)
class ReadRuns:
    """Everything that was read."""

    runs: tuple[ScoredRun, ...]
    problems: tuple[str, ...]
    """A line for each run that could not be read, with the file."""


def read_runs(folders: Iterable[RunFolder]) -> ReadRuns:
    """Read run directories one after the other."""
    runs, problems = [], []
    shared: dict[object, object] = {}
    for folder in folders:
        try:
            found = list(_read(folder))
        except RecordError as error:
            problems.append(str(error))
            continue
        for run in found:
            same = {name: shared.setdefault(value, value) for name in _SHARED for value in (getattr(run, name),)}
            runs.append(replace(run, **same))  # type: ignore[arg-type]  # each is equal to what it replaces
    return ReadRuns(runs=tuple(runs), problems=tuple(problems))


def _read(folder: RunFolder) -> Iterator[ScoredRun]:
    if folder.source == "plan":
        yield from planned_runs(folder.path / PLAN)
    else:
        run = read_mlgym_run(folder.path) if folder.source == "MLGym" else read_our_run(folder.path)
        yield replace(run, path=folder.place)


_SHARED = ("group", "method", "task", "digest", "reason", "fault", "mechanism", "steps", "actions", "baseline", "gpu_seconds")
"""Fields that many runs have alike, and then hold together."""
