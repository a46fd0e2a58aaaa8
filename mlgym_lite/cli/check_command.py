"""`mlgym-lite check`: is a task sound, and can its score be forged?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from mlgym_lite.cli import options as shared

if TYPE_CHECKING:
    from mlgym_lite.episode.task_check import CheckResult


@click.command("check")
@click.argument("tasks", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Check every shipped task.")
@click.option("--variant", type=click.Choice(["full", "mini"]), default="mini", show_default=True, help="Which variant to run.")
@click.option("--better", is_flag=True, help="Also check that solution/better.sh scores better than the baseline.")
@click.option("--file-only", is_flag=True, help="Read and check the files, run nothing.")
@shared.isolation
@shared.data
@shared.network_options
@shared.json_output
def command(
    tasks: tuple[str, ...],
    every: bool,
    variant: str,
    better: bool,
    file_only: bool,
    isolation: str,
    data: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Check TASKS: the task file, the baseline, an empty submission, and every script in cheats/.

    Of a task of several steps this is done for each, from what the baseline of the step before left.
    """
    from mlgym_lite.cli.printing import Progress, harmless, number, one_line, print_json
    from mlgym_lite.config.places import places
    from mlgym_lite.config.run_settings import IsolationChoice, RunSettings
    from mlgym_lite.config.series_file import Series, load_task_or_series
    from mlgym_lite.config.task_file import Task, Variant
    from mlgym_lite.episode.task_check import check_task
    from mlgym_lite.errors import CheckError, TaskError
    from mlgym_lite.shipped_files import shipped_task_names

    names = tuple(shipped_task_names()) if every else tasks
    if not names:
        raise click.UsageError("name at least one task, or use --all")
    choice = cast(IsolationChoice, isolation)
    settings = RunSettings(variant=cast(Variant, variant), isolation=choice, data=data, **shared.network_settings(options))
    results: list[CheckResult] = []
    loaded: list[Task | Series] = []
    problems: list[str] = []
    for name in names:
        try:
            loaded.append(load_task_or_series(name))
        except TaskError as error:
            problems.append(str(error))

    def tell(result: CheckResult) -> None:
        mark = "ok  " if result.passed else "FAIL"
        detail = one_line(result.detail, 160) if result.passed else harmless(result.detail)
        click.echo(f"{mark} {result.task}: {result.name}: {number(result.score)}  {result.seconds:.1f} s  {detail}", err=True)

    tell_progress = Progress(quiet=False).line
    for task in loaded:
        click.echo(f"{task.name}: {harmless(str(task.folder))}: the files are sound", err=True)
        if not file_only:
            results += check_task(task, settings, places(data=data).cache, tell, better=better, on_progress=tell_progress)
    if as_json:
        content: dict[str, Any] = {"results": [asdict(result) for result in results], "problems": problems}
        print_json(content)
    failed = [result for result in results if not result.passed]
    if problems and not loaded:
        raise TaskError("\n".join(problems))
    if failed or problems:
        lines = [f"{result.task}: {result.name}: {result.detail}{_kept(result)}" for result in failed] + problems
        raise CheckError(f"{len(lines)} of {len(results) + len(problems)} checks failed:\n  " + "\n  ".join(lines))
    click.echo(f"{len(loaded)} tasks are sound" if file_only else f"{len(results)} checks passed", err=True)


def _kept(result: CheckResult) -> str:
    """Where to look into what failed."""
    return f"\n    its record: {result.record}" if result.record else ""
