"""A report as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mlgym_lite.analysis.report import Aup, Cell, GroupReport, MethodTotals, Report, Sum

SCHEMA_VERSION = 1


def report_json(report: Report) -> dict[str, Any]:
    """The whole report; `group`, `aup` and `scores` are those of the first of `groups`."""
    groups = [_group(group) for group in report.groups]
    return {
        "schema_version": SCHEMA_VERSION,
        "runs": {
            "read": report.runs,
            "scored": report.scored,
            "unfinished": report.unfinished,
            "planned_only": report.planned_only,
            "unreadable": len(report.problems),
        },
        "problems": list(report.problems),
        **{key: groups[0][key] if groups else None for key in ("group", "aup", "scores")},
        "groups": groups,
    }


def _group(group: GroupReport) -> dict[str, Any]:
    return {
        "group": {**group.group._asdict(), "label": group.group.label},
        "k": group.k,
        "runs": group.runs,
        "unfinished": group.unfinished,
        "left_out": group.left_out,
        "notes": list(group.notes),
        "aup": {**_aup(group.aup), "tasks": len(group.tasks)},
        "scores": _scores(group),
        "methods": {name: _totals(totals) for name, totals in group.methods.items()},
    }


def _aup(aup: Aup) -> dict[str, Any]:
    return {
        "best_attempt": dict(aup.best_attempt),
        "best_submission": dict(aup.best_submission),
        "tau_max": aup.tau_max,
        "fixed": {
            "best_attempt": dict(aup.fixed_best_attempt),
            "best_submission": dict(aup.fixed_best_submission),
            "tau_max": 1.0,
        },
    }


def _scores(group: GroupReport) -> dict[str, Any]:
    """By task, then by method."""
    names = [task.name for task in group.tasks]
    scores = {}
    for task in group.tasks:
        cells = {name: _cell(group.cells[task, name], group.k) for name in group.methods}
        key = task.name if names.count(task.name) == 1 else f"{task.name} {task.metric}"
        stated = {"metric": task.metric, "direction": task.direction, "baseline": group.baselines[task]}
        scores[key] = {**stated, "methods": cells}
    return scores


def _cell(cell: Cell, expected: int) -> dict[str, Any]:
    return {**asdict(cell), "missing": expected - cell.runs}


def _totals(totals: MethodTotals) -> dict[str, Any]:
    endings: dict[str, dict[str, int]] = {}
    for (fault, reason), count in sorted(totals.endings.items()):
        endings.setdefault(fault, {})[reason] = count
    return {
        **totals.method._asdict(),
        "runs": totals.runs,
        "unfinished": totals.unfinished,
        "endings": endings,
        "actions": dict(totals.actions),
        "cost_usd": _sum(totals.cost_usd),
        "input_tokens": _sum(totals.input_tokens),
        "output_tokens": _sum(totals.output_tokens),
        "seconds": _sum(totals.seconds),
        "gpu_hours": _sum(
            Sum(total=totals.gpu_seconds.total / 3600, runs=totals.gpu_seconds.runs) if totals.gpu_seconds else None
        ),
    }


def _sum(found: Sum | None) -> dict[str, float] | None:
    return asdict(found) if found else None
