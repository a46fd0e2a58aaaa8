"""`mlgym-lite status`: how a bench stands."""

from __future__ import annotations

from pathlib import Path

import click

from mlgym_lite.cli import options as shared


@click.command("status")
@click.argument("file", type=shared.PATH)
@shared.json_output
def command(file: Path, as_json: bool) -> None:
    """Show how the bench FILE stands: episodes done, running, to do and failed, and scores so far."""
    from mlgym_lite.benchmark.overview import overview_of
    from mlgym_lite.benchmark.plan import plan_bench
    from mlgym_lite.cli.bench_printing import print_overview
    from mlgym_lite.cli.printing import print_json

    overview = overview_of(plan_bench(file))
    if as_json:
        print_json(overview.record())
    else:
        print_overview(overview)
