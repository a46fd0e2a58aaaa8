"""`mlgym-lite export`: a run as another system's trajectory."""

from __future__ import annotations

from pathlib import Path

import click

from mlgym_lite.cli import options as shared


@click.command("export")
@click.argument("run", type=shared.PATH)
@click.option("--format", "kind", type=click.Choice(["atif", "mlgym"]), required=True, help="ATIF 1.8, or MLGym's .traj.")
@click.option("--output", type=shared.PATH, required=True, help="atif: a file. mlgym: a folder, for TASK.traj and results.json.")
def command(run: Path, kind: str, output: Path) -> None:
    """Write the run directory RUN as a trajectory that other systems read. Nothing is overwritten."""
    from mlgym_lite.episode.run_reader import read_run
    from mlgym_lite.errors import OutputError

    read = read_run(run)
    if kind == "atif":
        from mlgym_lite.trajectories.atif import atif_text

        files = {output: atif_text(read)}
    else:
        from mlgym_lite.trajectories.mlgym import results_text, traj_text

        name = str(read.run.get("task", {}).get("name", "task")).replace("/", "_")
        files = {output / f"{name}.traj": traj_text(read), output / "results.json": results_text(read)}
    taken = [str(path) for path in files if path.exists()]
    if taken:
        raise OutputError(f"{', '.join(taken)}: already there; name another --output")
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        click.echo(f"wrote {path}", err=True)
