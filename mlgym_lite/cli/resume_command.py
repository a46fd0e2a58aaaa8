"""`mlgym-lite resume`: the rest of an episode whose engine was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlgym_lite.cli import options as shared


@click.command("resume")
@click.argument("run_directory", type=shared.PATH)
@shared.json_output
@shared.quiet
def command(run_directory: Path, as_json: bool, quiet: bool) -> int:
    """Go on with the episode of RUN_DIRECTORY from its last finished step, with the agent, the limits and the budget it had.

    RUN_DIRECTORY may be the folder of a task of several steps: the step goes on, and the rest follow.

    For runs that ended without a result: kill -9, a lost node, a reboot. Files and exported variables are kept; background jobs
    and /tmp are gone, and the agent is told.
    """
    from mlgym_lite.cli.invocation import from_invocation
    from mlgym_lite.cli.playing import play, play_series
    from mlgym_lite.config.series_file import load_series
    from mlgym_lite.config.task_file import load_task
    from mlgym_lite.episode.resumption import check_unchanged, read_resumption

    step = _step_in(run_directory)
    if step is not None:
        invocation = _invocation(step)
        options = from_invocation(invocation)
        series = load_series(options.pop("task"))
        return play_series(series, options, as_json=as_json, quiet=quiet, resumed=step.parent, invocation=invocation)
    resumption = read_resumption(run_directory)
    options = from_invocation(_invocation(run_directory))
    task = load_task(options.pop("task"))
    check_unchanged(run_directory, resumption.run, task)
    return play(task, options, as_json=as_json, quiet=quiet, resumption=resumption)


def _step_in(folder: Path) -> Path | None:
    """The run directory of a step of several: the folder itself, or one in it; None where it is neither."""
    from mlgym_lite.episode.run_reader import recorded_json

    folder = folder.resolve()
    for path in [folder] if (folder / "run.json").is_file() else sorted(file.parent for file in folder.glob("*/run.json")):
        task = recorded_json(path / "run.json").get("task")
        if isinstance(task, dict) and task.get("step") == path.name:
            return path
    return None


def _invocation(run_directory: Path) -> dict[str, Any]:
    """How a run was asked for."""
    from mlgym_lite.episode.run_reader import recorded_json
    from mlgym_lite.errors import ActionsError

    invocation = recorded_json(run_directory / "run.json").get("invocation")
    if not isinstance(invocation, dict):
        raise ActionsError(f"{run_directory}: was not begun by `mlgym-lite run`; Episode.resume goes on with it, in Python")
    return invocation
