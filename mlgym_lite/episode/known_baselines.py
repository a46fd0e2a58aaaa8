"""The baseline a score is compared with: stated in the task file, or measured once on this host and kept in the cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlgym_lite.config.places import Places
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.task_file import Task, Variant
from mlgym_lite.isolation.marked_folders import temporary_folder
from mlgym_lite.whole_files import write_whole


def known_baseline(task: Task, variant: Variant, places: Places) -> Mapping[str, float] | None:
    """The stated baseline, else the one measured before; None where neither is there or the task has no solution."""
    stated = task.stated_baseline(variant)
    if stated is not None or task.step:  # what a step scores depends on what came before it
        return stated
    try:
        content: Mapping[str, float] = json.loads(_kept_in(task, variant, places).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content


def keep_baseline(task: Task, variant: Variant, places: Places, metrics: Mapping[str, float]) -> None:
    """Keep a measured baseline, unless it is a step's; a cache that cannot be written only means that it is measured again."""
    if task.step:
        return
    path = _kept_in(task, variant, places)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(dict(metrics)))
    except OSError:
        return


def _kept_in(task: Task, variant: Variant, places: Places) -> Path:
    return places.cache / "baselines" / f"{task.name}-{variant}-{task.scoring}-{task.digest[:24]}.json"


def measure_baseline(
    task: Task,
    settings: RunSettings,
    places: Places,
    environment: Mapping[str, str],
    episode: Callable[..., Any],
    on_progress: Callable[[str], None] | None,
) -> Mapping[str, float] | None:
    """Run the task's solution in an episode of its own and keep what it scores; None where the task has no solution."""
    from mlgym_lite.agents.baseline import BaselineAgent
    from mlgym_lite.episode.runner import mounts_for, run_agent

    if task.step or not (task.folder / "solution" / "solve.sh").is_file():  # a step goes on from what came before it
        return None
    if on_progress:
        on_progress(f"measuring the baseline of {task.name} ({settings.variant}), once for this host")
    agent = BaselineAgent(task, environment)
    with temporary_folder("baseline") as folder:
        own = replace(settings, output=folder / "run", max_steps=None, time_limit_seconds=None)
        mounts = mounts_for(agent, task, places.cache)
        with episode(task, settings=own, agent="baseline", further_mounts=mounts, environment=environment) as run:
            outcome = run_agent(run, agent)
    if outcome.result["score"] is None:
        return None
    metrics: Mapping[str, float] = outcome.result["score"]["metrics"]
    keep_baseline(task, settings.variant, places, metrics)
    return metrics
