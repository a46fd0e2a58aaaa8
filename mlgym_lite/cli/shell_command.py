"""`mlgym-lite shell`: a person in the agent's sandbox."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click

from mlgym_lite.cli import options as shared


@click.command("shell")
@click.argument("task")
@shared.episode_options
@shared.json_output
def command(task: str, as_json: bool, **options: Any) -> int:
    """Work on TASK yourself, with an agent's tools and limits: `validate` and `submit` score, Ctrl-D ends."""
    from mlgym_lite.cli.agent_choice import human
    from mlgym_lite.cli.endings import exit_status
    from mlgym_lite.cli.printing import Progress, print_json, print_outcome
    from mlgym_lite.config.places import places
    from mlgym_lite.config.task_file import load_task
    from mlgym_lite.episode.runner import run_episode

    settings = shared.run_settings(options)
    cache = places(data=settings.data).cache
    agent, listeners = human(Progress(quiet=False).listeners(), cache)
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        outcome = run_episode(load_task(task), agent, settings, cache=cache, listeners=listeners)
    if as_json:
        print_json(dict(outcome.result))
    print_outcome(outcome)
    return exit_status(outcome)
