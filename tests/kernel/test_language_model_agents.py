"""Language-model agents at work in real episodes; the model is a server on loopback that answers from a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import mlgym_lite
from mlgym_lite.agents.react import ReactAgent
from mlgym_lite.config.agent_file import AgentFile, load_agent_file
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.toml_errors import parse
from mlgym_lite.episode.outcome import Outcome
from mlgym_lite.episode.runner import run_episode
from mlgym_lite.errors import AgentError
from mlgym_lite.models.litellm_model import LiteLLMModel
from mlgym_lite.models.script_server import ScriptServer

pytestmark = pytest.mark.kernel

BLOTTO = "def row_strategy(history):\n    return (0, 0, 30, 30, 30, 30)\n"


class Played:
    """An episode that a scripted model played."""

    def __init__(self, outcome: Outcome, server: ScriptServer) -> None:
        """Read what it left."""
        self.result = outcome.result
        self.ending = outcome.ending
        self.requests = server.requests
        lines = (outcome.run_directory / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()
        self.steps: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.folder = outcome.run_directory


@pytest.fixture
def play(
    monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path, make_task: Callable[..., Path]
) -> Iterator[Callable[..., Played]]:
    """Plays the tiny task, or another, with a scripted model."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))
    with ExitStack() as stack:

        def play_one(
            *script: Any,
            task: str | None = None,
            agent: str = "react",
            context: int | None = None,
            change: Any = None,
            steps: int = 20,
        ) -> Played:
            lines = [{"content": line} if isinstance(line, str) else line for line in script]
            server = stack.enter_context(ScriptServer(lines, context_characters=context))
            name, settings, prompts = load_agent_file(agent)
            merged = settings.model_dump() | {key: settings.model_dump()[key] | value for key, value in (change or {}).items()}
            settings = parse(AgentFile, merged, "the test")
            options = settings.model.model_copy(update={"base_url": server.base_url, "longest_wait_seconds": 0.01})
            loaded = mlgym_lite.load_task(task or make_task())
            model = LiteLLMModel("openai/script", options)
            outcome = run_episode(
                loaded, ReactAgent(name, settings, prompts, model, loaded),
                RunSettings(output=tmp_path / "run", max_steps=20), cache=cache,
            )  # fmt: skip
            return Played(outcome, server)

        yield play_one


def block(text: str) -> str:
    """A reply with one fenced command."""
    return f"I think.\n```\n{text}\n```\n"


def call(text: str) -> dict[str, Any]:
    """A reply with one tool call."""
    return {"content": "I think.", "tool_calls": [{"name": "shell", "arguments": {"command": text}}]}


@pytest.mark.parametrize(
    ("agent", "say", "wrong"),
    [
        ("react", block, "No block."),
        ("react-tools", call, {"tool_calls": [{"name": "shell", "arguments": '{"command": oops'}]}),
        ("react-xml", lambda text: f"I think. <command>{text}</command>", "No element."),
        ("react-json", lambda text: json.dumps({"thought": "I think.", "command": text}), "No object."),
    ],
)
def test_colonel_blotto_is_solved(play: Callable[..., Played], agent: str, say: Callable[[str], Any], wrong: Any) -> None:
    """Look, edit, a format error, validate, improve and submit: the score is the optimum's, and all of it is on record."""
    played = play(
        say("open strategy.py"),
        say(f"cat > strategy.py <<'END'\n{BLOTTO}END\nvalidate"),
        wrong,
        {"status": 429, "retry_after": 0.01},
        say("cat strategy.py"),
        say("submit"),
        task="colonel_blotto",
        agent=agent,
    )
    assert played.ending.reason == "submitted"
    assert played.result["score"]["value"] > 0.2
    assert [len(step["scores"]) for step in played.steps] == [0, 1, 0, 0]
    assert played.steps[2]["observation"] == BLOTTO
    assert [step["thought"] for step in played.steps[:2]] == ["I think.", "I think."]
    (rejected,) = played.steps[2]["details"]["rejected"]
    assert "Nothing was run" in rejected["error"]
    assert played.result["usage"]["calls"] == 5 and played.result["usage"]["cost_usd"] is None
    assert sum(step["tokens"]["input"] for step in played.steps) == played.result["usage"]["input_tokens"] > 0
    assert played.result["model"] == "openai/script"
    last = json.dumps(played.requests[-1]["messages"])
    assert "16 steps left" not in last and "17 steps left" in last and "best Score so far" in last


def test_the_key_is_nowhere(play: Callable[..., Played]) -> None:
    """Not in the run directory, and not in the sandbox's environment."""
    played = play(block("env; submit"))
    assert played.ending.reason == "submitted"
    for path in played.folder.rglob("*"):
        assert not path.is_file() or b"sk-secret" not in path.read_bytes(), path


def test_ill_formed_replies_end_the_episode_and_what_is_there_is_scored(play: Callable[..., Played]) -> None:
    """After three in a row; the replies are in the result."""
    played = play(block("echo 3 > answer.txt"), "no", "no", "never")
    assert (played.ending.reason, played.ending.autosubmitted) == ("format_errors", True)
    assert played.result["score"]["value"] == 3
    assert [entry["reply"]["content"] for entry in played.result["stop_details"]["rejected"]] == ["no", "no", "never"]
    assert played.result["usage"]["calls"] == 4


def test_messages_that_are_too_long_are_shortened(play: Callable[..., Played]) -> None:
    """Long outputs are left out, oldest first, until the server takes the rest; the episode goes on to its end."""
    lines = [block("seq 1 1500")] * 6
    change = {"history": {"policy": "all"}}
    played = play(*lines, block("echo 2 > answer.txt; submit"), context=22_000, change=change)
    assert played.ending.reason == "submitted" and played.result["score"]["value"] == 2
    assert "left out" in json.dumps(played.requests[-1]["messages"])


@pytest.mark.parametrize(("context", "overflow"), [(22_000, "stop"), (100, "shorten")])
def test_where_nothing_more_can_be_left_out_the_episode_ends(play: Callable[..., Played], context: int, overflow: str) -> None:
    """At the context limit, with what is there scored."""
    script = [block("seq 1 1500")] * 6 if overflow == "stop" else [block("ls")]
    played = play(*script, context=context, change={"history": {"policy": "all", "overflow": overflow}})
    assert (played.ending.reason, played.ending.autosubmitted) == ("context_limit", True)
    assert played.result["score"]["value"] == 0.5


def test_the_token_limit_ends_the_episode(play: Callable[..., Played]) -> None:
    """Counted over all calls, before the next one."""
    replies = [{"content": block("ls"), "usage": [40, 20]}] * 9
    played = play(*replies, change={"limits": {"tokens": 100}, "format": {"stop_at_action": False}})
    assert played.ending.reason == "cost_limit" and len(played.steps) == 2
    assert "120 tokens are used" in played.ending.detail


def test_a_cost_limit_needs_a_known_price(play: Callable[..., Played]) -> None:
    """It is an error that says what to use instead, not a limit that is never reached."""
    with pytest.raises(AgentError, match="--token-limit"):
        play(block("ls"), block("ls"), change={"limits": {"cost_usd": 1.0}})


def test_a_server_that_fails_for_good_is_the_agents_error(play: Callable[..., Played], tmp_path: Path) -> None:
    """The steps before it are kept."""
    with pytest.raises(AgentError, match="used up"):
        play(block("echo 4 > answer.txt"))
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert (result["ending"]["reason"], result["steps"]) == ("agent_error", 1)
