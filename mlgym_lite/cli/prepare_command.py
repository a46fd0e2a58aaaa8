"""`mlgym-lite prepare`: what needs a network, done ahead."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import click

from mlgym_lite.cli import options as shared


@click.command("prepare")
@click.argument("tasks", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Prepare every shipped task.")
@click.option(
    "--source", type=shared.PATH, help="Your copy of the data: a file under a licence, or a folder to take instead of a download."
)
@click.option(
    "--accelerator", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True,
    help="Which build of PyTorch, for tasks that need it: auto takes the GPUs' where this host has one.",
)  # fmt: skip
@click.option("--environments-only", is_flag=True, help="Leave the data out.")
@shared.data
@shared.json_output
def command(
    tasks: tuple[str, ...],
    every: bool,
    source: Path | None,
    accelerator: str,
    environments_only: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Build the environments of TASKS and put their data in place, on a machine with network.

    The results lie in the cache (MLGYM_LITE_CACHE) and the data folder (--data, MLGYM_LITE_DATA); nodes without network use
    both read-only.
    """
    from mlgym_lite.cli.printing import Progress, print_json
    from mlgym_lite.config.places import places
    from mlgym_lite.config.series_file import Series, load_task_or_series
    from mlgym_lite.episode.preparation import prepare_task
    from mlgym_lite.errors import DataError
    from mlgym_lite.isolation.gpu_discovery import GpuHost, has_driver
    from mlgym_lite.isolation.torch_builds import Accelerator
    from mlgym_lite.shipped_files import shipped_task_names

    names = tuple(shipped_task_names()) if every else tasks
    if not names:
        raise click.UsageError("name at least one task, or use --all")
    if source is not None and len(names) != 1:
        raise click.UsageError("--source goes with one task")
    where = places(data=data)
    read = {name: load_task_or_series(name) for name in names}
    loaded = {name: [step.task for step in one.steps] if isinstance(one, Series) else [one] for name, one in read.items()}
    first = loaded[names[0]][0]
    if source is not None and (first.data is None or first.data.prepare is None):
        raise click.UsageError(f"{names[0]} needs no --source")
    build = cast(Accelerator, accelerator if accelerator != "auto" else ("gpu" if has_driver(GpuHost()) else "cpu"))
    tell = Progress(quiet=False).line
    problems: dict[str, DataError] = {}
    for name, tasks_of_it in loaded.items():
        for task in tasks_of_it:
            try:
                prepare_task(
                    task, where, os.environ, source=source if task is first else None, with_data=not environments_only,
                    accelerator=build, on_progress=tell,
                )  # fmt: skip
            except DataError as error:  # its environments are built by then; the other tasks are not held up
                problems[name] = error
                break  # the data is the same for each of its steps
    if as_json:
        print_json(
            {"prepared": [name for name in names if name not in problems], "cache": str(where.cache), "data": str(where.data)}
        )
    if problems:
        raise DataError("\n".join(str(error) for error in problems.values()))
