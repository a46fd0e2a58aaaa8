"""Programs as agents: JSON lines with the engine, and every way in which a program can misbehave."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from attack_harness import wait_until

import mlgym_lite
from mlgym_lite.agents.program import ProgramAgent
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.episode.outcome import Outcome
from mlgym_lite.episode.runner import run_episode
from mlgym_lite.errors import AgentError

pytestmark = pytest.mark.kernel

Play = Callable[..., Outcome]
HEAD = "import json, os, sys, time\ndef say(**answer): print(json.dumps(answer), flush=True)\n"


@pytest.fixture
def play(make_task: Callable[..., Path], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Plays the tiny task with a program."""
    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))

    def play_one(code: str, **settings: float) -> Outcome:
        program = tmp_path / "an agent.py"
        program.write_text(HEAD + code, encoding="utf-8")
        task = mlgym_lite.load_task(make_task())
        return run_episode(task, ProgramAgent(program, task, "m"), RunSettings(output=tmp_path / "run", **settings), cache=cache)  # type: ignore[arg-type]

    return play_one


def test_a_program_is_shown_how_things_stand_and_decides(play: Play, tmp_path: Path) -> None:
    """The start has the task, each observation what is left; thought and usage are recorded."""
    outcome = play(f"""
log = open({str(tmp_path / "log")!r}, "w")
for at, line in enumerate(sys.stdin):
    print(line, file=log, end="", flush=True)
    say(action=["pwd", "echo 5 > answer.txt; validate", "submit"][at], thought=f"thought {{at}}", usage={{"input_tokens": 7}})
""")
    assert outcome.score == 5
    start, second, third = map(json.loads, (tmp_path / "log").read_text(encoding="utf-8").splitlines())
    assert (start["type"], start["metric"], start["model"], start["steps_left"]) == ("start", "Score", "m", 20)
    assert "answer.txt" in start["text"]
    assert (second["type"], second["text"], second["exit_status"], second["steps_left"]) == ("observation", "/workspace\n", 0, 19)
    assert (third["best"], third["validations_left"]) == (5, 2)
    assert outcome.result["usage"] == {"input_tokens": 21, "output_tokens": 0, "cost_usd": None, "calls": 3, "estimated": False}
    assert outcome.result["agent"] == "an agent"


def test_a_program_may_stop(play: Play) -> None:
    """That is giving up, with its words."""
    outcome = play('sys.stdin.readline(); say(stop="nothing helps")')
    assert (outcome.ending.reason, outcome.ending.detail, outcome.score) == ("gave_up", "nothing helps", None)


@pytest.mark.parametrize("reason", ["time_limit", "cost_limit", "context_limit", "format_errors"])
def test_a_program_may_stop_at_a_limit(play: Play, reason: str) -> None:
    """Then what lies in the workspace is scored, and what deciding took is kept."""
    outcome = play(
        f"sys.stdin.readline(); say(stop='why', reason={reason!r}, usage={{'input_tokens': 7, 'calls': 3, 'cost_usd': 1}})"
    )
    assert (outcome.ending.reason, outcome.ending.detail, outcome.ending.autosubmitted) == (reason, "why", True)
    assert outcome.score == 0.5
    assert outcome.result["usage"] == {"input_tokens": 7, "output_tokens": 0, "cost_usd": 1, "calls": 3, "estimated": False}


def test_a_program_may_tell_that_it_failed(play: Play, tmp_path: Path) -> None:
    """Its words are the error's, on the screen and in the result."""
    with pytest.raises(AgentError, match="an agent: no key"):
        play("sys.stdin.readline(); say(stop='no key', reason='agent_error')")
    ending = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["ending"]
    assert (ending["reason"], ending["detail"]) == ("agent_error", "an agent: no key")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("sys.exit(3)", "exit status 3"),
        ("sys.stdin.readline(); print('hello', flush=True); time.sleep(60)", "is not JSON"),
        ("sys.stdin.readline(); say(action='ls', stop='x')", '"action" or "stop"'),
        ("sys.stdin.readline(); say(acton='ls')", '"action" or "stop"'),
        ("sys.stdin.readline(); say(action='ls', reward=1)", "unknown key 'reward'"),
        ("sys.stdin.readline(); say(action=3)", '"action" is a text'),
        ("sys.stdin.readline(); say(stop='x', reason='submitted')", '"reason" is one of gave_up, time_limit'),
        ("sys.stdin.readline(); say(action='ls', reason='cost_limit')", '"reason" goes with "stop"'),
        ("sys.stdin.readline(); say(action='ls', usage={'x': 1})", '"usage" is'),
        ("sys.stdin.readline(); say(action='ls', usage={'input_tokens': '7'})", '"usage" is'),
        ("sys.stdin.readline(); say(action='ls', usage={'cost_usd': float('nan')})", "NaN is no number of JSON"),
        ("sys.stdin.readline(); say(action='ls', usage={'calls': True})", '"usage" is'),
        ("sys.stdin.readline(); say(action='ls', usage=[1])", '"usage" is'),
        ("sys.stdin.readline(); os.write(1, b'\\xff\\n'); time.sleep(60)", "utf-8"),
    ],
)
def test_a_program_that_misbehaves_is_told(play: Play, tmp_path: Path, code: str, words: str) -> None:
    """The error names the program and the mistake, and the episode ended as the agent's error."""
    with pytest.raises(AgentError, match=words) as told:
        play(code)
    assert "an agent.py" in str(told.value)
    assert json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["ending"]["reason"] == "agent_error"


def test_a_program_that_does_not_answer_ends_at_the_time_limit(play: Play) -> None:
    """What lies in the workspace is scored."""
    outcome = play("sys.stdin.readline(); say(action='echo 6 > answer.txt'); time.sleep(60)", time_limit_seconds=2.0)
    assert (outcome.ending.reason, outcome.ending.autosubmitted, outcome.score) == ("time_limit", True, 6)


def test_what_a_program_started_ends_with_it(play: Play, tmp_path: Path) -> None:
    """Its process group is ended after the episode."""
    pid = tmp_path / "pid"
    play(f"""
if os.fork() == 0:
    open({str(pid)!r}, "w").write(str(os.getpid()))
    time.sleep(600)
while not os.path.exists({str(pid)!r}) or not open({str(pid)!r}).read(): time.sleep(0.01)
for line in sys.stdin: say(action="submit")
""")
    status = Path("/proc", pid.read_text(encoding="utf-8"), "stat")
    wait_until(lambda: not status.exists() or status.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z")


def test_a_program_that_cannot_start_is_told(make_task: Callable[..., Path], tmp_path: Path) -> None:
    """Such as a file that is not executable."""
    program = tmp_path / "agent"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    with pytest.raises(AgentError, match="cannot be started: Permission denied"):
        ProgramAgent(program, mlgym_lite.load_task(make_task()))
