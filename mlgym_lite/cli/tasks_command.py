"""`mlgym-lite tasks`: the shipped tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlgym_lite.cli import options as shared


@click.command("tasks")
@shared.data
@shared.json_output
def command(data: Path | None, as_json: bool) -> None:
    """List the shipped tasks and the variants that are ready on this host."""
    from mlgym_lite.cli.printing import number, print_json
    from mlgym_lite.config.data_folder import is_ready
    from mlgym_lite.config.places import places
    from mlgym_lite.config.task_file import load_task
    from mlgym_lite.shipped_files import shipped_task_names

    where = places(data=data)
    rows: list[dict[str, Any]] = []
    for name in shipped_task_names():
        task = load_task(name)
        ours = task.file.metadata.mlgym_lite
        baseline = task.stated_baseline("full")
        rows.append(
            {
                "name": task.name,
                "domain": ours.domain,
                "metric": ours.metric,
                "direction": ours.direction,
                "baseline": None if baseline is None else baseline[ours.metric],
                "variants": {"full": is_ready(task, "full", where), "mini": is_ready(task, "mini", where)},
                "description": task.file.task.description if task.file.task else "",
            }
        )
    if as_json:
        print_json(rows)
        return
    click.echo(f"{'task':<20} {'domain':<16} {'metric':<8} {'direction':<10} {'baseline':>10}  ready")
    for row in rows:
        ready = ", ".join(variant for variant, is_there in row["variants"].items() if is_there) or "none"
        click.echo(
            f"{row['name']:<20} {row['domain']:<16} {row['metric']:<8} {row['direction']:<10} "
            f"{number(row['baseline']):>10}  {ready}"
        )
