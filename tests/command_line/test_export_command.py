"""`export` through the real program, and `replay` of what it wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from program_harness import Program


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("kind", "output", "recording"),
    [("atif", "a b.json", "a b.json"), ("mlgym", "out", "out/tiny.traj"), ("mlgym", "out", "out")],
)
def test_an_exported_run_replays(
    mlgym: Program, make_task: Callable[..., Path], tmp_path: Path, kind: str, output: str, recording: str
) -> None:
    """A run, its export, and a replay of the export that agrees; nothing is overwritten."""
    task = make_task()
    actions = tmp_path / "actions.jsonl"
    actions.write_text("\n".join(map(json.dumps, ["echo 3 > answer.txt", "validate", "submit"])) + "\n", encoding="utf-8")
    assert mlgym("run", task, "--actions", actions, "--variant", "mini", "--output", tmp_path / "run").status == 0
    ended = mlgym("export", tmp_path / "run", "--format", kind, "--output", tmp_path / output)
    assert (ended.status, ended.out) == (0, "") and "wrote" in ended.err
    replayed = mlgym("replay", tmp_path / recording)
    assert replayed.status == 0, replayed.err
    assert "score at step 3: recorded Score = 3, replayed Score = 3: agrees" in replayed.err
    mlgym("export", tmp_path / "run", "--format", kind, "--output", tmp_path / output).told_one_error(7, "already there")


def test_what_is_no_run_is_told(mlgym: Program, tmp_path: Path) -> None:
    """A folder without run.json."""
    mlgym("export", tmp_path, "--format", "atif", "--output", tmp_path / "x").told_one_error(8, "not a run directory")


@pytest.mark.kernel
def test_an_exported_baseline_replays(mlgym: Program, make_task: Callable[..., Path], tmp_path: Path) -> None:
    """Its action needs the task's solution, which the replay shows too."""
    assert mlgym("run", make_task(), "--agent", "baseline", "--output", tmp_path / "run").status == 0
    assert mlgym("export", tmp_path / "run", "--format", "atif", "--output", tmp_path / "a.json").status == 0
    replayed = mlgym("replay", tmp_path / "a.json")
    assert replayed.status == 0, replayed.err
