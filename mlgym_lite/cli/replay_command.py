"""`mlgym-lite replay`: recorded actions again."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
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

    Of a run and its exports, the variant, the seeds and the limits are the recorded ones. Outputs that hold dates,
    times or process numbers differ, as those of `ls -l` do.

    Exit status 0: every observation and every score is as recorded.
    """
    from mlgym_lite.cli.printing import Progress, harmless, print_json
    from mlgym_lite.episode.replay import plan_replay, replay
    from mlgym_lite.errors import ReplayDifference

    given = _given("task", "variant", "parity", "seed", "max_steps", "time_limit")
    plan = plan_replay(recording, task, shared.run_settings(options))
    if plan.is_of_a_run and given:
        raise click.UsageError(f"{recording}: is a run, which tells its own {', '.join(given)}; leave that out")
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
        recorded, replayed = _metrics(pair.expected), _metrics(pair.got)
        click.echo(f"score at step {pair.step}: recorded {recorded}, replayed {replayed}: {mark}", err=True)
    summary = f"{comparison.steps} steps, {comparison.compared} compared, {comparison.equal} equal"
    if not comparison.agrees:
        raise ReplayDifference(f"the replay differs from its recording ({summary})")
    agrees = comparison.compared or comparison.scores
    words = "the replay agrees with its recording" if agrees else "nothing to compare: the file holds actions only"
    click.echo(f"{words} ({summary})", err=True)


def _given(*names: str) -> list[str]:
    """Those of the options that the command line names."""
    context = click.get_current_context()
    named = click.core.ParameterSource.COMMANDLINE
    return [name.replace("_", "-") for name in names if context.get_parameter_source(name) is named]


def _metrics(metrics: Mapping[str, float] | None) -> str:
    return "none" if metrics is None else ", ".join(f"{name} = {value:.6g}" for name, value in metrics.items())
