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
    again.told_one_error(7, "out: already exists; a run is never overwritten. Name another --output")


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
    assert (
        ended.status == 11
        and f"not begun: end\nthree: reward 1, the mean of the steps' scores\nrecord: {tmp_path}/out/series.json\n" in ended.err
    )
    content = json.loads((tmp_path / "out/series.json").read_text())
    assert [(step["name"], step["reason"]) for step in content["steps"]] == [("idea", "submitted"), ("work", None)]
    assert content["reward"] == 1.0 and content["not_begun"] == ["end"]


def test_what_cannot_begin_leaves_nothing(mlgym: Program, tmp_path: Path) -> None:
    """So that the same command tells the same, until its cause is mended."""
    folder = make_steps(tmp_path / "three")
    for _ in range(2):
        ended = mlgym("run", folder, "--agent", "baseline", "--output", tmp_path / "out")
        ended.told_one_error(3, "steps/idea/solution: missing")
        assert not (tmp_path / "out").exists()
    for name, number in (("idea", 3), ("work", 3)):
        solved(folder, name, f"echo {number} > answer.txt; cp answer.txt idea.txt\n")
    ended = mlgym("run", folder, "--agent", "baseline", "--output", tmp_path / "out", "--quiet")
    ended.told_one_error(3, "steps/end/solution: missing")
    content = json.loads((tmp_path / "out/series.json").read_text())
    assert [step["name"] for step in content["steps"]] == ["idea", "work"] and content["not_begun"] == ["end"]


def test_each_step_has_a_program_of_its_own(mlgym: Program, tmp_path: Path) -> None:
    """Whatever it is called."""
    program = tmp_path / "scripted.py"
    program.write_text(
        "import json, sys\nfor line in sys.stdin:\n"
        "    print(json.dumps({'action': 'echo 4 > answer.txt; cp answer.txt idea.txt; submit'}), flush=True)\n"
    )
    ended = mlgym("run", make_steps(tmp_path / "three"), "--agent", program, "--output", tmp_path / "out", "--json", "--quiet")
    assert (ended.status, ended.err) == (0, "") and json.loads(ended.out)["reward"] == 4.0


def test_no_baseline_of_a_step_is_kept(mlgym: Program, tmp_path: Path) -> None:
    """What a step scores depends on what came before it: only what its file states is compared with."""
    toml = STEPS_TOML.replace("baseline = { Score = 1.0 }\n", "").replace("baseline = { Last = 2.0 }\n", "")
    folder = make_steps(tmp_path / "three", toml)
    solved(folder, "idea", "echo 1 > idea.txt\n")
    assert mlgym("run", folder, "--agent", "baseline", "--output", tmp_path / "first").status == 0
    assert mlgym("run", folder, "--actions", actions(tmp_path, WHOLE), "--output", tmp_path / "second").status == 0
    assert json.loads((tmp_path / "second/idea/result.json").read_text())["improvement"] is None


def test_data_is_prepared_once_for_all_steps(mlgym: Program, tmp_path: Path) -> None:
    """It is the whole task's; what is told to do where it is missing can be done."""
    prepared = tmp_path / "prepared"
    folder = make_steps(tmp_path / "three", f'{STEPS_TOML}\n[metadata.mlgym_lite.data]\nprepare = "prepare.py"\n')
    (folder / "prepare.py").write_text(
        "import pathlib, sys\nagent = pathlib.Path(sys.argv[1]) / 'agent'\nagent.mkdir()\n(agent / 'rows').write_text('5')\n"
    )
    texts = [f'cat "$MLGYM_LITE_ROOT/data/rows" > {name}; submit' for name in ("idea.txt", "answer.txt", "answer.txt")]
    command = ("run", folder, "--actions", actions(tmp_path, texts), "--data", prepared, "--json", "--quiet")
    missing = mlgym(*command)
    missing.told_one_error(4, f"mlgym-lite prepare {folder}`")
    told = mlgym("prepare", folder, "--data", prepared, "--json")
    assert told.status == 0 and json.loads(told.out)["prepared"] == [str(folder)]
    assert [path.name for path in prepared.iterdir()] == ["three"]
    assert json.loads(mlgym(*command).out)["reward"] == 5.0


def solved(folder: Path, step: str, script: str) -> None:
    """Write a step's solution."""
    (folder / "steps" / step / "solution").mkdir()
    (folder / "steps" / step / "solution/solve.sh").write_text(script)


def test_check_goes_through_the_steps(mlgym: Program, tmp_path: Path) -> None:
    """Each from what the baseline before it left; a cheat that gains in the last one is found."""
    folder = make_steps(tmp_path / "three", STEPS_TOML.replace("baseline = { Last = 2.0 }", "baseline = { Last = 7.0 }"))
    for name, script in (
        ("idea", "echo 1 > idea.txt\n"),
        ("work", "echo $(($(cat idea.txt) + 3)) > answer.txt\n"),
        ("end", "echo $(($(cat answer.txt) + 3)) > answer.txt\n"),
    ):
        solved(folder, name, script)
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
    told.told_one_error(14, "three-work: baseline: solution/solve.sh is missing", "three-end: baseline: was not checked")


def test_check_finds_a_min_reward_that_cannot_be_reached(mlgym: Program, tmp_path: Path) -> None:
    """Of a metric that the grading does not give; a baseline below what is asked for is only told."""
    folder = make_steps(tmp_path / "three", STEPS_TOML.replace("{ Score = 3.0 }", "{ Scroe = 3.0 }"))
    for name in ("idea", "work", "end"):
        solved(folder, name, "echo 1 > answer.txt; cp answer.txt idea.txt\n")
    ended = mlgym("check", folder)
    ended.told_one_error(
        14, "1 of 6 checks failed", "three-work: baseline: min_reward asks for 'Scroe', which the grading does not give"
    )
    assert "ok   three-idea: baseline: 1" in ended.err and "; below its min_reward" in ended.err


def test_check_of_a_step_of_any_name(mlgym: Program, tmp_path: Path) -> None:
    """Also one that files of ours have."""
    folder = make_steps(tmp_path / "three", STEPS_TOML.replace('"idea"', '"lock"').replace('artifacts = ["idea.txt"]\n', ""))
    (folder / "steps/idea").rename(folder / "steps/lock")
    (folder / "steps/lock/tests/test.sh").write_text((folder / "steps/work/tests/test.sh").read_text())
    solved(folder, "lock", "echo 1 > answer.txt\n")
    assert "ok   three-lock: baseline: 1" in mlgym("check", folder, "--variant", "full").err
