"""`mlgym-lite run`: what it prints, where it leaves its record, and what --json promises."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from program_harness import Program

pytestmark = pytest.mark.kernel

Make = Callable[..., Path]
Write = Callable[..., Path]
ODD_NAMES = (
    b"with space",
    b"quo'te\"s",
    b"line\nend",
    b"-dash",
    "üñí".encode(),
    b"inv\xffalid",
    b"esc\x1b[31m",
    b"per%cent$HOME\\",
)


def test_a_run_tells_its_steps_its_score_and_its_record(mlgym: Program, make_task: Make, working_folder: Path) -> None:
    """Progress comes as plain lines on stderr where that is no terminal; nothing is on stdout."""
    ended = mlgym("run", make_task(), "--agent", "baseline")
    assert (ended.status, ended.out) == (0, "")
    (run,) = (working_folder / "runs").iterdir()
    lines = ended.err.splitlines()
    assert lines[0] == f"tiny: run directory {run}"
    assert lines[1].startswith("step 1/20 ") and lines[1].endswith('$ bash "$MLGYM_LITE_ROOT/solution/solve.sh"')
    assert lines[2].startswith("step 2/20 ") and lines[2].endswith("$ submit")
    assert lines[3].startswith("Score = 1 (maximize; baseline 1")
    assert lines[-1] == f"record: {run}"
    assert "\r" not in ended.err and "\x1b" not in ended.err


def test_json_is_one_object_on_stdout_and_nothing_else(mlgym: Program, make_task: Make, tmp_path: Path) -> None:
    """--json prints the content of result.json as one object; what people read is on stderr."""
    ended = mlgym("run", make_task(), "--agent", "baseline", "--json", "--output", tmp_path / "run")
    result = json.loads(ended.out)
    assert result == json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert (ended.status, result["score"]["value"], result["ending"]["reason"]) == (0, 1.0, "submitted")
    assert "record: " in ended.err


def test_quiet_tells_nothing(mlgym: Program, make_task: Make) -> None:
    """--quiet leaves stderr empty; with --json the object is all there is."""
    ended = mlgym("run", make_task(), "--agent", "baseline", "--quiet")
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    ended = mlgym("run", make_task("other"), "--agent", "baseline", "--quiet", "--json")
    assert ended.err == ""
    assert json.loads(ended.out)["steps"] == 2


def test_json_of_a_run_without_a_score_is_still_one_object(mlgym: Program, make_task: Make, actions: Write) -> None:
    """An episode that was not scored has its object too, and status 10."""
    ended = mlgym("run", make_task(), "--actions", actions('"true"\n'), "--json")
    assert (ended.status, json.loads(ended.out)["score"]) == (10, None)


def test_a_limit_scores_what_is_there_and_says_so(mlgym: Program, make_task: Make, actions: Write) -> None:
    """At the last step the workspace is submitted, and the outcome says by whom."""
    ended = mlgym("run", make_task(), "--actions", actions('"echo 3 > answer.txt"\n"true"\n"true"\n'), "--max-steps", "2")
    assert ended.status == 0
    assert "Score = 3 (maximize; baseline 1, better by 2)" in ended.err
    assert "autosubmitted (step limit) after 2 steps" in ended.err


def test_options_may_come_before_the_task(mlgym: Program, make_task: Make) -> None:
    """The order of options and task does not matter."""
    assert mlgym("run", "-q", "--agent", "baseline", "--", make_task()).status == 0


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_path_is_a_task_folder_and_a_run_directory(
    mlgym: Program, make_task: Make, working_folder: Path, name: bytes
) -> None:
    """Spaces, quotes, line ends, dashes, other scripts and bytes that are no text may be in paths."""
    folder = make_task(os.fsdecode(name))
    folder.rename(working_folder / os.fsdecode(name))
    out = working_folder / os.fsdecode(b"out " + name)
    ended = mlgym("run", os.fsencode(b"./" + name), "--agent", "baseline", "--output", os.fsencode(out))
    assert "Traceback" not in ended.err
    assert ended.status == 0
    assert json.loads((out / "result.json").read_text(encoding="utf-8"))["run_directory"] == str(out)
    assert "\x1b" not in ended.err


def test_json_is_text_whatever_a_path_is(mlgym: Program, make_task: Make, working_folder: Path) -> None:
    """A run directory whose name is no text is in the object all the same, escaped."""
    out = working_folder / os.fsdecode(b"inv\xffalid")
    ended = mlgym("run", make_task(), "--agent", "baseline", "-q", "--json", "--output", out, PYTHONIOENCODING="utf-8:strict")
    assert json.loads(ended.out)["run_directory"] == str(out)


def test_terminal_sequences_reach_a_person_harmless_and_the_record_exactly(
    mlgym: Program, make_task: Make, actions: Write, tmp_path: Path
) -> None:
    """What an agent prints or types cannot steer a terminal; trajectory.jsonl has it character for character."""
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m\r\b"
    action = f"printf '%s' '{evil}'; echo '{evil}' > answer.txt; validate"
    ended = mlgym("run", make_task(), "--actions", actions(json.dumps(action) + "\n"), "--output", tmp_path / "run", "-q")
    shown = mlgym("run", make_task("other"), "--actions", actions(json.dumps(action) + "\n"))
    for text in (ended.err, shown.err):
        assert not any(character in text for character in "\x1b\x07\x9b\r\b")
    assert "\\x1b]0;title\\x07" in shown.err
    (line,) = (tmp_path / "run" / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()
    step = json.loads(line)
    assert step["action"] == action
    assert step["observation"].startswith(evil)


def test_a_graders_words_reach_a_person_harmless(mlgym: Program, make_task: Make) -> None:
    """What a grader prints is shown with its control characters made visible."""
    ended = mlgym("run", make_task(grader="printf '\\033[2J\\007'; exit 1\n"), "--agent", "baseline")
    ended.told_one_error(11, "\\x1b[2J\\x07")
    assert "\x1b" not in ended.err


@pytest.mark.parametrize(
    "action", ["a\0b", "edit 1:1\nno closing line", "", "   ", "# comment", "echo 'open", "exit 3", "kill $$", "exec true"]
)
def test_no_action_ends_the_program(mlgym: Program, make_task: Make, actions: Write, tmp_path: Path, action: str) -> None:
    """Whatever an action is, it is one recorded step, and the next one runs."""
    text = "\n".join(json.dumps(line) for line in (action, "echo still here", "submit"))
    ended = mlgym("run", make_task(), "--actions", actions(text), "--output", tmp_path / "run", "-q")
    assert (ended.status, ended.err) == (0, "")
    lines = (tmp_path / "run" / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["action"] for line in lines] == [action, "echo still here", "submit"]
    assert json.loads(lines[1])["observation"] == "still here\n"


def test_half_a_character_in_an_action_ends_no_program(mlgym: Program, make_task: Make, actions: Write) -> None:
    """A lone surrogate, legal in JSON, is told to the agent."""
    ended = mlgym("run", make_task(), "--actions", actions('"echo \\ud800"\n"submit"\n'), "-q")
    assert (ended.status, ended.err) == (0, "")


@pytest.mark.parametrize("arguments", [("tasks",), ("run", "TASK", "--agent", "baseline", "-q", "--json")])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this host has no /dev/full")
def test_a_full_stdout_is_one_error(mlgym: Program, make_task: Make, working_folder: Path, arguments: tuple[str, ...]) -> None:
    """Where the output cannot be written, that is told; the run's own record is complete."""
    import subprocess

    from program_harness import PROGRAM

    words = [str(make_task()) if word == "TASK" else word for word in arguments]
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([*PROGRAM, *words], cwd=working_folder, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode not in (0, 2)
    assert "Traceback" not in result.stderr


def test_a_closed_pipe_is_no_error_to_read(mlgym: Program, working_folder: Path, environment: dict[str, str]) -> None:
    """`mlgym-lite tasks | head` prints no traceback."""
    import subprocess

    from program_harness import PROGRAM

    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [*PROGRAM, "tasks"], cwd=working_folder, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert "Traceback" not in result.stderr and "Exception" not in result.stderr


def test_verbose_names_every_program(mlgym: Program, make_task: Make) -> None:
    """--verbose logs the sandbox's command to stderr, so that it can be pasted."""
    ended = mlgym("-v", "run", make_task(), "--agent", "baseline", "-q", "--json")
    assert "bwrap" in ended.err
    assert json.loads(ended.out)["score"]["value"] == 1.0
