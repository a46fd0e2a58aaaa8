"""`run` with a language model and with a program, and `serve-script`, through the real program."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from program_harness import Program

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "random_agent.py"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "agents.md"
LONGEST_EXAMPLE_LINES = 40


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a `serve-script` that says three things."""
    script = tmp_path / "replies.jsonl"
    replies = ["```\necho 8 > answer.txt\n```\n", {"content": "hm", "usage": [9, 9]}, "```\nvalidate; submit\n```\n"]
    script.write_text("\n".join(map(json.dumps, replies)) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "mlgym_lite", "serve-script", str(script), "--log", str(tmp_path / "log.jsonl")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


@pytest.mark.kernel
def test_a_language_model_plays(mlgym: Program, make_task: Callable[..., Path], served: str, tmp_path: Path) -> None:
    """The documented commands work together; the score, tokens and requests are there."""
    ended = mlgym(
        "run", make_task(), "--agent", "react", "--model", "openai/script", "--base-url", served, "--json",
        "--token-limit", "100000",
        OPENAI_API_KEY="sk-secret-0123456789",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    result = json.loads(ended.out)
    assert (result["agent"], result["model"], result["score"]["value"], result["usage"]["calls"]) == (
        "react",
        "openai/script",
        8,
        3,
    )
    requests = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [len(json.loads(line)["messages"]) for line in requests] == [2, 4, 6]


@pytest.mark.kernel
def test_mini_swe_agent_s_cost_limit_needs_a_known_price(
    mlgym: Program, make_task: Callable[..., Path], served: str, tmp_path: Path
) -> None:
    """It asks the server that --base-url names, and then says what to use instead; nothing but the error is told."""
    ended = mlgym(
        "run", make_task(), "--agent", "mini-swe-agent", "--model", "openai/script", "--base-url", served, "--cost-limit", "1",
        "--quiet", "--json",
        OPENAI_API_KEY="none",
    )  # fmt: skip
    ended.told_one_error(13, "mini-swe-agent: openai/script: its price is not known, so --cost-limit 1", "use --token-limit")
    assert ended.err.count("\n") == 1
    assert len((tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.kernel
def test_the_example_program_plays(tmp_path: Path, environment: dict[str, str]) -> None:
    """It is short, and finds an allocation that beats the baseline."""
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < LONGEST_EXAMPLE_LINES
    command = [sys.executable, "-m", "mlgym_lite", "run", "colonel_blotto", "--agent", str(EXAMPLE), "--json"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert (result["agent"], result["steps"], result["validations_used"]) == ("random_agent", 9, 8)


def test_agents_that_cannot_be_used_are_told(mlgym: Program, make_task: Callable[..., Path], tmp_path: Path) -> None:
    """No such agent, no model, no such file, a mistyped key."""
    task = make_task()
    mlgym("run", task, "--agent", "raect").told_usage("no agent 'raect'", "react-tools")
    mlgym("run", task, "--agent", "react").told_usage("needs a model: --model NAME, or [model] name")
    mlgym("run", task, "--agent", "mini-swe-agent").told_usage("--agent mini-swe-agent needs a model: --model NAME")
    mlgym("run", task, "--agent", tmp_path / "none.toml", "--model", "x").told_one_error(13, "none.toml", "cannot be read")
    (tmp_path / "b.j2").write_text("{{ oops }}", encoding="utf-8")
    (tmp_path / "b.toml").write_text('[prompts]\nsystem = "b.j2"\n', encoding="utf-8")
    ended = mlgym("run", task, "--agent", tmp_path / "b.toml", "--model", "openai/x", "--output", tmp_path / "run")
    ended.told_one_error(13, "'system'", "'oops' is undefined", "known here: task, parser, tools, observation, error")
    assert not (tmp_path / "run").exists()
    (tmp_path / "a.toml").write_text("[formats]\n", encoding="utf-8")
    mlgym("run", task, "--agent", tmp_path / "a.toml", "--model", "x").told_one_error(13, "did you mean 'format'?")


def test_scripts_that_cannot_be_used_are_told(mlgym: Program, tmp_path: Path) -> None:
    """With the line."""
    script = tmp_path / "script.jsonl"
    script.write_text('"ok"\n{"contnet": "x"}\n', encoding="utf-8")
    mlgym("serve-script", script).told_one_error(8, "line 2: unknown key 'contnet'")
    script.write_text('{"status": "429"}\n', encoding="utf-8")
    mlgym("serve-script", script).told_one_error(8, "line 1: status: expected a whole number")
    script.write_text("\n", encoding="utf-8")
    mlgym("serve-script", script).told_one_error(8, "holds no reply")
    script.write_text('"ok"\n\noops\n', encoding="utf-8")
    mlgym("serve-script", script).told_one_error(8, "line 3: is not JSON")


def test_the_document_shows_the_defaults() -> None:
    """The agent file in docs/agents.md is one, and says what an empty file means."""
    from mlgym_lite.config.agent_file import AgentFile
    from mlgym_lite.config.toml_errors import parse

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    text = re.findall(r"^```toml\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)[0]
    assert parse(AgentFile, tomllib.loads(text), "the document") == AgentFile()
    shown = tomllib.loads(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE))
    for table, field in AgentFile.model_fields.items():
        names = set(getattr(field.annotation, "model_fields", {}))
        assert names == set(shown[table]) if names else table in shown
