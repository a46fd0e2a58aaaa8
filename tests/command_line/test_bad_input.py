"""Every bad input is one clear error: what is wrong, where, what was expected, what to do; nothing starts, nothing is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from program_harness import Ended, Program

BROKEN = Path(__file__).parent.parent / "broken_tasks"

Make = Callable[..., Path]
Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rum", "prisoners_dilemma"), ("No such command 'rum'",)),
        (("run",), ("Missing argument 'TASK'",)),
        (("run", "prisoners_dilemma"), ("name who acts: --agent baseline,", "--agent react --model NAME", "--actions FILE")),
        (("run", "prisoners_dilemma", "house_price"), ("unexpected extra argument",)),
        (("run", "prisoners_dilemma", "--agnt", "baseline"), ("No such option '--agnt'", "--agent")),
        (("run", "prisoners_dilemma", "--agent", "nobody"), ("no agent 'nobody'", "one of baseline,", "a program")),
        (("run", "prisoners_dilemma", "--agent", "scripted"), ("--agent scripted needs --actions FILE",)),
        (
            ("run", "prisoners_dilemma", "--agent", "baseline", "--actions", "a.jsonl"),
            ("--actions", "cannot go with --agent baseline"),
        ),
        (("run", "prisoners_dilemma", "--agent", "human", "--actions", "a.jsonl"), ("cannot go with --agent human",)),
        (("run", "prisoners_dilemma", "--agent", "baseline", "--variant", "medium"), ("'medium' is not one of 'full', 'mini'",)),
        (("run", "prisoners_dilemma", "--agent", "baseline", "--isolation", "docker"), ("--isolation", "'bubblewrap'")),
        (("run", "prisoners_dilemma", "--agent", "baseline", "--max-steps", "0"), ("--max-steps", "x>=1")),
        (("run", "prisoners_dilemma", "--agent", "baseline", "--time-limit", "0"), ("--time-limit", "x>0")),
        (
            ("run", "prisoners_dilemma", "--agent", "baseline", "--time-limit", "soon"),
            ("--time-limit", "'soon' is not a valid float"),
        ),
        (("run", "prisoners_dilemma", "--agent", "baseline", "--seed", "x"), ("--seed", "'x' is not a valid integer")),
        (("run", "prisoners_dilemma", "--agent", "baseline", "--gpus", "-1"), ("--gpus", "x>=0")),
        (("check",), ("name at least one task, or use --all",)),
        (("prepare",), ("name at least one task, or use --all",)),
        (("prepare", "--all", "--source", "x"), ("--source goes with one task",)),
        (("replay",), ("Missing argument 'RECORDING'",)),
    ],
)
def test_a_wrong_call_is_told_with_what_is_possible(mlgym: Program, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    """A wrong command, option or combination ends with status 2, the usage and the choices."""
    mlgym(*arguments).told_usage(*words)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_time_limit_is_a_number_of_seconds(mlgym: Program, value: str) -> None:
    """What is no number of seconds is refused before anything else is looked at."""
    mlgym("run", "nothing", "--agent", "baseline", "--time-limit", value).told_usage("--time-limit")


@pytest.mark.parametrize("command", [("run", "--agent", "baseline"), ("check",), ("prepare",), ("shell",)])
def test_an_unknown_task_is_told_with_the_known_ones(mlgym: Program, command: tuple[str, ...]) -> None:
    """Every command tells an unknown task alike, with status 3."""
    mlgym(*command, "nothing").told_one_error(3, "nothing: no such task", "a task.toml", "prisoners_dilemma")


@pytest.mark.parametrize("name", sorted(folder.name for folder in BROKEN.iterdir() if folder.is_dir()))
def test_a_broken_task_is_told_and_nothing_starts(mlgym: Program, working_folder: Path, name: str) -> None:
    """A task that cannot be used ends with status 3, and no run directory is made."""
    mlgym("run", BROKEN / name, "--agent", "baseline").told_one_error(3, name)
    assert not list(working_folder.iterdir())


def test_several_mistakes_are_told_at_once(mlgym: Program) -> None:
    """Each mistake has a line with the file, the key and what was expected or meant."""
    ended = mlgym("run", BROKEN / "misspelt_keys", "--agent", "baseline")
    ended.told_one_error(3, "did you mean 'metric'?", "did you mean 'environment'?", "this key is required")
    assert ended.err.count("task.toml: ") >= 8


def test_a_task_file_that_cannot_be_read_is_told(mlgym: Program, make_task: Make) -> None:
    """Rights and folders in a file's place are told by the system's reason."""
    folder = make_task()
    (folder / "task.toml").unlink()
    (folder / "task.toml").mkdir()
    mlgym("run", folder, "--agent", "baseline").told_one_error(3, "task.toml: cannot be read: Is a directory")
    if os.geteuid() != 0:
        (folder / "task.toml").rmdir()
        (folder / "task.toml").write_text("", encoding="utf-8")
        (folder / "task.toml").chmod(0)
        mlgym("run", folder, "--agent", "baseline").told_one_error(3, "task.toml: cannot be read: Permission denied")


def test_a_task_file_of_another_encoding_is_told(mlgym: Program, make_task: Make) -> None:
    """A file that is not UTF-8 is told with the place."""
    folder = make_task()
    (folder / "task.toml").write_bytes(b"schema_version = '1.4\xff'")
    mlgym("run", folder, "--agent", "baseline").told_one_error(3, "is not UTF-8 text (byte 21)")


def test_a_folder_without_a_task_is_told(mlgym: Program, tmp_path: Path) -> None:
    """A folder without task.toml is told as no task."""
    (tmp_path / "empty").mkdir()
    mlgym("run", tmp_path / "empty", "--agent", "baseline").told_one_error(3, "holds no task.toml")


@pytest.mark.parametrize("key", ["A", "Environment"])
def test_a_capital_letter_in_a_key_is_told(mlgym: Program, make_task: Make, key: str) -> None:
    """A table whose name begins with a capital letter is an unknown key like any other."""
    folder = make_task()
    with (folder / "task.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[{key}]\ncpus = 1\n")
    mlgym("run", folder, "--agent", "baseline").told_one_error(3, f"{key}: unknown key")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"ls"\nnot json\n', ("line 2", "is not JSON")),
        ('"ls"\n\n{"action": 3}\n', ("line 3", '{"action": 3}')),
        ("\n", ("holds no action",)),
    ],
)
def test_an_actions_file_with_a_bad_line_is_told_by_its_number(
    mlgym: Program, make_task: Make, actions: Write, text: str, words: tuple[str, ...]
) -> None:
    """A bad line ends with status 8 before anything starts, and is named by its number."""
    mlgym("run", make_task(), "--actions", actions(text)).told_one_error(8, "actions.jsonl", *words)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"action": "ls", "scores": 5}\n', "a.jsonl"),
        ('{"trajectory": [{"action": "ls"}], "info": null}', "a.traj"),
        ('{"trajectory": [{"action": "ls"}], "info": {"score": 5}}', "a.traj"),
        ("[" * 100_000, "a.jsonl"),
    ],
)
def test_an_actions_file_of_another_shape_is_told(mlgym: Program, make_task: Make, actions: Write, text: str, name: str) -> None:
    """Whatever JSON a file of actions holds, it is read or refused."""
    ended = mlgym("replay", actions(text, name), "--task", make_task(), "-q")
    assert "Traceback" not in ended.err


def test_missing_actions_are_told_with_what_was_expected(mlgym: Program, make_task: Make, tmp_path: Path) -> None:
    """A missing file of actions and a folder without a trajectory end with status 8."""
    folder = make_task()
    mlgym("run", folder, "--actions", tmp_path / "none").told_one_error(8, "No such file", "JSON Lines", "run directory")
    mlgym("run", folder, "--actions", folder).told_one_error(8, "trajectory.jsonl", "No such file")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ("no such sandbox profile", "default")),
        ("procesess = 5\nmemory_mb = 'x'\n", ("did you mean 'processes'?", "memory_mb: expected a whole number, not 'x'")),
        ("network = 'host'\n", ("network: expected 'no-network', 'allowlist' or 'public', not 'host'",)),
        ("read_only = ['/nowhere', 'relative']\n", ("read_only: expected absolute paths that exist", "/nowhere, relative")),
        ("= 1\n", ("is not TOML", "line 1")),
    ],
)
def test_a_profile_that_cannot_be_used_is_told(
    mlgym: Program, make_task: Make, tmp_path: Path, text: str | None, words: tuple[str, ...]
) -> None:
    """A missing, ill-formed or wrong profile ends with status 9 and every mistake."""
    profile = tmp_path / "profile.toml"
    if text is not None:
        profile.write_text(text, encoding="utf-8")
    mlgym("run", make_task(), "--agent", "baseline", "--profile", profile).told_one_error(9, "profile.toml", *words)


@pytest.mark.kernel
def test_an_output_that_exists_is_never_written(mlgym: Program, make_task: Make, tmp_path: Path) -> None:
    """A run directory that is there already ends with status 7 and stays as it is."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.json").write_text("kept", encoding="utf-8")
    ended = mlgym("run", make_task(), "--agent", "baseline", "--output", tmp_path / "out")
    ended.told_one_error(7, "already exists", "Name another --output")
    assert (tmp_path / "out" / "result.json").read_text(encoding="utf-8") == "kept"
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.kernel
def test_an_output_that_cannot_be_made_is_told(mlgym: Program, make_task: Make) -> None:
    """A place that cannot be written ends with status 7."""
    mlgym("run", make_task(), "--agent", "baseline", "--output", "/proc/nowhere/run").told_one_error(7, "/proc/nowhere/run")


def test_missing_data_is_told_with_the_command_that_gets_it(mlgym: Program, tmp_path: Path) -> None:
    """A task whose full data is not there ends with status 4, the command, and the variant that needs none."""
    ended = mlgym("run", "house_price", "--agent", "baseline", "--data", tmp_path / "data")
    ended.told_one_error(4, str(tmp_path / "data"), "mlgym-lite prepare house_price --source train.csv", "--variant mini")


@pytest.mark.kernel
def test_more_than_the_host_has_is_told(mlgym: Program, make_task: Make) -> None:
    """GPUs and CPUs this host or version cannot give end with status 16."""
    mlgym("run", make_task(), "--agent", "baseline", "--gpus", "1000").told_one_error(16, "GPU")
    folder = make_task("greedy")
    text = (folder / "task.toml").read_text(encoding="utf-8").replace("[environment]", "[environment]\ncpus = 10000")
    (folder / "task.toml").write_text(text, encoding="utf-8")
    mlgym("run", folder, "--agent", "baseline").told_one_error(16, "10000 CPUs", "this process may use")


@pytest.mark.kernel
@pytest.mark.parametrize("program", ["/bin/true", "/nowhere/python"])
def test_what_is_no_interpreter_is_told(mlgym: Program, make_task: Make, program: str) -> None:
    """--python with another program ends with status 6."""
    ended = mlgym("run", make_task(), "--agent", "baseline", "--python", program)
    ended.told_one_error(6, f"{program}: is not a Python interpreter that runs here")


@pytest.mark.kernel
def test_a_task_without_a_solution_has_no_baseline_agent(mlgym: Program, make_task: Make, working_folder: Path) -> None:
    """The agent `baseline` needs the task's solution and says so before anything starts."""
    folder = make_task()
    (folder / "solution" / "solve.sh").unlink()
    (folder / "solution").rmdir()
    mlgym("run", folder, "--agent", "baseline").told_one_error(3, "solution: missing", "'baseline' needs it")
    assert not list(working_folder.iterdir())


@pytest.mark.kernel
def test_a_variable_a_task_needs_is_told(mlgym: Program, make_task: Make) -> None:
    """A variable that task.toml refers to and nobody set ends with status 3 and its name."""
    folder = make_task()
    text = (folder / "task.toml").read_text(encoding="utf-8")
    text = text.replace("[environment]", '[environment]\nenv = { A = "${NOT_SET_ANYWHERE}" }')
    (folder / "task.toml").write_text(text, encoding="utf-8")
    mlgym("run", folder, "--agent", "baseline").told_one_error(3, "NOT_SET_ANYWHERE", "[environment].env")


@pytest.mark.kernel
def test_a_grader_that_fails_is_the_tasks_fault(mlgym: Program, make_task: Make) -> None:
    """A grader that crashes or leaves no verdict ends with status 11, its last words, and where they lie."""
    grader = "echo why it failed\nexit 3\n"
    ended = mlgym("run", make_task(grader=grader), "--agent", "baseline", "-q")
    ended.told_one_error(11, "the grader failed", "exit status 3", "judge.log", "why it failed")
    ended = mlgym("run", make_task("other", grader="exit 0\n"), "--agent", "baseline", "-q")
    ended.told_one_error(11, "left no reward.json")


@pytest.mark.kernel
def test_a_run_that_is_not_scored_says_why(mlgym: Program, make_task: Make, actions: Write) -> None:
    """A rejected submission and an agent that stops end with status 10, which is no error of the program."""
    ended = mlgym("run", make_task(), "--actions", actions('"echo x > answer.txt"\n"submit"\n'))
    assert (ended.status, "not scored: submitted" in ended.err, "expected a number" in ended.err) == (10, True, True)
    ended = mlgym("run", make_task(), "--actions", actions('"true"\n'))
    assert (ended.status, "not scored: gave_up" in ended.err) == (10, True)


@pytest.mark.kernel
def test_a_task_file_that_is_no_file_does_not_hold_the_program_up(
    make_task: Make, started: Callable[..., subprocess.Popen[str]]
) -> None:
    """A FIFO in the place of task.toml is refused, not waited for."""
    folder = make_task()
    (folder / "task.toml").unlink()
    os.mkfifo(folder / "task.toml")
    process = started("run", folder, "--agent", "baseline")
    _, err = process.communicate(timeout=3)
    Ended(status=process.returncode, out="", err=err).told_one_error(3, "task.toml")
