"""`mlgym-lite import mlgym`: what a person with a checkout of MLGym is told, and what they then can do with the task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlgym_checkout import make_checkout, trajectory, validated
from program_harness import Program


@pytest.fixture
def checkout(working_folder: Path) -> Path:
    """A checkout where the person is."""
    return make_checkout(working_folder / "MLGym")


def test_an_import_tells_where_and_how_it_is_scored(mlgym: Program, checkout: Path) -> None:
    """The folder, the metric, who runs the evaluator and every hole are told to people; nothing is on stdout."""
    ended = mlgym("import", "mlgym", "MLGym", "configs/tasks/coinGame.yaml", "tasks/coins")
    assert (ended.status, ended.out) == (0, "")
    for words in (
        "tasks/coins: The game of two coins, Points (maximize)", "note: direction: maximize, guessed",
        "the evaluator runs in the player", "OPEN   submission-runs-in-the-evaluator:", "closed evaluator-owned-by-the-agent:",
    ):  # fmt: skip
        assert words in ended.err


def test_an_import_is_there_for_machines(mlgym: Program, checkout: Path) -> None:
    """--json prints what was decided and the holes."""
    ended = mlgym("import", "mlgym", checkout, "beanWeights", "beans", "--json")
    content = json.loads(ended.out)
    assert (content["id"], content["metric"], content["direction"]) == ("beanWeights", "mean_error", "minimize")
    assert content["evaluator_out_of_reach"] is True
    assert {hole["name"] for hole in content["holes"] if not hole["closed"]} >= {"labels-in-the-workspace"}


def test_mistakes_end_with_the_code_of_a_task(mlgym: Program, checkout: Path, working_folder: Path) -> None:
    """Each kind of refusal has its exit status and leaves no folder."""
    mlgym("import", "mlgym", checkout, "coins", "out").told_one_error(3, "no such file, nor a task", "coinGame")
    mlgym("import", "mlgym", working_folder, "coinGame", "out").told_one_error(3, "is no checkout of MLGym")
    mlgym("import", "mlgym", checkout, "coinGame", "MLGym").told_one_error(7, "is there already")
    mlgym("import", "mlgym", checkout).told_usage("CONFIG")
    mlgym("import", "inspect").told_usage("No such command")
    assert not (working_folder / "out").exists()


@pytest.mark.kernel
def test_an_imported_task_is_checked(mlgym: Program, checkout: Path) -> None:
    """`check` runs its baseline, which scores what the configuration states, and an empty submission, which scores nothing."""
    mlgym("import", "mlgym", checkout, "beanWeights", "beans")
    ended = mlgym("check", "beans")
    assert ended.status == 0, ended.err
    assert "baseline: 5 " in ended.err and "empty submission: —" in ended.err


@pytest.mark.kernel
def test_a_recorded_run_is_replayed(mlgym: Program, checkout: Path, working_folder: Path) -> None:
    """`replay` tells, for each validation, the recorded and the new score; all the same end with status 0."""
    mlgym("import", "mlgym", checkout, "coinGame", "coins")
    steps = [("ls", "evaluate.py\nopponent.py\nstrategy.py"), ("submit", "")]
    (working_folder / "run.traj").write_text(trajectory(steps, [{"Points": 0.25}]), encoding="utf-8")
    ended = mlgym("replay", "run.traj", "--task", "coins", "-q")
    assert "score at step 2: recorded Points = 0.25, replayed Points = 0.25: agrees" in ended.err
    steps = [("echo 'my_side = lambda number: False' > strategy.py; validate", validated({"Points": 0.9}))]
    (working_folder / "run.traj").write_text(trajectory(steps, [{"Points": 0.9}]), encoding="utf-8")
    ended = mlgym("replay", "run.traj", "--task", "coins", "-q")
    assert "score at step 1: recorded Points = 0.9, replayed Points = 0.75: differs" in ended.err
    assert ended.status == 15
