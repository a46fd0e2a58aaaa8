"""`mlgym-lite tasks`: the shipped tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlgym_lite.cli import options as shared

if TYPE_CHECKING:
    from mlgym_lite.config.places import Places


@click.command("tasks")
@shared.data
@shared.json_output
def command(data: Path | None, as_json: bool) -> None:
    """List the shipped tasks and the variants that are ready on this host."""
    from mlgym_lite.cli.printing import print_json
    from mlgym_lite.config.places import places
    from mlgym_lite.errors import TaskError
    from mlgym_lite.shipped_files import shipped_task_names

    where = places(data=data)
    rows, problems = [], []
    for name in shipped_task_names():
        try:
            rows.append(_row(name, where))
        except TaskError as error:
            problems.append(str(error))
    if as_json:
        print_json(rows)
    elif rows:
        _print_table(rows)
    if problems:
        raise TaskError("\n".join(problems))


def _row(name: str, where: Places) -> dict[str, Any]:
    """What is told of one task."""
    from mlgym_lite.config.data_folder import data_bytes, is_ready
    from mlgym_lite.config.task_file import VARIANTS, load_task
    from mlgym_lite.episode.known_baselines import known_baseline

    task = load_task(name)
    ours = task.file.metadata.mlgym_lite
    baselines = {variant: known_baseline(task, variant, where) for variant in VARIANTS}
    values = {variant: found[ours.metric] if found else None for variant, found in baselines.items()}
    return {
        "name": task.name,
        "domain": ours.domain,
        "metric": ours.metric,
        "direction": ours.direction,
        "baseline": values["full"],
        "baselines": values,
        "variants": {variant: is_ready(task, variant, where) for variant in VARIANTS},
        "download_megabytes": task.data.download.megabytes if task.data and task.data.download else 0,
        "size_bytes": {variant: data_bytes(task, variant, where) for variant in VARIANTS},
        "description": task.file.task.description if task.file.task else "",
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    heads = ("task", "domain", "metric", "direction", "baseline", "mini", "ready", "data")
    lines = [heads, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A task's line of the table."""
    from mlgym_lite.cli.printing import number

    ready = ", ".join(variant for variant, is_there in row["variants"].items() if is_there) or "none"
    baselines = map(number, row["baselines"].values())
    return (row["name"], row["domain"], row["metric"], row["direction"], *baselines, ready, _size(row))


def _size(row: dict[str, Any]) -> str:
    """How large the full variant's data is, or would be."""
    if row["size_bytes"]["full"]:
        return f"{row['size_bytes']['full'] / 1e6:.1f} MB"
    return f"{row['download_megabytes']} MB to download" if row["download_megabytes"] else "—"
