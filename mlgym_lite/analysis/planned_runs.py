"""Episodes that a bench planned and that were not begun: a report shows them as missing.

A bench's plan.json names every episode with its folder; one whose folder holds no run directory was not begun.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlgym_lite.analysis.recorded_values import RecordError, json_object, table, text, whole_number
from mlgym_lite.analysis.scored_run import NOT_BEGUN, Group, Method, ScoredRun, TaskKey

PLAN = "plan.json"


def planned_runs(plan: Path) -> Iterator[ScoredRun]:
    """What a plan.json names and nobody began; raises RecordError with the file."""
    content = json_object(plan)
    try:
        tasks, episodes = table(content, "tasks"), content.get("episodes")
        if not isinstance(episodes, list) or not all(isinstance(episode, dict) for episode in episodes):
            raise RecordError("'episodes': expected a list of objects")
        for episode in episodes:
            path = plan.parent / (text(episode, "folder") or "")
            if not _was_begun(path):
                yield _planned_run(path, content, table(tasks, text(episode, "task") or ""), episode)
    except RecordError as error:
        raise RecordError(f"{plan}: {error}") from error


def _planned_run(path: Path, plan: Mapping[str, Any], task: Mapping[str, Any], episode: Mapping[str, Any]) -> ScoredRun:
    known = {key: text(task, key) for key in ("metric", "direction", "feedback")}
    name, agent = text(episode, "task"), text(episode, "agent")
    if not name or not agent or not all(known.values()):
        raise RecordError("expected of each episode its task and agent, and of each task its metric, direction and feedback")
    return ScoredRun(
        path=str(path),
        source="mlgym-lite",
        group=Group(
            variant=text(plan, "variant") or "full",
            scoring=text(plan, "scoring") or "clean",
            feedback=str(known["feedback"]),
        ),
        method=Method(agent=agent, model=text(episode, "model")),
        task=TaskKey(name=name, metric=str(known["metric"]), direction=str(known["direction"])),
        seed=whole_number(episode, "seed") or 0,
        digest=None,
        finished=False,
        reason=NOT_BEGUN,
    )


def _was_begun(folder: Path) -> bool:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a list of names
    except OSError:
        return False
    return any(name.startswith("try-") and (folder / name / "run.json").exists() for name in names)
