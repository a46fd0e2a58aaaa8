"""The tables of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from mlgym_lite.analysis.action_kinds import KINDS
from mlgym_lite.analysis.bootstrap import Mean
from mlgym_lite.analysis.report import Cell as Scored
from mlgym_lite.analysis.report import GroupReport, MethodTotals, Report, Sum
from mlgym_lite.analysis.scored_run import TaskKey
from mlgym_lite.analysis.tables import Cell, Table, amount, number_text, words

FAULTS: Mapping[str, str] = {
    "agent": "the agent",
    "limit": "a limit",
    "task": "the task",
    "us": "the framework",
    "user": "the user",
    "unknown": "not recorded",
}
"""Whose doing an ending was, in words and in order."""


def summary(report: Report) -> str:
    """How many runs there are, in one sentence."""
    without = report.runs - report.unfinished - report.scored
    broken = len(report.problems)
    parts = [f"{report.scored} scored", f"{without} without a submission's score", f"{report.unfinished} unfinished"]
    parts += [f"{broken} could not be read"] if broken else []
    parts += [f"{report.planned_only} more were planned and not begun"] if report.planned_only else []
    return f"{counted(report.runs + broken, 'run')}: {', '.join(parts)}."


def tables_of(group: GroupReport) -> list[Table]:
    """All of them, the most asked for first."""
    return [
        aup_table(group),
        _best(group, "attempt"),
        _best(group, "submission"),
        _means(group),
        _improvements(group),
        _endings(group),
        _actions(group),
        _costs(group),
        *_missing(group),
    ]


def long_table(report: Report) -> Table:
    """The scores of every group, a row for each task and method: for programs."""
    heads = (
        "variant", "scoring", "feedback", "task", "metric", "direction", "baseline", "name", "agent", "model", "runs", "scored",
        "best_attempt", "best_submission", "mean_submission", "mean_low", "mean_high", "mean_improvement", "improvement_low",
        "improvement_high", "better_than_baseline",
    )  # fmt: skip
    rows = []
    for group in report.groups:
        for (task, name), cell in group.cells.items():
            method = group.methods[name].method
            texts = (*group.group, *task)
            named = (name, method.agent, method.model or "")
            rows.append((*map(words, texts), amount(group.baselines[task]), *map(words, named), *map(amount, _numbers(cell))))
    return Table(name="scores", title="Scores", heads=heads, rows=tuple(rows))


def _numbers(cell: Scored) -> tuple[float | None, ...]:
    means = [
        (mean.mean, mean.low, mean.high) if mean else (None, None, None) for mean in (cell.mean_submission, cell.improvement)
    ]
    return (cell.runs, cell.scored, cell.best_attempt, cell.best_submission, *means[0], *means[1], cell.better_than_baseline)


def aup_table(group: GroupReport) -> Table:
    """The area under the performance profiles, the best first."""
    aup = group.aup
    columns = (aup.best_attempt, aup.best_submission, aup.fixed_best_attempt, aup.fixed_best_submission)
    names = sorted(aup.best_submission, key=lambda name: (-aup.best_submission[name], -aup.best_attempt[name], name))
    highest = [max(column.values()) for column in columns]
    rows = tuple(
        (words(name), *(amount(column[name], best=column[name] == top) for column, top in zip(columns, highest, strict=True)))
        for name in names
    )
    heads = ("agent", "AUP attempt", "AUP submission", "fixed attempt", "fixed submission")
    note = (
        f"AUP as in MLGym, over {counted(len(group.tasks), 'task')}, to tau_max = {aup.tau_max:g}, which these scores set: "
        "compare it within this table only. Fixed: from 0 to 1 whatever the scores; only what reaches the baseline counts."
    )
    return Table(
        name="aup", title=f"Area under the performance profile (AUP) of the best of {group.k}", heads=heads, rows=rows, note=note
    )


def _best(group: GroupReport, kind: Literal["attempt", "submission"]) -> Table:
    def cell(task: TaskKey, name: str) -> Cell:
        scored = group.cells[task, name]
        value, count = (scored.best_attempt, scored.attempted) if kind == "attempt" else (scored.best_submission, scored.scored)
        more = f" ({count} of {group.k})" if count < group.k and scored.runs else ""
        return amount(value, more=more, best=value is not None and value == _top(group, task, kind))

    heads = ("task", "better", "baseline", *group.methods)
    note = "(n of k): fewer runs than expected were scored. —: no score."
    return _by_task(group, f"best-{kind}", f"Best {kind}@{group.k}", heads, cell, note)


def _top(group: GroupReport, task: TaskKey, kind: Literal["attempt", "submission"]) -> float | None:
    cells = [group.cells[task, name] for name in group.methods]
    values = [cell.best_attempt if kind == "attempt" else cell.best_submission for cell in cells]
    known = [value for value in values if value is not None]
    return (min if task.direction == "minimize" else max)(known) if known else None


def _means(group: GroupReport) -> Table:
    def cell(task: TaskKey, name: str) -> Cell:
        return _mean(group.cells[task, name].mean_submission)

    heads = ("task", "better", "baseline", *group.methods)
    note = "[low, high]: where 95 % of the means of 2,000 bootstrap resamples of the runs lie. A single run has none."
    return _by_task(group, "mean-submission", "Mean submission over runs", heads, cell, note)


def _improvements(group: GroupReport) -> Table:
    def cell(task: TaskKey, name: str) -> Cell:
        scored = group.cells[task, name]
        share = f", {scored.better_than_baseline} of {scored.improvement.count} better" if scored.improvement else ""
        shown = _mean(scored.improvement)
        return Cell(text=shown.text + share, value=shown.value)

    heads = ("task", "better", "baseline", *group.methods)
    note = "The mean over runs of how much the submission is better than the baseline; less than 0 is worse."
    return _by_task(group, "improvement", "Improvement over the baseline", heads, cell, note)


def _by_task(
    group: GroupReport, name: str, title: str, heads: tuple[str, ...], cell: Callable[[TaskKey, str], Cell], note: str
) -> Table:
    """A row for each task, a column for each method."""
    shared = len({task.name for task in group.tasks}) < len(group.tasks)
    rows = tuple(
        (
            words(f"{task.name} {task.metric}" if shared else task.name),
            words("less" if task.direction == "minimize" else "more"),
            amount(group.baselines[task]),
            *(cell(task, method) for method in group.methods),
        )
        for task in group.tasks
    )
    return Table(name=name, title=title, heads=heads, rows=rows, note=note)


def _mean(mean: Mean | None) -> Cell:
    if mean is None:
        return amount(None)
    spread = "" if mean.low is None else f" [{number_text(mean.low)}, {number_text(mean.high)}]"
    return amount(mean.mean, more=spread)


def _endings(group: GroupReport) -> Table:
    found = {ending for totals in group.methods.values() for ending in totals.endings}
    endings = sorted(found, key=lambda ending: ([*FAULTS, ending[0]].index(ending[0]), ending[1]))
    heads = (
        "agent",
        "runs",
        *(f"{reason.replace('_', ' ')} ({FAULTS.get(fault, fault)})" for fault, reason in endings),
        "unfinished",
    )
    rows = tuple(
        (
            words(name),
            amount(totals.runs, 0),
            *(amount(totals.endings.get(ending, 0), 0) for ending in endings),
            amount(totals.unfinished, 0),
        )
        for name, totals in group.methods.items()
    )
    note = "In brackets: whose doing it was. unfinished: no result was written, since the run was killed or goes on."
    return Table(name="endings", title="How runs ended", heads=heads, rows=rows, note=note)


def _actions(group: GroupReport) -> Table:
    rows = []
    for name, totals in group.methods.items():
        count = sum(totals.actions.values())
        kinds = (
            Cell(
                text=f"{totals.actions.get(kind, 0)} ({_share(totals.actions.get(kind, 0), count)})",
                value=totals.actions.get(kind, 0),
            )
            for kind in KINDS
        )
        rows.append((words(name), amount(count, 0), *kinds))
    heads = ("agent", "actions", *KINDS)
    return Table(name="actions", title="Actions by kind", heads=heads, rows=tuple(rows))


def _costs(group: GroupReport) -> Table:
    heads = ("agent", "runs", "USD", "USD a run", "input tokens", "output tokens", "hours", "hours a run", "GPU hours")
    rows = tuple((words(name), amount(totals.runs, 0), *_cost_cells(totals)) for name, totals in group.methods.items())
    note = "Over the runs that recorded it; —: none did. MLGym records the time of actions only, and no GPU time."
    return Table(name="cost", title="What it took", heads=heads, rows=rows, note=note)


def _cost_cells(totals: MethodTotals) -> tuple[Cell, ...]:
    return (
        _total(totals.cost_usd, 2, totals.runs),
        _each(totals.cost_usd, 2),
        _total(totals.input_tokens, 0, totals.runs),
        _total(totals.output_tokens, 0, totals.runs),
        _total(_hours(totals.seconds), 2, totals.runs),
        _each(_hours(totals.seconds), 3),
        _total(_hours(totals.gpu_seconds), 2, totals.runs),
    )


def _hours(seconds: Sum | None) -> Sum | None:
    return Sum(total=seconds.total / 3600, runs=seconds.runs) if seconds else None


def _total(found: Sum | None, decimals: int, runs: int) -> Cell:
    partly = f" ({found.runs} runs)" if found and found.runs < runs else ""
    return amount(found.total if found else None, decimals, more=partly)


def _each(found: Sum | None, decimals: int) -> Cell:
    return amount(found.total / found.runs if found else None, decimals)


def _missing(group: GroupReport) -> list[Table]:
    """Who has fewer runs than expected, or runs without a score; no table where none has."""
    rows = []
    for (task, name), cell in group.cells.items():
        unscored = cell.runs - cell.scored
        if cell.runs < group.k or unscored:
            rows.append((words(task.name), words(name), amount(group.k - cell.runs, 0), amount(unscored, 0)))
    heads = ("task", "agent", "runs missing", "runs without a score")
    note = f"{counted(group.k, 'run')} expected of each agent in each task."
    return [Table(name="missing", title="What is missing", heads=heads, rows=tuple(rows), note=note)] if rows else []


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.0f} %" if total else "—"


def counted(count: int, thing: str) -> str:
    """A number of things in words."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
