"""`mlgym-lite report`: the analysis of many runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from mlgym_lite.cli import options as shared

if TYPE_CHECKING:
    from mlgym_lite.analysis.report import Report
    from mlgym_lite.analysis.run_folders import RunFolder

Format = Literal["table", "csv", "markdown", "latex"]


@click.command("report")
@click.argument("folders", nargs=-1, required=True, type=shared.PATH, metavar="DIR...")
@shared.json_output
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "markdown", "latex"]),
    help="How tables are printed; csv has a row for each task and agent (default: table).",
)  # fmt: skip
@click.option(
    "--output",
    type=shared.PATH,
    help="Write everything, plots and an HTML page too, into this folder instead of printing tables.",
)
@click.option("--k", type=click.IntRange(1), help="Of each agent and task, count the first K runs by seed (default: all).")
def command(folders: tuple[Path, ...], as_json: bool, form: Format | None, output: Path | None, k: int | None) -> None:
    """Compare agents over the runs in DIR...: scores, AUP, endings, actions, cost.

    DIR is a folder with run directories of mlgym-lite or of MLGym, at any depth. Mini, parity and clean scores are
    reported apart. A file that cannot be read is told and left out.
    """
    from mlgym_lite.analysis.reading_runs import read_runs
    from mlgym_lite.analysis.report import report_on
    from mlgym_lite.analysis.report_files import check_folder
    from mlgym_lite.analysis.report_tables import summary
    from mlgym_lite.analysis.run_folders import run_folders
    from mlgym_lite.errors import ActionsError

    if as_json and form is not None:
        raise click.UsageError("--json and --format are two forms of one output; name one")
    if output is not None:
        check_folder(output)
    with _progress(run_folders(folders)) as found:
        read = read_runs(found)
    _tell_problems(read.problems)
    if not read.runs:
        raise ActionsError(f"no run could be read, of {len(read.problems)}; the lines above say why")
    report = report_on(read.runs, read.problems, k=k)
    if as_json or form is not None or output is None:
        _print(report, "json" if as_json else form or "table")
    if output is not None:
        click.echo(summary(report), err=True)
        _write(report, output)


def print_report(folder: Path) -> None:
    """The tables of the runs in a folder."""
    from mlgym_lite.analysis.reading_runs import read_runs
    from mlgym_lite.analysis.report import report_on
    from mlgym_lite.analysis.run_folders import run_folders

    read = read_runs(run_folders([folder]))
    _tell_problems(read.problems)
    if read.runs:
        _print_tables(report_on(read.runs, read.problems))


@contextmanager
def _progress(found: list[RunFolder]) -> Iterator[Iterator[RunFolder]]:
    """The run directories, with a bar on a terminal where there are many."""
    import sys

    hidden = len(found) < 200 or not sys.stderr.isatty()
    with click.progressbar(found, label="reading runs", file=sys.stderr, hidden=hidden) as bar:
        yield iter(bar)


_MOST_TOLD = 20


def _tell_problems(problems: tuple[str, ...]) -> None:
    from mlgym_lite.cli.printing import harmless

    for problem in problems[:_MOST_TOLD]:
        click.echo(harmless(f"left out: {problem}"), err=True)
    if len(problems) > _MOST_TOLD:
        click.echo(f"left out: {len(problems) - _MOST_TOLD} more, which --json lists", err=True)


def _print(report: Report, form: Format | Literal["json"]) -> None:
    if form == "json":
        from mlgym_lite.analysis.report_json import report_json
        from mlgym_lite.cli.printing import print_json

        print_json(report_json(report))
        return
    if form == "table":
        _print_tables(report)
        return
    from mlgym_lite.analysis import report_texts

    texts = {"csv": report_texts.csv_text, "markdown": report_texts.markdown_text, "latex": report_texts.latex_text}
    click.echo(texts[form](report), nl=False)


def _print_tables(report: Report) -> None:
    """For a terminal; elsewhere no line is broken, so that other programs can go through the lines."""
    from rich.console import Console
    from rich.rule import Rule
    from rich.text import Text

    from mlgym_lite.analysis.report_tables import summary, tables_of
    from mlgym_lite.analysis.shown_text import harmless
    from mlgym_lite.analysis.tables import print_table

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=10_000)
    console.print(summary(report))
    for group in report.groups:
        title = Text(harmless(group.group.label), style="bold")
        console.print()
        console.print(Rule(title, align="left", style="dim") if console.is_terminal else title)
        for note in group.notes:
            console.print(harmless(note))
        if group.left_out:
            console.print(f"Left out by --k: {group.left_out}.")
        console.print()
        for table in tables_of(group):
            print_table(table, console)


def _write(report: Report, output: Path) -> None:
    from mlgym_lite.analysis.report_files import write_report

    written = write_report(report, output)
    if written.remark:
        click.echo(f"no plots: {written.remark}", err=True)
    click.echo(f"wrote {output / 'report.html'} and {len(written.files) - 1} more files", err=True)
