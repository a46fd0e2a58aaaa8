"""`mlgym-lite search`: a language model on a real server proposes, states are gone back to, the best is handed in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from program_harness import Program
from tiny_task import TASK_TOML

pytestmark = pytest.mark.kernel


@contextmanager
def served(folder: Path, replies: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """A server that gives these replies in turn: its address, and the file of what it was asked."""
    script, log = folder / "replies.jsonl", folder / "log.jsonl"
    script.write_text("\n".join(map(json.dumps, replies)) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "mlgym_lite", "serve-script", str(script), "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip(), log
        finally:
            server.terminate()


def fenced(command: str) -> str:
    """A reply with an action."""
    return f"I try this.\n\n```\n{command}\n```\n"


def asked(log: Path) -> list[list[dict[str, Any]]]:
    """The messages of every request."""
    return [json.loads(line)["messages"] for line in log.read_text(encoding="utf-8").splitlines()]


def test_a_model_searches(mlgym: Program, make_task: Callable[..., Path], tmp_path: Path, working_folder: Path) -> None:
    """Two actions from the first state, then two from the better one; equal replies are one action; ill-formed ones are none."""
    replies = [
        fenced("echo 1 > answer.txt; echo one"), "no action", fenced("echo 3 > answer.txt; echo three"),
        fenced("cat answer.txt; echo bad > answer.txt"), fenced("cat answer.txt; echo bad > answer.txt"), fenced("never"),
    ]  # fmt: skip
    toml = TASK_TOML.replace("validations = 3", "validations = 9\ngoal = 5.0")
    with served(tmp_path, replies) as (address, log):
        ended = mlgym(
            "search", make_task(toml=toml), "--method", "exact", "--steps", "3", "--branching", "2", "--depth", "2", "--model",
            "openai/script", "--base-url", address, "--output", working_folder / "run", "--json", OPENAI_API_KEY="sk-secret",
        )  # fmt: skip
        assert ended.status == 0, ended.err
        result = json.loads(ended.out)
        assert (result["agent"], result["model"], result["score"]["value"]) == ("search-exact", "openai/script", 3.0)
        assert (result["steps"], result["validations_used"], result["usage"]["calls"]) == (3, 3, 5)
        requests = asked(log)
    assert "[1/3] depth 1: Score 1, best 1" in ended.err and "[3/3] depth 2: rejected, best 3" in ended.err
    assert [len(messages) for messages in requests] == [2, 2, 2, 4, 4]
    assert "the best state is handed in" in requests[0][0]["content"] and requests[0][1]["content"].endswith(
        "Take the next step."
    )
    state = requests[3]
    assert (
        state[2]["content"] == replies[2] and "three" in state[3]["content"] and "(validated: Score = 3)" in state[3]["content"]
    )
    lines = [json.loads(line) for line in (working_folder / "run" / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["details"]["reply"]["content"] for line in lines] == [replies[0], replies[2], replies[3]]
    assert lines[2]["observation"].startswith("3\n") and lines[0]["thought"] == "I try this."


def test_aide_debugs_and_improves(mlgym: Program, make_task: Callable[..., Path], tmp_path: Path) -> None:
    """It tells the model which."""
    replies = [fenced("echo bad > answer.txt"), fenced("echo 4 > answer.txt"), fenced("echo 5 > answer.txt")]
    with served(tmp_path, replies) as (address, log):
        options = ["--model", "openai/script", "--base-url", address, "--steps", "3", "--branching", "1", "--json"]
        ended = mlgym("search", make_task(), *options, OPENAI_API_KEY="sk-secret")
        assert ended.status == 0 and json.loads(ended.out)["score"]["value"] == 5.0, ended.err
        last = [messages[-1]["content"] for messages in asked(log)]
    assert "Write a first solution" in last[0] and "rejected. Find out why" in last[1] and "Improve this solution" in last[2]


def test_what_ends_a_search_early(mlgym: Program, make_task: Callable[..., Path], tmp_path: Path) -> None:
    """A limit of tokens hands in the best so far; a model that gives no action, or a server that is gone, is told."""
    with served(tmp_path, [fenced("echo 2 > answer.txt")]) as (address, _):
        options = ["--model", "openai/script", "--base-url", address, "--method", "best-of-n"]
        ended = mlgym("search", make_task(), *options, "--token-limit", "1", "--json", OPENAI_API_KEY="sk-secret")
        assert ended.status == 0 and json.loads(ended.out)["score"]["value"] == 2.0, ended.err
    with served(tmp_path, ["nothing"] * 9) as (address, _):
        options = ["--model", "openai/script", "--base-url", address]
        ended = mlgym("search", make_task("other"), *options, OPENAI_API_KEY="sk-secret")
        ended.told_one_error(13, "replies in a row were ill-formed")
    mlgym("search", make_task("third")).told_usage("needs a model: --model NAME")
    mlgym("search", make_task("third"), "--method", "mcts").told_usage("'mcts' is not one of")


def test_a_model_that_fails_costs_no_state(
    mlgym: Program, make_task: Callable[..., Path], tmp_path: Path, working_folder: Path
) -> None:
    """The best state so far is scored; the status and the ending tell of the failure."""
    toml = TASK_TOML.replace("validations = 3", "validations = 9\ngoal = 5.0")
    replies: list[Any] = [fenced("echo 3 > answer.txt"), fenced("echo 2 > answer.txt"), {"status": 401, "error": "no such key"}]
    with served(tmp_path, replies) as (address, _):
        ended = mlgym(
            "search", make_task(toml=toml), "--steps", "5", "--branching", "3", "--model", "openai/x", "--base-url", address,
            "--output", working_folder / "run", OPENAI_API_KEY="sk-secret",
        )  # fmt: skip
    assert ended.status == 13 and "no such key" in ended.err and "scored all the same: Score 3" in ended.err
    result = json.loads((working_folder / "run/result.json").read_text())
    assert (result["ending"]["reason"], result["ending"]["autosubmitted"], result["score"]["value"]) == ("agent_error", True, 3.0)
