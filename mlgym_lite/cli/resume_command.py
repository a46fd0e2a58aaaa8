"""`mlgym-lite resume`: the rest of an episode whose engine was killed."""

from __future__ import annotations

from pathlib import Path

import click

from mlgym_lite.cli import options as shared


@click.command("resume")
@click.argument("run_directory", type=shared.PATH)
@shared.json_output
@shared.quiet
def command(run_directory: Path, as_json: bool, quiet: bool) -> int:
    """Go on with the episode of RUN_DIRECTORY from its last finished step, with the agent, the limits and the budget it had.

    For runs that ended without a result: kill -9, a lost node, a reboot. Files and exported variables are kept; background jobs
    and /tmp are gone, and the agent is told.
    """
    from mlgym_lite.cli.invocation import from_invocation
    from mlgym_lite.cli.playing import play
    from mlgym_lite.config.task_file import load_task
    from mlgym_lite.episode.recorder import STEPS_RECORD
    from mlgym_lite.episode.resumption import read_resumption
    from mlgym_lite.errors import ActionsError, EpisodeStateError

    resumption = read_resumption(run_directory)
    recorded = resumption.run
    if (resumption.path.parent / STEPS_RECORD).is_file():
        raise ActionsError(
            f"{run_directory}: is a step of a task of several, which cannot be gone on with. Run the task anew, or go on with "
            "this step alone by Episode.resume, in Python"
        )
    if not recorded.get("invocation"):
        raise ActionsError(f"{run_directory}: was not begun by `mlgym-lite run`; Episode.resume goes on with it, in Python")
    options = from_invocation(recorded["invocation"])
    task = load_task(options.pop("task"))
    if recorded["task"]["digest"] != task.digest:
        raise EpisodeStateError(f"{run_directory}: the task has changed since; a score would be of neither. Run it anew")
    return play(task, options, as_json=as_json, quiet=quiet, resumption=resumption)
