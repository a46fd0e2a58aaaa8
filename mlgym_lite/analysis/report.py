"""The numbers of a report, as plain data: what many runs scored, how they ended, what they did and what that took.

Runs of different groups (variant, scoring, feedback) are never put together: each group has a report of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlgym_lite.analysis import aup
from mlgym_lite.analysis.action_kinds import KINDS
from mlgym_lite.analysis.bootstrap import Mean, mean_of
from mlgym_lite.analysis.method_names import method_names
from mlgym_lite.analysis.report_notes import notes_on
from mlgym_lite.analysis.score_curves import Curve, curves_of
from mlgym_lite.analysis.scored_run import Group, Method, ScoredRun, TaskKey, best_of


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one method scored in one task."""

    runs: int
    """Including those without a score and those that are unfinished, but not those that were planned only."""
    scored: int
    """Runs with a submission that was scored."""
    attempted: int
    """Runs in which anything was scored."""
    best_attempt: float | None
    """The best of every attempt of every run."""
    best_submission: float | None
    mean_submission: Mean | None
    improvement: Mean | None
    """Over the baseline, positive when better."""
    better_than_baseline: int
    """Runs whose submission is."""


@dataclass(frozen=True, kw_only=True)
class Sum:
    """The sum of a quantity over the runs that recorded it."""

    total: float
    runs: int


@dataclass(frozen=True, kw_only=True)
class MethodTotals:
    """How the runs of one method ended, over all tasks, and what they took."""

    method: Method
    runs: int
    unfinished: int
    endings: Mapping[tuple[str, str], int]
    """How many by fault and reason; unfinished runs are not among them."""
    actions: Mapping[str, int]
    cost_usd: Sum | None
    """None where no run recorded it."""
    input_tokens: Sum | None
    output_tokens: Sum | None
    seconds: Sum | None
    gpu_seconds: Sum | None


@dataclass(frozen=True, kw_only=True)
class Aup:
    """Performance profiles over the tasks of a group and the area under them."""

    tau_max: float
    """Of MLGym's version; the fixed one's is 1."""
    attempt_ratios: tuple[aup.TaskRatios, ...]
    submission_ratios: tuple[aup.TaskRatios, ...]
    best_attempt: Mapping[str, float]
    """By method, the baseline included; to three decimals, as MLGym."""
    best_submission: Mapping[str, float]
    fixed_best_attempt: Mapping[str, float]
    fixed_best_submission: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class GroupReport:
    """Everything about the runs that may be compared."""

    group: Group
    k: int
    """Runs expected of each method in each task: what was asked for, else the most that any has or was planned to have."""
    runs: int
    left_out: int
    """Runs beyond k."""
    notes: tuple[str, ...]
    tasks: tuple[TaskKey, ...]
    baselines: Mapping[TaskKey, float | None]
    methods: Mapping[str, MethodTotals]
    """By the names that methods have in this report."""
    cells: Mapping[tuple[TaskKey, str], Cell]
    """Of every task and method, without runs too."""
    aup: Aup
    curves: Mapping[tuple[TaskKey, str], Curve]

    @property
    def unfinished(self) -> int:
        """Runs without a result."""
        return sum(totals.unfinished for totals in self.methods.values())


@dataclass(frozen=True, kw_only=True)
class Report:
    """All groups, full and clean ones first."""

    groups: tuple[GroupReport, ...]
    runs: int
    planned_only: int
    """What benches planned and did not begin; in each group they count as missing."""
    unfinished: int
    scored: int
    """Runs with a submission that was scored."""
    problems: tuple[str, ...]
    """A line for each run directory that could not be read."""


def report_on(runs: Sequence[ScoredRun], problems: Sequence[str] = (), *, k: int | None = None) -> Report:
    """The report on runs; with `k`, only the first k of each method and task count, by seed."""
    groups: dict[Group, list[ScoredRun]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    return Report(
        groups=tuple(_group_report(group, groups[group], k) for group in sorted(groups, key=_group_order)),
        runs=sum(run.begun for run in runs),
        planned_only=sum(not run.begun for run in runs),
        unfinished=sum(run.begun and not run.finished for run in runs),
        scored=sum(run.submission is not None for run in runs),
        problems=tuple(problems),
    )


def _group_order(group: Group) -> tuple[bool, bool, str, str, str]:
    return (group.variant != "full", group.scoring != "clean", *group)


def _group_report(group: Group, runs: list[ScoredRun], wanted: int | None) -> GroupReport:
    names = method_names({run.method for run in runs})
    cells: dict[tuple[TaskKey, str], list[ScoredRun]] = {}
    for run in sorted(runs, key=lambda run: (run.seed, run.path)):
        cells.setdefault((run.task, names[run.method]), []).append(run)
    k = wanted or max(map(len, cells.values()))
    kept = {key: [run for run in found[:k] if run.begun] for key, found in cells.items()}
    counted = [run for found in kept.values() for run in found]
    tasks = tuple(sorted({task for task, _ in kept}))
    methods = {name: _totals(method, [run for run in counted if run.method == method]) for method, name in names.items()}
    baselines = {task: _baseline(run for run in counted if run.task == task) for task in tasks}
    made = {(task, name): _cell(task, kept.get((task, name), [])) for task in tasks for name in methods}
    return GroupReport(
        group=group,
        k=k,
        runs=len(counted),
        left_out=sum(run.begun for run in runs) - len(counted),
        notes=notes_on(group, counted),
        tasks=tasks,
        baselines=baselines,
        methods=methods,
        cells=made,
        aup=_aup(tasks, list(methods), baselines, made),
        curves={key: curves_of(found) for key, found in kept.items()},
    )


def _baseline(runs: Iterable[ScoredRun]) -> float | None:
    """The first that was recorded, as in MLGym."""
    return next((run.baseline for run in runs if run.baseline is not None), None)


def _cell(task: TaskKey, runs: list[ScoredRun]) -> Cell:
    attempts = [run.best_attempt for run in runs if run.best_attempt is not None]
    submissions = [run.submission for run in runs if run.submission is not None]
    improvements = [run.improvement for run in runs if run.improvement is not None]
    return Cell(
        runs=len(runs),
        scored=len(submissions),
        attempted=len(attempts),
        best_attempt=best_of(attempts, task.direction),
        best_submission=best_of(submissions, task.direction),
        mean_submission=mean_of(submissions),
        improvement=mean_of(improvements),
        better_than_baseline=sum(value > 0 for value in improvements),
    )


def _totals(method: Method, runs: list[ScoredRun]) -> MethodTotals:
    actions = Counter[str]()
    for run in runs:
        actions.update(dict(zip(KINDS, run.actions, strict=False)))
    return MethodTotals(
        method=method,
        runs=len(runs),
        unfinished=sum(not run.finished for run in runs),
        endings=Counter((run.fault, run.reason) for run in runs if run.finished),
        actions=actions,
        cost_usd=_sum(run.cost_usd for run in runs),
        input_tokens=_sum(run.input_tokens for run in runs),
        output_tokens=_sum(run.output_tokens for run in runs),
        seconds=_sum(run.seconds for run in runs),
        gpu_seconds=_sum(run.gpu_seconds for run in runs),
    )


def _sum(values: Iterable[float | None]) -> Sum | None:
    known = [value for value in values if value is not None]
    return Sum(total=sum(known), runs=len(known)) if known else None


def _aup(
    tasks: Sequence[TaskKey],
    methods: Sequence[str],
    baselines: Mapping[TaskKey, float | None],
    cells: Mapping[tuple[TaskKey, str], Cell],
) -> Aup:
    def ratios(scores: Mapping[tuple[TaskKey, str], float | None]) -> tuple[aup.TaskRatios, ...]:
        tables = [{aup.BASELINE: baselines[task], **{name: scores[task, name] for name in methods}} for task in tasks]
        directions = [task.direction for task in tasks]
        return tuple(
            aup.task_ratios(aup.TaskScores(direction=direction, scores=table))
            for direction, table in zip(directions, tables, strict=True)
        )

    attempts = ratios({key: cell.best_attempt for key, cell in cells.items()})
    submissions = ratios({key: cell.best_submission for key, cell in cells.items()})
    tau_max = aup.range_of([attempts, submissions])
    has_baseline = any(value is not None for value in baselines.values())
    everyone = [*methods, aup.BASELINE] if has_baseline else [*methods]
    return Aup(
        tau_max=tau_max,
        attempt_ratios=attempts,
        submission_ratios=submissions,
        best_attempt={name: round(aup.aup(attempts, name, tau_max), 3) for name in everyone},
        best_submission={name: round(aup.aup(submissions, name, tau_max), 3) for name in everyone},
        fixed_best_attempt={name: round(aup.fixed_aup(attempts, name), 3) for name in everyone},
        fixed_best_submission={name: round(aup.fixed_aup(submissions, name), 3) for name in everyone},
    )
