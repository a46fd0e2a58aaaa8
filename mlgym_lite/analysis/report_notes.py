"""What a reader must know before the numbers of a group are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mlgym_lite.analysis.scored_run import Group, ScoredRun


def notes_on(group: Group, runs: Sequence[ScoredRun]) -> tuple[str, ...]:
    """Sentences, the most general first."""
    return (*_on_feedback(group), *_on_isolation(runs), *_on_tasks(runs))


def _on_feedback(group: Group) -> list[str]:
    if group.feedback == "test":
        return ["Validations saw the test split, so the best attempt is chosen on what it is measured by."]
    return ["Validations scored the development split: the best attempt is what an agent saw, the best submission is the result."]


def _on_isolation(runs: Sequence[ScoredRun]) -> list[str]:
    count = sum(run.mechanism == "none" for run in runs)
    if not count:
        return []
    return [f"{count} of {len(runs)} runs had no sandbox (--isolation none): their scores could have been forged."]


def _on_tasks(runs: Sequence[ScoredRun]) -> list[str]:
    digests, baselines, metrics = (_several(runs, of) for of in (lambda run: run.digest, lambda run: run.baseline, _metric))
    return [
        *(f"{name} was played in {len(found)} versions of its files." for name, found in digests),
        *(
            f"{name} has baselines from {min(found):.6g} to {max(found):.6g}; the first run's is taken."
            for name, found in baselines
        ),
        *(f"{name} is ranked by {', '.join(sorted(found))}, each apart." for name, found in metrics),
    ]


def _metric(run: ScoredRun) -> str:
    return f"{run.task.metric} ({run.task.direction})"


def _several(runs: Sequence[ScoredRun], of: Callable[[ScoredRun], Any]) -> list[tuple[str, set[Any]]]:
    """The tasks of which runs differ in something, by name, with what they have."""
    found: dict[str, set[Any]] = {}
    for run in runs:
        if of(run) is not None:
            found.setdefault(run.task.name, set()).add(of(run))
    return sorted((name, values) for name, values in found.items() if len(values) > 1)
