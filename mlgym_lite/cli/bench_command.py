"""`mlgym-lite bench`: every episode of a bench file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlgym_lite.cli import options as shared

if TYPE_CHECKING:
    from mlgym_lite.benchmark.overview import Overview
    from mlgym_lite.benchmark.plan import Plan


@click.command("bench")
@click.argument("file", type=shared.PATH)
@click.option("--dry-run", is_flag=True, help="Print the plan and what it can cost, and run nothing.")
@click.option(
    "--executor", type=click.Choice(["local", "slurm"]), default="local", show_default=True,
    help="local: this machine, until all is done; slurm: submit an array of jobs and return.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(1), help="Episodes at once (default: as CPUs, memory and GPUs allow).")
@click.option("--again", is_flag=True, help="Also try what has failed before, such as after a wrong key was put right.")
@shared.json_output
@shared.quiet
def command(file: Path, dry_run: bool, executor: str, workers: int | None, again: bool, as_json: bool, quiet: bool) -> None:
    """Run every episode of the bench FILE that has no result yet.

    Interrupt it and run it again: it goes on. What failed for a reason that can pass is tried again. The format: docs/benches.md.

    Exit status 0: every episode has a result, scored or not.
    """
    from mlgym_lite.benchmark.local import Capacity, LocalBench
    from mlgym_lite.benchmark.overview import overview_of
    from mlgym_lite.benchmark.plan import plan_bench
    from mlgym_lite.benchmark.tries import check_commands
    from mlgym_lite.cli.bench_printing import BenchProgress, print_plan, print_standing
    from mlgym_lite.cli.printing import print_json
    from mlgym_lite.cli.report_command import print_report

    plan = plan_bench(file)
    before = overview_of(plan)
    if dry_run:
        check_commands(plan)
        if as_json:
            print_json({**before.record(), "most_cost_usd": plan.most_cost})
        else:
            print_plan(plan, before)
        return
    if executor == "slurm":
        _submit(plan, again=again, as_json=as_json)
        return
    capacity = Capacity.of_this_machine(_gpus(plan), workers or plan.bench.local.workers)
    left = before.counts["waiting"] + (before.counts["failed"] if again else 0)
    if left and not quiet and not as_json:
        click.echo(capacity.words(plan.episodes), err=True)
    progress = BenchProgress(plan, left, done=before.counts["done"], quiet=quiet or as_json)
    try:
        LocalBench(plan, capacity, progress.listener(), again=again).run()
    except KeyboardInterrupt:
        click.echo("what ran is left as it stands; the same command goes on with it", err=True)
        raise
    finally:
        progress.stop()
    after = overview_of(plan)
    if as_json:
        print_json(after.record())
    elif not quiet:
        if after.counts["done"]:
            print_report(plan.results)
        print_standing(after)
    _check_complete(after)


def _submit(plan: Plan, *, again: bool, as_json: bool) -> None:
    from mlgym_lite.benchmark.overview import overview_of
    from mlgym_lite.benchmark.slurm import submit_bench
    from mlgym_lite.cli.bench_printing import print_standing
    from mlgym_lite.cli.printing import counted, print_json

    numbers = submit_bench(plan, again=again)
    if as_json:
        print_json({"results": str(plan.results), "jobs": numbers})
        return
    arrays = sorted({number.partition("_")[0] for number in numbers.values()})
    named = f" as {', '.join(arrays)}" if arrays else ""
    click.echo(f"submitted {counted(len(numbers), 'episode')}{named}", err=True)
    click.echo(f"`mlgym-lite status {plan.file}` shows how it stands; `mlgym-lite report {plan.results}` what is done", err=True)
    print_standing(overview_of(plan))


def _check_complete(overview: Overview) -> None:
    from mlgym_lite.cli.printing import counted
    from mlgym_lite.errors import BenchIncomplete

    counts = overview.counts
    if counts["waiting"]:
        raise BenchIncomplete(
            f"{counted(counts['waiting'], 'episode')} not begun: more could be spent than is left of budget.cost_usd"
        )
    if counts["failed"]:
        raise BenchIncomplete(
            f"{counted(counts['failed'], 'episode')} failed; logs are in their folders. Mend it, and run the bench with --again"
        )


def _gpus(plan: Plan) -> int:
    """How many GPUs this process may use; looked for only where an episode asks for one."""
    if not any(episode.gpus for episode in plan.episodes):
        return 0
    import os

    from mlgym_lite.isolation.gpu_access import grantable_gpus
    from mlgym_lite.isolation.gpu_discovery import GpuHost

    return len(grantable_gpus(os.environ, GpuHost()))
