"""`mlgym-lite replay`: recorded actions again."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import click

from mlgym_lite.cli import options as shared

_SHOWN_DIFFERENCES = 3
_SHOWN_LINES = 12


@click.command("replay")
@click.argument("recording", type=shared.PATH)
@click.option("--task", help="The task, where the recording does not tell it (.traj, files of actions).")
@shared.episode_options
@shared.json_output
@shared.quiet
def command(recording: Path, task: str | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Run the actions of RECORDING again and compare: a run directory or its export, JSON Lines, or MLGym's .traj.

    Of a run and its exports, the variant, the seeds and the limits are the recorded ones.

    Exit status 0: every observation and every score is as recorded.
    """
    from mlgym_lite.cli.printing import Progress, harmless, print_json
    from mlgym_lite.episode.replay import plan_replay, replay
    from mlgym_lite.errors import ReplayDifference

    plan = plan_replay(recording, task, shared.run_settings(options))
    progress = Progress(quiet=quiet or as_json)
    comparison = replay(plan, listeners=progress.listeners())
    if as_json:
        print_json(comparison.record())
    for difference in comparison.differences[:_SHOWN_DIFFERENCES]:
        lines = difflib.unified_diff(
            difference.expected.splitlines(), difference.got.splitlines(), "recorded", "replayed", lineterm="", n=1
        )
        click.echo(f"step {difference.step} differs:", err=True)
        for line in list(lines)[:_SHOWN_LINES]:
            click.echo(f"  {harmless(line)}", err=True)
    for pair in comparison.scores:
        mark = "agrees" if pair.agrees else "differs"
        click.echo(f"score at step {pair.step}: recorded {pair.expected}, replayed {pair.got}: {mark}", err=True)
    summary = f"{comparison.steps} steps, {comparison.compared} compared, {comparison.equal} equal"
    if not comparison.agrees:
        raise ReplayDifference(f"the replay differs from its recording ({summary})")
    agrees = comparison.compared or comparison.scores
    words = "the replay agrees with its recording" if agrees else "nothing to compare: the file holds actions only"
    click.echo(f"{words} ({summary})", err=True)
