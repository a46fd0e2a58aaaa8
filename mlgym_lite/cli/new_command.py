"""`mlgym-lite new`: a task of one's own, complete and ready to be changed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import cast

import click

from mlgym_lite.cli import options as shared


@click.command("new")
@click.argument("name")
@click.option("--in", "within", type=shared.PATH, default=Path(), help="Folder in which it is made (default: the current one).")
@click.option(
    "--kind", type=click.Choice(["table", "player"]), default="table", show_default=True,
    help="table: the agent hands in a file of predictions; player: it hands in code that plays against a hidden opponent.",
)  # fmt: skip
@shared.json_output
def command(name: str, within: Path, kind: str, as_json: bool) -> None:
    """Make the task NAME: a small honest example that passes its check, with YOURS where it is to be changed."""
    from mlgym_lite.authoring.new_task import Kind, new_task
    from mlgym_lite.cli.printing import harmless, print_json

    made = new_task(name, within=within, kind=cast(Kind, kind))
    folder = shlex.quote(str(made.folder))
    commands = [
        f"mlgym-lite check {folder}",
        f"mlgym-lite run {folder} --variant mini --agent baseline",
        f"mlgym-lite shell {folder} --variant mini",
    ]
    if as_json:
        print_json(
            {"task": made.name, "kind": kind, "folder": str(made.folder.absolute()), "files": list(made.files), "next": commands}
        )
        return
    lines = [f"made {made.folder}, a task that works: {len(made.files)} files, with YOURS where to change them. Next:"]
    click.echo(harmless("\n".join([*lines, *(f"  {line}" for line in commands)])), err=True)
