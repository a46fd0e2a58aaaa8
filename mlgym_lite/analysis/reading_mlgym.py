"""A run folder of MLGym as a report needs it: results.json has the scores, the .traj file how the run went.

An export of ours holds the run that it was made of, and is read as that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlgym_lite.analysis.action_kinds import KINDS, kind_of
from mlgym_lite.analysis.mlgym_names import OUR_NAMES, FolderName, ending_of, model_name, parsed_name
from mlgym_lite.analysis.reading_ours import our_run
from mlgym_lite.analysis.recorded_values import RecordError, is_number, json_object, number, table, text, whole_number
from mlgym_lite.analysis.scored_run import Group, Method, ScoredRun, TaskKey
from mlgym_lite.authoring.mlgym_known import KNOWN_TASKS, LESS_IS_BETTER
from mlgym_lite.config.actions_file import Recording, traj_recording
from mlgym_lite.errors import ActionsError

GROUP = Group(variant="full", scoring="parity", feedback="test")
"""Of every run of MLGym: its validations score the test split."""
_MODEL = re.compile(r"^\s*model_name:\s*['\"]?(.+?)['\"]?\s*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class _Results:
    """The content of results.json."""

    scores: list[Mapping[str, Any]]
    baseline: Mapping[str, Any]


def read_mlgym_run(path: Path) -> ScoredRun:
    """Read a run folder of MLGym; raises RecordError with the file. Without a results.json the run was killed or goes on."""
    trajectories = sorted(path.glob("*.traj"))
    content = json_object(trajectories[0]) if trajectories else {}
    recording = _recording(trajectories[0], content) if trajectories else None
    try:
        if recording is not None and recording.exported is not None:
            result = None if recording.exported.get("result") is None else table(recording.exported, "result")
            return our_run(path, recording.exported["run"], result, _counted(recording))
        results = _results(path)
        return _run(path, _name(path, trajectories), content, recording, results)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def _run(
    path: Path, name: FolderName, content: Mapping[str, Any], recording: Recording | None, results: _Results | None
) -> ScoredRun:
    scores = results.scores if results else []
    task = _task(name.task, [*scores, results.baseline] if results else [])
    values = tuple(float(score[task.metric]) for score in scores if is_number(score.get(task.metric)))
    info, stats = table(content, "info"), table(table(content, "info"), "model_stats")
    ending = ending_of(text(info, "exit_status") or "") if recording is not None else None
    known = {"reason": ending.reason, "fault": ending.fault} if ending and results else {}
    baseline = results.baseline.get(task.metric) if results else None
    return ScoredRun(
        path=str(path),
        source="MLGym",
        group=GROUP,
        method=Method(agent=f"MLGym {name.config}".strip(), model=name.model),
        task=task,
        seed=name.run,
        digest=None,
        finished=results is not None,
        **known if known or results is None else {"reason": "not recorded"},
        steps=_steps(recording, len(values)),
        values=values,
        submission=values[-1] if values else None,
        baseline=float(baseline) if is_number(baseline) else None,
        step_count=len(recording.steps) if recording else None,
        seconds=_seconds(content),
        gpu_seconds=None,
        input_tokens=whole_number(stats, "tokens_sent"),
        output_tokens=whole_number(stats, "tokens_received"),
        cost_usd=number(stats, "task_cost"),
        actions=_counted(recording),
    )


def _recording(path: Path, content: Mapping[str, Any]) -> Recording | None:
    """The steps; None where there are none, as of a run whose model never answered."""
    try:
        return traj_recording(path, content)
    except ActionsError:
        return Recording(path=path, steps=())


def _results(path: Path) -> _Results | None:
    if not (path / "results.json").exists():
        return None
    content = json_object(path / "results.json")
    scores = content.get("agent")
    if not isinstance(scores, list) or not all(isinstance(score, dict) for score in scores):
        raise RecordError("results.json: 'agent': expected a list of objects")
    return _Results(scores=scores, baseline=table(content, "baseline"))


def _name(path: Path, trajectories: list[Path]) -> FolderName:
    """What the folder's name tells, with the model as args.yaml names it, whose slashes are kept."""
    parsed = parsed_name(path.absolute().name)
    model = _recorded_model(path / "args.yaml")
    if parsed is None and not trajectories:
        raise RecordError("expected a .traj file, or a name as MLGym gives")
    if parsed is None:
        return FolderName(model=model or "unknown", task=trajectories[0].stem, config="", run=0)
    return FolderName(model=model or parsed.model, task=parsed.task, config=parsed.config, run=parsed.run)


def _recorded_model(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            found = _MODEL.search(file.read(1 << 20))
    except OSError:
        return None
    return model_name(found[1]) if found else None


def _task(name: str, scores: list[Mapping[str, Any]]) -> TaskKey:
    """The task under our name, with what ranks; of a task that is not known, what its scores name first."""
    known = KNOWN_TASKS.get(name)
    if known is not None:
        return TaskKey(name=OUR_NAMES.get(name, name), metric=known.metric, direction=known.direction)
    metric = next((key for score in scores for key, value in score.items() if is_number(value)), "score")
    less = any(word in metric.lower() for word in LESS_IS_BETTER)
    return TaskKey(name=name, metric=metric, direction="minimize" if less else "maximize")


def _steps(recording: Recording | None, count: int) -> tuple[int, ...]:
    """At which steps the scores were; counted from 1 where the record does not tie them to steps."""
    steps = recording.steps if recording is not None else ()
    tied = tuple(number for number, step in enumerate(steps, start=1) for _ in step.scores)
    return tied if len(tied) == count else tuple(range(1, count + 1))


def _counted(recording: Recording | None) -> tuple[int, ...]:
    if recording is None:
        return ()
    counts = Counter(kind_of(step.action) for step in recording.steps)
    return tuple(counts[kind] for kind in KINDS)


def _seconds(content: Mapping[str, Any]) -> float | None:
    """How long its actions took together: MLGym keeps no other time."""
    entries = content.get("trajectory")
    times = [entry.get("execution_time") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    known = [float(time) for time in times if is_number(time)]
    return sum(known) if known else None
