"""The command `python -m benchmarks`: runs the benchmarks that are named, prints one table, exits 1 where a limit is passed."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path

import click

from benchmarks.measuring import Bench
from benchmarks.table import Row, as_json, as_text, is_within_limits, machine_facts

NAMES = ("step", "turn", "reset", "fork", "mlgym", "help", "growth", "many", "scale", "report")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--quick", is_flag=True, help="Fewer repetitions.")
@click.option("--json", "as_data", is_flag=True, help="Print JSON instead of a table.")
@click.option("--peers", type=click.Path(file_okay=False, path_type=Path), help="Where other systems are installed and kept.")
def main(names: tuple[str, ...], quick: bool, as_data: bool, peers: Path | None) -> None:
    """Measure the engine against other sides; without NAMES, everything."""
    machine = machine_facts()
    with tempfile.TemporaryDirectory(prefix="mlgym-lite-benchmarks-") as temporary:
        work = Path(temporary, "work")
        work.mkdir()
        kept = peers.absolute() if peers else Path(temporary, "peers")
        bench = Bench(folder=work, peers=kept, environment=dict(os.environ), quick=quick)
        rows = [row for name in names or NAMES for row in _rows(name, bench)]
    click.echo(as_json(machine, rows) if as_data else as_text(machine, rows))
    sys.exit(0 if is_within_limits(rows) else 1)


def _rows(name: str, bench: Bench) -> list[Row]:
    """One benchmark's rows; an error is a row that failed, so that the others are still told."""
    click.echo(f"{name} ...", err=True)
    try:
        rows: list[Row] = importlib.import_module(f"benchmarks.{name}").run(bench)
    except Exception as error:
        return [Row(benchmark=name, what="", note=f"{type(error).__name__}: {error}", state="failed")]
    return rows


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
