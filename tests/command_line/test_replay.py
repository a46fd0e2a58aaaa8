"""`mlgym-lite replay`: recorded actions again, step by step, and what differs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program_harness import Program

import mlgym_lite

Make = Callable[..., Path]
Write = Callable[..., Path]

ACTIONS = '"echo 2 > answer.txt; echo hello"\n"validate"\n"ls"\n"submit"\n'


@pytest.fixture
def recorded(mlgym: Program, make_task: Make, actions: Write, tmp_path: Path) -> Path:
    """The run directory of a scored run."""
    folder = tmp_path / "recorded"
    assert mlgym("run", make_task(), "--actions", actions(ACTIONS), "--output", folder, "-q").status == 0
    return folder


def tamper(run: Path, step: int, **changes: Any) -> None:
    """Change what a run directory says of one step."""
    path = run / "trajectory.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines[step - 1].update(changes)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.mark.kernel
def test_a_run_directory_replays_as_it_was(mlgym: Program, recorded: Path) -> None:
    """Every observation and score is as recorded: status 0, and the object says so."""
    ended = mlgym("replay", recorded, "--json")
    assert ended.status == 0
    score = {"Score": 2.0}
    assert json.loads(ended.out) == {
        "steps": 4, "compared": 4, "equal": 4, "differences": [],
        "scores": [{"step": step, "expected": score, "got": score, "agrees": True} for step in (2, 4)],
    }  # fmt: skip
    assert "the replay agrees with its recording (4 steps, 4 compared, 4 equal)" in ended.err


@pytest.mark.kernel
def test_a_replay_leaves_the_recording_alone(mlgym: Program, recorded: Path, working_folder: Path) -> None:
    """A replay is a run of its own, with a run directory of its own."""
    before = (recorded / "trajectory.jsonl").read_bytes()
    mlgym("replay", recorded, "-q")
    assert (recorded / "trajectory.jsonl").read_bytes() == before
    assert len(list((working_folder / "runs").iterdir())) == 1


@pytest.mark.kernel
def test_a_changed_observation_differs(mlgym: Program, recorded: Path) -> None:
    """What is not as recorded ends with status 15, the step, and both texts."""
    tamper(recorded, 1, observation="hallo\n")
    ended = mlgym("replay", recorded, "--json")
    assert ended.status == 15
    content = json.loads(ended.out)
    assert content["differences"] == [{"step": 1, "expected": "hallo\n", "got": "hello\n"}]
    assert (content["steps"], content["compared"], content["equal"]) == (4, 4, 3)
    shown = mlgym("replay", recorded, "-q")
    shown.told_one_error(15, "step 1 differs", "-hallo", "+hello", "4 steps, 4 compared, 3 equal")


@pytest.mark.kernel
def test_a_changed_score_differs(mlgym: Program, recorded: Path) -> None:
    """A recorded score that the replay does not reach ends with status 15."""
    result = json.loads((recorded / "result.json").read_text(encoding="utf-8"))
    result["attempts"][-1]["metrics"]["Score"] = 9.0
    (recorded / "result.json").write_text(json.dumps(result), encoding="utf-8")
    ended = mlgym("replay", recorded, "--json", "-q")
    assert ended.status == 15
    assert json.loads(ended.out)["scores"][-1] == {"step": 4, "expected": {"Score": 9.0}, "got": {"Score": 2.0}, "agrees": False}


@pytest.mark.kernel
def test_an_unfinished_line_of_a_killed_run_is_left_out(mlgym: Program, recorded: Path) -> None:
    """The steps that are whole replay; the one that was being written is not compared."""
    with (recorded / "trajectory.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"action": "ls", "obs')
    assert mlgym("replay", recorded, "-q").status == 0


@pytest.mark.kernel
def test_actions_without_a_recording_agree_with_nothing_to_compare(mlgym: Program, make_task: Make, actions: Write) -> None:
    """A file that holds only actions has nothing to differ from."""
    ended = mlgym("replay", actions(ACTIONS), "--task", make_task(), "--json", "-q")
    assert (ended.status, json.loads(ended.out)["compared"]) == (0, 0)


def test_a_recording_without_a_task_is_told(mlgym: Program, actions: Write) -> None:
    """A file of actions does not say which task it is of; the option that does is named."""
    mlgym("replay", actions(ACTIONS)).told_one_error(8, "does not tell its task; name it with --task")


def test_what_is_no_recording_is_told(mlgym: Program, tmp_path: Path) -> None:
    """A missing file and a folder without a trajectory end with status 8."""
    mlgym("replay", tmp_path / "none").told_one_error(8, "No such file", "a run directory")
    mlgym("replay", tmp_path).told_one_error(8, "trajectory.jsonl", "No such file")


@pytest.mark.parametrize("run", ["x", "{}", "[]", '{"task": 3}', '{"task": {"folder": 3, "name": "x"}}'])
def test_a_run_directory_with_a_damaged_record_is_told(mlgym: Program, tmp_path: Path, run: str) -> None:
    """A run.json that is not one ends with status 8 and its path."""
    (tmp_path / "trajectory.jsonl").write_text('{"action": "ls", "observation": ""}\n', encoding="utf-8")
    (tmp_path / "run.json").write_text(run, encoding="utf-8")
    mlgym("replay", tmp_path).told_one_error(8, "run.json: cannot be read")


STRATEGY = """\
def row_strategy(history):
    return [20, 20, 20, 20, 20, 20]
"""


@pytest.mark.kernel
def test_a_trajectory_of_mlgym_replays(mlgym: Program, actions: Write) -> None:
    """A .traj of MLGym, edit blocks and all, runs against its task; observations that are recorded are compared."""
    last = len((Path(__file__).parents[2] / "tasks/colonel_blotto/environment/strategy.py").read_text().splitlines())
    steps = [
        ("ls", "strategy.py\n"),
        ("open strategy.py\n", None),
        (f"edit 1:{last}\n{STRATEGY}end_of_edit\n", None),
        ("cat strategy.py", STRATEGY),
        ("submit", None),
    ]
    content = {
        "environment": "mlgym_main",
        "trajectory": [
            {"action": action, "observation": seen, "response": action, "state": "{}", "thought": "", "execution_time": 0.1}
            for action, seen in steps
        ],
        "history": [{"role": "system", "content": "", "agent": "main"}],
        "info": {"model_stats": {"api_calls": 5}, "exit_status": "submitted", "submission": "", "score": [], "summarizer": {}},
    }  # fmt: skip
    file = actions(json.dumps(content), "blotto.traj")
    ended = mlgym("replay", file, "--task", "colonel_blotto", "--variant", "mini", "--python", sys.executable, "--json", "-q")
    shown = json.loads(ended.out)
    assert (shown["steps"], shown["compared"], shown["equal"], shown["differences"]) == (5, 2, 2, [])
    (pair,) = shown["scores"]
    assert pair["expected"] is None and -1.0 <= pair["got"]["Score"] <= 1.0


def test_calls_of_the_api_are_replayed_too(mlgym: Program, make_task: Make, tmp_path: Path, environment: dict[str, str]) -> None:
    """Validations and a submission that came as calls, between the actions, are repeated at their places."""
    settings = mlgym_lite.RunSettings(output=tmp_path / "run")
    with mlgym_lite.Episode(mlgym_lite.load_task(make_task()), settings=settings, environment=environment) as episode:
        episode.validate()
        episode.step("echo 2 > answer.txt")
        episode.validate()
        episode.step("echo 3 > answer.txt; validate")
        episode.submit()
    ended = mlgym("replay", tmp_path / "run", "--json", "-q")
    assert [pair["got"]["Score"] for pair in json.loads(ended.out)["scores"]] == [0.5, 2.0, 3.0, 3.0]
    assert ended.status == 0


def test_a_fork_is_not_replayed_from_the_wrong_start(
    mlgym: Program, make_task: Make, tmp_path: Path, environment: dict[str, str]
) -> None:
    """A fork's actions began in a snapshot, so its replay is refused with the run it came from."""
    settings = mlgym_lite.RunSettings(output=tmp_path / "run")
    with mlgym_lite.Episode(mlgym_lite.load_task(make_task()), settings=settings, environment=environment) as episode:
        forked = mlgym_lite.RunSettings(output=tmp_path / "fork")
        with mlgym_lite.Episode.fork(episode.snapshot(), settings=forked, environment=environment) as fork:
            fork.step("ls")
    mlgym("replay", tmp_path / "fork").told_one_error(8, "is a fork of", str(tmp_path / "run"))


def test_what_installers_leave_is_not_in_a_workspace(make_task: Make, tmp_path: Path, environment: dict[str, str]) -> None:
    """Compiled files beside the starter files do not reach the agent."""
    folder = make_task(files={"environment/__pycache__/x.pyc": "x"})
    settings = mlgym_lite.RunSettings(output=tmp_path / "run")
    with mlgym_lite.Episode(mlgym_lite.load_task(folder), settings=settings, environment=environment) as episode:
        assert episode.step("ls -A").observation == "answer.txt\n"
