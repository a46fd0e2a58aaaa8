"""`mlgym-lite resume`: an episode whose engine was killed goes on from its last finished step, with all that it had."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program_harness import Program, wait_until
from several_steps import make_steps
from tiny_task import GRADER

from mlgym_lite.models.script_server import ScriptServer

pytestmark = pytest.mark.kernel

Started = Callable[..., "subprocess.Popen[str]"]
ACTIONS = [
    "export A='5 é' PATH; mkdir sub; cd sub; set_it() { export B=$1; }; set_it 6",
    "set_it 7; echo 3 > ../answer.txt; validate",
    "touch ../started; sleep 60; touch ../finished",
    'echo "A=$A B=$B"; pwd; ls ..',
    "echo 4 > ../answer.txt; submit",
]


def lines(run: Path) -> list[dict[str, Any]]:
    """The trajectory."""
    return [json.loads(line) for line in (run / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()]


def kill_in_third_step(process: subprocess.Popen[str], run: Path) -> None:
    """Kill the engine while the action that sleeps runs."""
    wait_until((run / "workspace" / "started").exists, "the third step is on its way")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(lines(run)) == 2 and not (run / "result.json").exists()


@pytest.fixture
def short_sleep(make_task: Callable[..., Path], working_folder: Path, actions: Callable[[str], Path]) -> tuple[Path, Path]:
    """The tiny task, and actions whose sleep ends at once where the file `go` is there."""
    text = [action.replace("sleep 60", "[ -e ../go ] || sleep 60") for action in ACTIONS]
    return make_task(), actions("\n".join(json.dumps(action) for action in text))


def test_a_killed_episode_goes_on(short_sleep: tuple[Path, Path], mlgym: Program, started: Started, working_folder: Path) -> None:
    """Workspace, directory, variables, budget and scores are there; the action that was on its way is run again."""
    task, file = short_sleep
    run = working_folder / "my run"
    kill_in_third_step(started("run", task, "--actions", file, "--output", run), run)
    (run / "workspace" / "go").touch()
    with (run / "trajectory.jsonl").open("ab") as trajectory:
        trajectory.write(b'{"step": 3, "action": "half a li')
    ended = mlgym("resume", run, "--json")
    assert ended.status == 0, ended.err
    result = json.loads(ended.out)
    assert (result["ending"]["reason"], result["score"]["value"], result["steps"]) == ("submitted", 4.0, 5)
    assert result["validations_used"] == 1 and [attempt["step"] for attempt in result["attempts"]] == [2, 5]
    steps = lines(run)
    assert [step["step"] for step in steps] == [1, 2, 3, 4, 5]
    assert steps[3]["observation"].splitlines()[:2] == ["A=5 é B=7", "/workspace/sub"]
    assert "finished" in steps[3]["observation"]
    assert steps[2]["elapsed"] > steps[1]["elapsed"] and result["seconds"]["total"] >= steps[4]["elapsed"] - 0.01
    [resumed] = (run / "resumptions.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(resumed)["steps"] == 2
    assert sorted(path.name for path in (run / "grading").iterdir()) == ["0001-validate", "0002-submit"]
    again = mlgym("resume", run)
    again.told_one_error(17, "has ended (submitted)")
    assert mlgym("replay", run).status in (0, 15), "it is a record like others"


@pytest.mark.parametrize(("limit", "reason"), [(20, "submitted"), (2, "step_limit")])
def test_what_was_killed_while_it_was_graded_is_graded(
    make_task: Callable[..., Path], actions: Callable[[str], Path], mlgym: Program, started: Started, working_folder: Path,
    limit: int, reason: str,
) -> None:  # fmt: skip
    """The agent, which has ended, is not asked again; what was collected before is collected anew."""
    slow = 'grep -q 5 "$MLGYM_LITE_ROOT/submission/answer.txt" && sleep 600\n'
    task = make_task(grader=slow + GRADER)
    last = "echo 5 > answer.txt; submit" if reason == "submitted" else "echo 5 > answer.txt"
    file = actions("\n".join(json.dumps(action) for action in ("true", last, "echo 7 > answer.txt; submit")))
    run = working_folder / "my run"
    process = started("run", task, "--actions", file, "--output", run, "--max-steps", str(limit))
    wait_until(lambda: list(run.glob("grading/*-submit")), "it is graded")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (run / "workspace" / "answer.txt").write_text("6", encoding="utf-8")
    ended = mlgym("resume", run, "--json")
    assert ended.status == 0, ended.err
    result = json.loads(ended.out)
    assert (result["ending"]["reason"], result["score"]["value"], result["steps"]) == (reason, 6.0, 2)


def test_an_episode_that_goes_on_is_left_alone(
    short_sleep: tuple[Path, Path], mlgym: Program, started: Started, working_folder: Path
) -> None:
    """Two engines in one run directory would spoil it; nor is a folder without a run, or a changed task, gone on with."""
    task, file = short_sleep
    run = working_folder / "run"
    process = started("run", task, "--actions", file, "--output", run)
    wait_until((run / "workspace" / "started").exists, "the third step is on its way")
    mlgym("resume", run).told_one_error(17, "still goes on")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    mlgym("resume", working_folder).told_one_error(8, "no run.json")
    with (task / "instruction.md").open("a") as instruction:
        instruction.write("More.\n")
    mlgym("resume", run).told_one_error(17, "the task has changed")


def test_limits_are_those_that_are_left(
    short_sleep: tuple[Path, Path], mlgym: Program, started: Started, working_folder: Path
) -> None:
    """The steps before the kill count."""
    task, file = short_sleep
    run = working_folder / "run"
    kill_in_third_step(started("run", task, "--actions", file, "--output", run, "--max-steps", "3"), run)
    (run / "workspace" / "go").touch()
    ended = mlgym("resume", run, "--json")
    result = json.loads(ended.out)
    assert (result["ending"]["reason"], result["steps"], result["score"]["value"]) == ("step_limit", 3, 3.0)


def test_a_language_model_has_its_conversation_again(
    make_task: Callable[..., Path], mlgym: Program, started: Started, working_folder: Path
) -> None:
    """The model is shown what it said and saw before, and that it was interrupted; tokens are counted in all."""
    run = working_folder / "run"
    script = [{"content": f"I think {number}.\n```\n{action}\n```\n"} for number, action in enumerate(ACTIONS)]
    with ScriptServer([*script[:3], *script[3:]]) as server:
        model = ("--agent", "react", "--model", "openai/script", "--base-url", server.base_url, "--token-limit", "100000")
        kill_in_third_step(started("run", make_task(), *model, "--output", run, OPENAI_API_KEY="none"), run)
        ended = mlgym("resume", run, "--json", OPENAI_API_KEY="none")
        assert ended.status == 0, ended.err
        messages = server.requests[3]["messages"]
    result = json.loads(ended.out)
    assert result["score"]["value"] == 4.0 and result["steps"] == 4, "the interrupted action is the model's to repeat"
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert messages[:4] == server.requests[1]["messages"][:4], "word for word what it was shown before"
    assert messages[4]["content"].startswith("I think 1.") and "Validation 1 of 3" in messages[5]["content"]
    assert "was interrupted here and now goes on" in messages[5]["content"] and "18 steps left" in messages[5]["content"]
    assert result["usage"]["calls"] == 4
    assert sum(step["tokens"]["input"] for step in lines(run)) == result["usage"]["input_tokens"]


def test_a_program_is_told_what_was_done(
    make_task: Callable[..., Path], mlgym: Program, started: Started, working_folder: Path
) -> None:
    """Its first message has the steps before."""
    program = working_folder / "player.py"
    program.write_text(
        "import json, sys\n"
        "first = json.loads(sys.stdin.readline())\n"
        "if first.get('before'):\n"
        "    said = first['before'][1]['observation'].split()[0]\n"
        "    print(json.dumps({'action': 'echo 9 > ../answer.txt; submit # ' + said}), flush=True)\n"
        f"for action in {ACTIONS[:3]!r}:\n"
        "    print(json.dumps({'action': action}), flush=True)\n"
        "    sys.stdin.readline()\n",
        encoding="utf-8",
    )
    run = working_folder / "run"
    kill_in_third_step(started("run", make_task(), "--agent", program, "--output", run), run)
    ended = mlgym("resume", run, "--json")
    assert ended.status == 0, ended.err
    assert json.loads(ended.out)["score"]["value"] == 9.0 and lines(run)[2]["action"].endswith("# Validation")


@pytest.mark.parametrize("agent", ["actions", "program"])
def test_a_killed_series_goes_on(
    agent: str, mlgym: Program, started: Started, tmp_path: Path, working_folder: Path, actions: Callable[[str], Path]
) -> None:
    """In the step that was killed, with what it had, and then the rest; named by its folder or by the step's."""
    task, run = make_steps(tmp_path / "three"), working_folder / "my run"
    texts = [
        "echo 3 > idea.txt; submit", "export A=5; cd /tmp", 'cd "$MLGYM_LITE_ROOT/workspace"; echo 4 > answer.txt',
        "touch started; [ -e go ] || sleep 60", 'echo "$A $PWD"', "submit", "echo 5 > answer.txt; submit",
    ]  # fmt: skip
    how = ("--actions", actions("".join(f"{json.dumps(text)}\n" for text in texts)))
    if agent == "program":
        by_step = {"three-idea": texts[:1], "three-work": texts[1:6], "three-end": texts[6:]}
        (tmp_path / "typist.py").write_text(TYPIST.format(texts=by_step))
        how = ("--agent", tmp_path / "typist.py")
    process = started("run", task, *how, "--output", run)
    wait_until((run / "work" / "workspace" / "started").exists, "the fourth action is on its way")
    mlgym("resume", run).told_one_error(17, "still goes on")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (run / "work/workspace/go").touch()
    ended = mlgym("resume", run if agent == "actions" else run / "work", "--json")
    assert ended.status == 0, ended.err
    content = json.loads(ended.out)
    assert content == json.loads((run / "series.json").read_text()) and content["reward"] == 4.0 and content["not_begun"] == []
    seen = [line["observation"] for line in lines(run / "work")]
    assert next(one for one in seen if one.startswith("5 ")).endswith("/workspace\n")
    mlgym("resume", run).told_one_error(17, "has ended; there is nothing to go on with")


def test_a_series_that_cannot_go_on(
    mlgym: Program, started: Started, tmp_path: Path, working_folder: Path, actions: Callable[[str], Path]
) -> None:
    """Whose task has changed, or that was killed between two steps."""
    task, run = make_steps(tmp_path / "three"), working_folder / "run"
    process = started(
        "run", task, "--actions", actions('"echo 3 > idea.txt; submit"\n"touch started; sleep 60"\n'), "--output", run
    )
    wait_until((run / "work" / "workspace" / "started").exists, "the second action is on its way")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    instruction = task / "steps/work/instruction.md"
    before = instruction.read_text()
    instruction.write_text("Another one.\n")
    mlgym("resume", run).told_one_error(17, "the task has changed since")
    instruction.write_text(before)
    shell = run / "work/.state/shell.json"
    shell.rename(shell.with_name("kept"))
    mlgym("resume", run).told_one_error(17, "was killed before its first action could begin. Run it anew")
    shell.with_name("kept").rename(shell)
    (run / "work/run.json").unlink()
    mlgym("resume", run).told_one_error(17, "its step work has not begun", "Then run the task anew")


def test_a_step_killed_in_its_first_action_goes_on_where_it_began(
    mlgym: Program, started: Started, tmp_path: Path, working_folder: Path, actions: Callable[[str], Path]
) -> None:
    """In the directory that the step before left; a series.json that cannot be read, or is old, is written anew."""
    task, run = make_steps(tmp_path / "three"), working_folder / "run"
    texts = [
        "mkdir sub; echo 3 > idea.txt; cd sub", "submit", "touch started; [ -e go ] || sleep 60; pwd; echo 4 > ../answer.txt",
        "submit", "submit",
    ]  # fmt: skip
    file = actions("".join(f"{json.dumps(text)}\n" for text in texts))
    process = started("run", task, "--actions", file, "--output", run)
    wait_until((run / "work" / "workspace" / "sub" / "started").exists, "the third action is on its way")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (run / "work/workspace/sub/go").touch()
    (run / "series.json").write_text("{", encoding="utf-8")
    assert mlgym("resume", run).status == 0
    assert lines(run / "work")[0]["observation"].endswith("/workspace/sub\n")
    whole = (run / "series.json").read_text()
    (run / "series.json").unlink()
    mlgym("resume", run / "end").told_one_error(17, "has ended")
    assert (run / "series.json").read_text() == whole


def test_a_plain_run_in_the_folder_of_a_series_is_one_of_its_own(
    short_sleep: tuple[Path, Path], mlgym: Program, started: Started, working_folder: Path
) -> None:
    """What lies beside it does not count."""
    task, file = short_sleep
    (working_folder / "series.json").write_text("{}", encoding="utf-8")
    run = working_folder / "run"
    kill_in_third_step(started("run", task, "--actions", file, "--output", run), run)
    (run / "workspace" / "go").touch()
    assert mlgym("resume", run).status == 0


TYPIST = """
import json, sys
texts = {texts!r}
start = json.loads(sys.stdin.readline())
for text in texts[start["task"]][len(start.get("before", [])):]:
    print(json.dumps({{"action": text}}), flush=True)
    sys.stdin.readline()
"""
