"""`mlgym-lite view`: runs as one HTML page, or followed while they go on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlgym_lite.cli import options as shared

if TYPE_CHECKING:
    from mlgym_lite.analysis.viewer.followed_run import FollowedRun


@click.command("view")
@click.argument("runs", nargs=-1, required=True, type=shared.PATH)
@click.option(
    "--output",
    type=shared.PATH,
    help="The page (default: the first run's name with .html, in this folder; of several, with how many more).",
)
@click.option("--live", is_flag=True, help="Follow runs in progress: a server on this machine gives the page, until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port of --live (default: a free one).")
def command(runs: tuple[Path, ...], output: Path | None, live: bool, port: int) -> None:
    """Write one HTML page that shows RUNS side by side: scores, steps, diffs, resources, cost.

    RUNS are run directories, or folders of them. The page holds everything it needs; open it anywhere.
    """
    if live and output is not None:
        raise click.UsageError("--output is for a page in a file; --live serves one that goes on")
    found = _readable(_run_directories(runs))
    if live:
        _serve(found, port)
        return
    with _progress(found) as bar:
        for run in bar:
            run.refresh()
    path = output or Path(_default_name(found))
    _write(found, path)
    several = f"{len(found)} runs" if len(found) > 1 else "1 run"
    from mlgym_lite.cli.printing import harmless

    size = f"{path.stat().st_size / 1e6:.1f} MB"
    click.echo(harmless(f"{path}: {several}, {sum(len(run.places) for run in found)} steps, {size}"))
    for run in found:
        if run.trouble:
            click.echo(harmless(f"shown in part: {run.trouble}"), err=True)


def _default_name(runs: list[FollowedRun]) -> str:
    first = runs[0].name.replace("/", "-")
    return f"{first}.html" if len(runs) == 1 else f"{first}-and-{len(runs) - 1}-more.html"


def _readable(paths: list[Path]) -> list[FollowedRun]:
    """The runs; one that cannot be read is told and left out, unless no other is left."""
    from mlgym_lite.analysis.viewer.followed_run import FollowedRun
    from mlgym_lite.cli.printing import harmless
    from mlgym_lite.errors import ActionsError

    found, troubles = [], []
    for path in paths:
        try:
            found.append(FollowedRun(path))
        except ActionsError as error:
            troubles.append(str(error))
    if not found:
        raise ActionsError("\n".join(troubles))
    for trouble in troubles:
        click.echo(harmless(f"left out: {trouble}"), err=True)
    return found


def _run_directories(given: tuple[Path, ...]) -> list[Path]:
    """The run directories named, and those in folders that are named, at any depth."""
    from mlgym_lite.analysis.run_folders import run_folders
    from mlgym_lite.errors import ActionsError

    found: list[Path] = []
    for path in given:
        if (path / "run.json").is_file():
            found.append(path)
            continue
        found += [run.path for run in run_folders([path]) if run.source == "mlgym-lite"]
    if not found:
        raise ActionsError(f"{given[0]}: holds no run directory of mlgym-lite (with a run.json)")
    return list(dict.fromkeys(found))


def _write(runs: list[FollowedRun], path: Path) -> None:
    """Write the page aside and move it into place; only a page of ours is overwritten."""
    from mlgym_lite.analysis.viewer.page import MARK, write_page
    from mlgym_lite.errors import OutputError
    from mlgym_lite.whole_files import whole_file

    if path.exists() and not _begins_with(path, MARK):
        raise OutputError(f"{path}: is there already and is no page of `mlgym-lite view`; name another --output")
    try:
        with whole_file(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            write_page(runs, file)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}; name another --output") from error


def _begins_with(path: Path, mark: str) -> bool:
    try:
        with path.open("rb") as file:
            return mark.encode("ascii") in file.read(200)
    except OSError:
        return False


def _progress(runs: list[FollowedRun]) -> click._termui_impl.ProgressBar[FollowedRun]:
    import sys

    return click.progressbar(runs, label="reading runs", file=sys.stderr, hidden=len(runs) < 5 or not sys.stderr.isatty())


def _serve(runs: list[FollowedRun], port: int) -> None:
    from mlgym_lite.analysis.viewer.live_server import LiveServer
    from mlgym_lite.errors import OutputError

    try:
        server = LiveServer(runs, port=port)
    except OSError as error:
        raise OutputError(f"port {port} of this machine cannot be had: {error.strerror or error}; name another --port") from error
    number = server.url.split(":")[2].partition("/")[0]
    click.echo(server.url)
    click.echo(f"Follow the runs there until Ctrl-C; from elsewhere: ssh -L {number}:127.0.0.1:{number} this machine", err=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("ended", err=True)
