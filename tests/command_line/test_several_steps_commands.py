"""`mlgym-lite run` and `check` of a task of several steps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from program_harness import Program
from several_steps import STEPS_TOML, make_steps

pytestmark = pytest.mark.kernel
WHOLE = ["echo 3 > idea.txt", "submit", "echo 4 > answer.txt; submit", "echo 5 > answer.txt", "submit"]


def actions(folder: Path, texts: Sequence[str]) -> Path:
    """A file of them."""
    file = folder / "actions.jsonl"
    file.write_text("".join(f"{json.dumps(text)}\n" for text in texts))
    return file


def test_run_plays_every_step(mlgym: Program, tmp_path: Path) -> None:
    """Actions go on from step to step; each ending is told, then the whole."""
    folder = make_steps(tmp_path / "three")
    ended = mlgym("run", folder, "--actions", actions(tmp_path, WHOLE), "--output", tmp_path / "out")
    assert (ended.status, ended.out) == (0, "")
    words = [
        "three-idea: run directory",
        "Score = 3",
        "three-work: run directory",
        "Score = 4",
        "Last = 5",
        "three: reward 4, the mean",
    ]
    assert [ended.err.index(word) for word in words] == sorted(ended.err.index(word) for word in words)
    again = mlgym("run", folder, "--actions", tmp_path / "actions.jsonl", "--output", tmp_path / "out")
    again.told_one_error(again.status, "out: cannot be made: File exists; expected a path that does not exist yet")
    assert again.status != 0


def test_run_tells_what_was_not_reached(mlgym: Program, tmp_path: Path) -> None:
    """A score below min_reward ends the whole, and is a score; a step without one gives the exit status."""
    folder = make_steps(tmp_path / "three")
    low = mlgym("run", folder, "--actions", actions(tmp_path, ["echo 1 > idea.txt; submit"]), "--output", tmp_path / "low")
    assert low.status == 0
    assert "idea: Score = 1, and min_reward asks for 2\nnot begun: work, end\nthree: reward 0.333333" in low.err
    none = mlgym("run", folder, "--actions", actions(tmp_path, WHOLE[:2]), "--output", tmp_path / "none", "--json")
    assert none.status == 10
    content = json.loads(none.out)
    assert content == json.loads((tmp_path / "none/series.json").read_text())
    assert [(step["name"], step["reason"]) for step in content["steps"]] == [("idea", "submitted"), ("work", "gave_up")]
    assert content["reward"] == 1.0 and content["not_begun"] == ["end"]


def test_a_failed_step_is_in_the_record(mlgym: Program, tmp_path: Path) -> None:
    """Where a grader fails, series.json has the step without a reason, and what came before it."""
    folder = make_steps(tmp_path / "three")
    (folder / "steps/work/tests/test.sh").write_text("exit 3\n")
    ended = mlgym("run", folder, "--actions", actions(tmp_path, WHOLE), "--output", tmp_path / "out")
    assert ended.status != 0 and f"record: {tmp_path}/out/work" in ended.err
    content = json.loads((tmp_path / "out/series.json").read_text())
    assert [(step["name"], step["reason"]) for step in content["steps"]] == [("idea", "submitted"), ("work", None)]
    assert content["reward"] == 1.0 and content["not_begun"] == ["end"]


def test_check_goes_through_the_steps(mlgym: Program, tmp_path: Path) -> None:
    """Each from what the baseline before it left; a cheat that gains in the last one is found."""
    folder = make_steps(tmp_path / "three", STEPS_TOML.replace("baseline = { Last = 2.0 }", "baseline = { Last = 7.0 }"))
    for name, script in (
        ("idea", "echo 1 > idea.txt\n"),
        ("work", "echo $(($(cat idea.txt) + 3)) > answer.txt\n"),
        ("end", "echo $(($(cat answer.txt) + 3)) > answer.txt\n"),
    ):
        (folder / "steps" / name / "solution").mkdir()
        (folder / "steps" / name / "solution/solve.sh").write_text(script)
    (folder / "steps/end/cheats").mkdir()
    (folder / "steps/end/cheats/more.sh").write_text("echo 9 > answer.txt\n")
    assert "three: " in mlgym("check", folder, "--file-only").err
    ended = mlgym("check", folder, "--variant", "full", "--json")
    found = {(one["task"], one["name"]): (one["passed"], one["score"]) for one in json.loads(ended.out)["results"]}
    assert found == {
        ("three-idea", "baseline"): (True, 1), ("three-idea", "empty submission"): (True, None),
        ("three-work", "baseline"): (False, 4), ("three-work", "empty submission"): (True, None),
        ("three-end", "baseline"): (True, 7), ("three-end", "empty submission"): (True, None),
        ("three-end", "more.sh"): (False, 9),
    }  # fmt: skip
    assert ended.status == 14 and "three-end: more.sh: gained over the baseline" in ended.err
    (folder / "steps/work/solution/solve.sh").unlink()
    told = mlgym("check", folder, "--variant", "full")
    assert "three-work: baseline: solution/solve.sh is missing" in told.err and "three-end" not in told.err
