"""A run directory of ours as a report needs it: run.json, result.json, and of trajectory.jsonl the kinds of its actions."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlgym_lite.analysis.action_kinds import KINDS, kind_of
from mlgym_lite.analysis.recorded_values import RecordError, is_number, json_object, number, table, text, whole_number
from mlgym_lite.analysis.scored_run import Group, Method, ScoredRun, TaskKey
from mlgym_lite.config.task_file import same_score

_ACTION = re.compile(rb'\{"step": \d+, "action": "(?!\\)')
"""How the recorder begins a line, if the action begins with what needs no escape."""
_LONGEST_BEGINNING = 64


def read_our_run(path: Path) -> ScoredRun:
    """Read a run directory; raises RecordError with the file."""
    run = json_object(path / "run.json")
    result = json_object(path / "result.json") if (path / "result.json").exists() else None
    try:
        return our_run(path, run, result, _actions(path / "trajectory.jsonl"))
    except RecordError as error:
        raise RecordError(f"{path}: its run.json or result.json: {error}") from error


def our_run(path: Path, run: Mapping[str, Any], result: Mapping[str, Any] | None, actions: tuple[int, ...]) -> ScoredRun:
    """A run from the content of its files; raises RecordError with the key."""
    ended = result or {}
    task = _task(run, ended)
    group = Group(
        variant=text(run, "variant") or "full",
        scoring=text(run, "scoring") or "clean",
        feedback=text(run, "feedback") or "development",
    )
    baseline = number(table(table(ended, "baseline") or table(run, "baseline"), "metrics"), task.metric)
    scored = [(step, _snapped(value, baseline)) for step, value in _attempts(ended, task.metric)]
    submission = _submission(ended, scored, group)
    ending, usage, resources = table(ended, "ending"), table(ended, "usage"), table(ended, "resources")
    known = {"reason": text(ending, "reason") or "unknown", "fault": text(ending, "fault") or "unknown"}
    return ScoredRun(
        path=str(path),
        source="mlgym-lite",
        group=group,
        method=Method(agent=text(run, "agent") or "unknown", model=text(run, "model") or None),
        task=task,
        seed=whole_number(run, "seed") or 0,
        digest=text(table(run, "task"), "digest"),
        finished=result is not None,
        **(known if result is not None else {}),
        steps=tuple(step for step, _ in scored),
        values=tuple(value for _, value in scored),
        submission=None if submission is None else _snapped(submission, baseline),
        baseline=baseline,
        step_count=whole_number(ended, "steps"),
        seconds=number(table(ended, "seconds"), "total"),
        gpu_seconds=number(resources, "gpu_seconds"),
        input_tokens=whole_number(usage, "input_tokens"),
        output_tokens=whole_number(usage, "output_tokens"),
        cost_usd=number(usage, "cost_usd"),
        mechanism=text(run, "mechanism"),
        actions=actions,
    )


def _task(run: Mapping[str, Any], result: Mapping[str, Any]) -> TaskKey:
    """The task with its metric; records of older versions name the metric only where something was scored."""
    name = text(table(run, "task"), "name")
    ranked, score = table(run, "metric"), table(result, "score")
    metric, direction = text(ranked, "name") or text(score, "metric"), text(ranked, "direction") or text(score, "direction")
    if not name or not metric:
        raise RecordError(f"{'task' if not name else 'metric'!r}: expected its name")
    if direction not in ("maximize", "minimize"):
        raise RecordError(f"'direction': expected 'maximize' or 'minimize', not {direction!r:.60}")
    return TaskKey(name=name, metric=metric, direction=direction)


def _attempts(result: Mapping[str, Any], metric: str) -> list[tuple[int, float]]:
    """The step and value of what was scored; rejected attempts have no value."""
    attempts = result.get("attempts") or []
    if not isinstance(attempts, list) or not all(isinstance(attempt, dict) for attempt in attempts):
        raise RecordError("'attempts': expected a list of objects")
    scored = []
    for attempt in attempts:
        value = table(attempt, "metrics").get(metric)
        if is_number(value):
            scored.append((whole_number(attempt, "step") or 0, float(value)))
    return scored


def _snapped(value: float, baseline: float | None) -> float:
    """The baseline itself where a score differs from it by rounding only, which must not make it worse."""
    return baseline if baseline is not None and same_score(value, baseline) else value


def _submission(result: Mapping[str, Any], scored: list[tuple[int, float]], group: Group) -> float | None:
    """The submission's score. Where validations see the test split, the last of them stands for one, as in MLGym."""
    value = number(table(result, "score"), "value")
    if value is None and group.feedback == "test" and scored:
        return scored[-1][1]
    return value


def _actions(path: Path) -> tuple[int, ...]:
    """How many actions of each kind, line by line; lines that are no step, such as a killed run's last, do not count."""
    counts: Counter[str] = Counter()
    try:
        with path.open("rb") as file:
            for line in file:
                action = _action(line)
                if action is not None:
                    counts[kind_of(action)] += 1
    except OSError:
        return ()
    return tuple(counts[kind] for kind in KINDS)


def _action(line: bytes) -> str | None:
    """A step's action; of a line as the recorder writes it only the beginning is looked at, since its end may be megabytes."""
    begun = _ACTION.match(line)
    if begun is not None:
        return line[begun.end() : begun.end() + _LONGEST_BEGINNING].decode("utf-8", "replace")
    try:
        step = json.loads(line)
    except (ValueError, RecursionError):
        return None
    action = step.get("action") if isinstance(step, dict) else None
    return action[:_LONGEST_BEGINNING] if isinstance(action, str) else None
