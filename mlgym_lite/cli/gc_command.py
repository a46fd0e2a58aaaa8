"""`mlgym-lite gc`: what killed runs left behind, shown and then removed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlgym_lite.cli import options as shared

if TYPE_CHECKING:
    from mlgym_lite.episode.leftovers import Leftover


@click.command("gc")
@click.argument("runs", nargs=-1, type=shared.PATH)
@click.option("--yes", is_flag=True, help="Remove what is listed, instead of only listing it.")
@shared.data
@shared.json_output
def command(runs: tuple[Path, ...], yes: bool, data: Path | None, as_json: bool) -> None:
    """List what killed runs left behind, and with --yes remove it.

    RUNS are folders of run directories (default: ./runs). Runs that are going on are left alone, and so are the records of
    killed ones; of those only what the engine needed for itself is removed.
    """
    from mlgym_lite.cli.printing import counted, harmless, print_json
    from mlgym_lite.config.places import places
    from mlgym_lite.episode.leftovers import find_leftovers, remove
    from mlgym_lite.errors import OutputError

    found = find_leftovers(places(data=data), [folder.absolute() for folder in runs] or [Path.cwd() / "runs"])
    removable = [leftover for leftover in found if leftover.removable]
    removals = [remove(leftover) for leftover in removable] if yes else []
    failed = {removal.leftover.path: removal.problem for removal in removals if removal.problem}
    if as_json:
        print_json([_record(leftover, yes, failed.get(leftover.path, "")) for leftover in found])
    else:
        for leftover in found:
            if leftover.kind != "lock file":
                click.echo(harmless(_line(leftover, yes)))
        locks = sum(leftover.kind == "lock file" for leftover in found)
        if locks:
            done = "remove" if yes else "found "
            click.echo(f"{done}      0.0 MiB  {counted(locks, 'lock file')} that nobody holds; --json names them")
        click.echo(_summary(removable, runs if not yes else None))
    if failed:
        raise OutputError("\n".join(f"{path}: cannot be removed: {problem}" for path, problem in failed.items()))


def _record(leftover: Leftover, yes: bool, problem: str) -> dict[str, Any]:
    return {
        "kind": leftover.kind,
        "path": str(leftover.path),
        "bytes": leftover.bytes,
        "removable": leftover.removable,
        "removed": yes and leftover.removable and not problem,
        "detail": leftover.detail,
    }


def _line(leftover: Leftover, yes: bool) -> str:
    done = "keep  " if not leftover.removable else ("remove" if yes else "found ")
    detail = f" ({leftover.detail})" if leftover.detail else ""
    return f"{done} {leftover.bytes / (1 << 20):8.1f} MiB  {leftover.kind}: {leftover.path}{detail}"


def _summary(removable: list[Leftover], runs: tuple[Path, ...] | None) -> str:
    """What there is, and the command that removes it; None where that is done."""
    import shlex

    if not removable:
        return "Nothing to remove."
    size = f"{len(removable)} things, {sum(leftover.bytes for leftover in removable) / (1 << 20):.1f} MiB"
    if runs is None:
        return f"Removed {size}."
    command = shlex.join(["mlgym-lite", "gc", "--yes", *map(str, runs)])
    return f"{size}. `{command}` removes them."
