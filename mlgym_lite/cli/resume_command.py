"""`mlgym-lite resume`: the rest of an episode whose engine was killed."""

from __future__ import annotations

from collections.abc import Mapping
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
    from mlgym_lite.episode.recorder import STEPS_RECORD
    from mlgym_lite.episode.resumption import read_resumption
    from mlgym_lite.episode.run_reader import read_run
    from mlgym_lite.errors import EpisodeStateError

    whole = next((path for path in (run_directory, run_directory.absolute().parent) if (path / STEPS_RECORD).is_file()), None)
    if whole is not None:  # of a task of several steps, named by itself or by one of them
        first = next(iter(sorted(whole.glob("*/run.json"))), whole / "run.json").parent
        invocation = _invocation(read_run(first).run, run_directory)
        options = from_invocation(invocation)
        series = load_series(options.pop("task"))
        return play_series(series, options, as_json=as_json, quiet=quiet, resumed=whole, invocation=invocation)
    resumption = read_resumption(run_directory)
    options = from_invocation(_invocation(resumption.run, run_directory))
    task = load_task(options.pop("task"))
    if resumption.run["task"]["digest"] != task.digest:
        raise EpisodeStateError(f"{run_directory}: the task has changed since; a score would be of neither. Run it anew")
    return play(task, options, as_json=as_json, quiet=quiet, resumption=resumption)


def _invocation(run: Mapping[str, Any], run_directory: Path) -> Mapping[str, Any]:
    """How a run was asked for."""
    from mlgym_lite.errors import ActionsError

    invocation: Mapping[str, Any] | None = run.get("invocation")
    if not invocation:
        raise ActionsError(f"{run_directory}: was not begun by `mlgym-lite run`; Episode.resume goes on with it, in Python")
    return invocation
