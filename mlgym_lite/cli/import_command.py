"""`mlgym-lite import`: tasks of other systems as task folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from mlgym_lite.cli import options as shared


@click.group("import")
def command() -> None:
    """Make a task folder from a task of another system."""


@command.command("mlgym")
@click.argument("checkout", type=shared.PATH)
@click.argument("config")
@click.argument("output", type=shared.PATH)
@click.option("--metric", help="The score that ranks; otherwise known for MLGym's own tasks, or the first of baseline_scores.")
@click.option("--direction", type=click.Choice(["maximize", "minimize"]), help="Which way is better.")
@click.option("--score-noise", type=click.FloatRange(min=0), help="How far two gradings of the same work may differ.")
@click.option("--pristine", multiple=True, metavar="FILE", help="Code in the workspace that the grader takes from the checkout.")
@click.option("--hide", multiple=True, metavar="FILE", help="A file or folder of the workspace that the agent is not to see.")
@click.option("--requirements", type=shared.PATH, help="The Python packages, instead of the task's list or its imports.")
@shared.json_output
def mlgym(
    checkout: Path,
    config: str,
    output: Path,
    metric: str | None,
    direction: str | None,
    score_noise: float | None,
    pristine: tuple[str, ...],
    hide: tuple[str, ...],
    requirements: Path | None,
    as_json: bool,
) -> None:
    """Make the folder OUTPUT from the task CONFIG (its YAML file, or its name) of a MLGym CHECKOUT.

    Recorded episodes of MLGym then run with `mlgym-lite replay RUN.traj --task OUTPUT`. The task keeps MLGym's evaluator and
    with it its holes: what is known of them is printed and stands in OUTPUT/HOLES.md.
    """
    from mlgym_lite.authoring.mlgym_import import ImportChoices, import_task
    from mlgym_lite.cli.printing import harmless, print_json
    from mlgym_lite.config.harbor import Direction

    choices = ImportChoices(
        metric=metric, direction=cast("Direction | None", direction), score_noise=score_noise, pristine=pristine, hide=hide,
        requirements=requirements,
    )  # fmt: skip
    imported = import_task(checkout, config, output, choices)

    def tell(text: str) -> None:
        click.echo(harmless(text), err=True)

    tell(f"{imported.folder}: {imported.task.name}, {imported.metric} ({imported.direction})")
    for note in imported.notes:
        tell(f"note: {note}")
    where = "the judge, out of the submission's reach" if imported.trusted else "the player, where the submission's code runs too"
    tell(f"the evaluator runs in {where}")
    for hole in imported.holes:
        tell(f"{'closed' if hole.closed else 'OPEN  '} {hole.name}: {hole.text}")
    content: dict[str, Any] = imported.record()
    if as_json:
        print_json(content)
