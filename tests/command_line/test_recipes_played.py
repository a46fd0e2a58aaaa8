"""The recipes as a person runs them, with a language model on a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny_task import TASK_TOML

from mlgym_lite.models.script_server import ScriptServer

pytestmark = pytest.mark.kernel
RECIPES = Path(__file__).resolve().parents[2] / "recipes"
PROGRAMS: dict[str, list[str | Path]] = {
    "malt": [sys.executable, RECIPES / "malt.py"],
    "tptu": [sys.executable, RECIPES / "tptu.py"],
    "mlr_copilot": [sys.executable, "-m", "mlgym_lite", "run", RECIPES / "mlr_copilot", "--json", "--agent", "react"],
}


def ran(
    name: str, replies: Sequence[str], environment: Mapping[str, str], folder: Path, *arguments: str | Path
) -> tuple[dict[str, Any], list[Any]]:
    """What a recipe prints, and what it asked the model."""
    with ScriptServer([{"content": reply} for reply in replies]) as server:
        command = [*PROGRAMS[name], *arguments, "--model", "openai/x", "--base-url", server.base_url]
        result = subprocess.run(
            command, cwd=folder, env={**environment, "OPENAI_API_KEY": "none"}, capture_output=True, text=True, timeout=150
        )
        assert result.returncode == 0, result.stderr
        told: dict[str, Any] = json.loads(result.stdout)
        return told, server.requests


def fenced(command: str) -> str:
    """A reply with an action."""
    return f"I try.\n\n```\n{command}\n```\n"


@pytest.fixture
def task(make_task: Callable[..., Path]) -> Path:
    """The tiny task with many validations."""
    return make_task(toml=TASK_TOML.replace("validations = 3", "validations = 30\ngoal = 5.0"))


def test_malt(task: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """Two generators, four verifiers, eight refiners from the generators' states; the best is handed in, roles have data."""
    write = [fenced(f"cat answer.txt; echo {number} > answer.txt") for number in range(10)]
    replies = [
        write[3], "too low", write[5], write[0], "too high", write[2], write[4],
        write[1], "hm", write[0], "no block", "well", write[0], fenced("echo x > answer.txt"),
    ]  # fmt: skip
    told, asked = ran("malt", replies, environment, tmp_path, task, tmp_path / "out", "--branching", "2")
    assert told["score"] == 5.0 and told["values"] == [0.75, 0.0] and len(asked) == 14
    assert told["lines"] == {
        "generator.jsonl": 1, "verifier.jsonl": 1, "refiner.jsonl": 3, "verifier-pairs.jsonl": 1, "refiner-pairs.jsonl": 1,
    }  # fmt: skip
    pair = json.loads((tmp_path / "out/data/refiner-pairs.jsonl").read_text())
    assert pair["chosen"] == write[5] and pair["rejected"] == write[0] and "A reviewer says:\ntoo low" in pair["prompt"]
    steps = [json.loads(line) for line in (tmp_path / "out/run/trajectory.jsonl").read_text().splitlines()]
    assert [step["observation"] for step in steps] == ["0.5\n", *["3\n"] * 4, "0.5\n", "1\n", "1\n", ""]
    assert json.loads((tmp_path / "out/run/result.json").read_text())["usage"]["calls"] == 14


@pytest.mark.parametrize("planner", ["one-step", "sequential"])
def test_tptu(planner: str, task: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """Plans and carries out; the plan is in the trajectory."""
    pairs = [
        {"tool": "edit", "subtask": "write four"},
        {"tool": "validate", "subtask": "look"},
        {"tool": "submit", "subtask": "s"},
    ]
    texts = [json.dumps(pair) for pair in pairs]
    edit = fenced("echo 4 > answer.txt")
    replies = [json.dumps(pairs), edit] if planner == "one-step" else [texts[0], edit, *texts[1:]]
    arguments = (task, tmp_path / "out", "--planner", planner, "--reference", "edit,validate,submit")
    told, asked = ran("tptu", replies, environment, tmp_path, *arguments)
    assert (told["score"], told["completion"], told["order_accuracy"], told["planned"]) == (4.0, 1.0, 1.0, pairs)
    steps = [json.loads(line) for line in (tmp_path / "out/trajectory.jsonl").read_text().splitlines()]
    assert [step["details"]["planned"] for step in steps] == pairs and len(asked) == len(replies)


def test_mlr_copilot(environment: dict[str, str], tmp_path: Path) -> None:
    """The recipe's own three steps: an idea, its implementation, the experiment that is scored."""
    replies = [
        fenced("printf 'Hypothesis: give up two fields.\\nPlan: four fields with 30.\\n' > idea.md; submit"),
        fenced("cat idea.md"),
        fenced("printf 'def allocation():\\n    return (30, 30, 30, 30, 0, 0)\\n' > strategy.py; validate"),
        fenced("submit"),
        fenced("validate"),
        fenced("submit"),
    ]
    told, asked = ran("mlr_copilot", replies, environment, tmp_path, "--output", tmp_path / "out")
    assert [(step["name"], step["reached"]) for step in told["steps"]] == [("idea", True), ("implement", True), ("execute", True)]
    assert told["reward"] > 0.1 and told["not_begun"] == []
    assert len(asked) == 6 and len(asked[1]["messages"]) < len(asked[3]["messages"])
    first = json.loads((tmp_path / "out/implement/trajectory.jsonl").read_text().splitlines()[0])
    assert "Plan: four fields with 30." in first["observation"]
