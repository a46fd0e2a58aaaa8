"""The model client against a real server that speaks OpenAI's protocol from a script."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from mlgym_lite.config.agent_file import ModelOptions
from mlgym_lite.models.litellm_model import LiteLLMModel
from mlgym_lite.models.protocol import ContextOverflow, ModelError, OutOfTime, Reply
from mlgym_lite.models.script_server import ScriptServer

KEY = "sk-secret-0123456789"
HELLO = [{"role": "user", "content": "hello"}]


class Asked:
    """A model whose server answers from a script, and what it told of its waits."""

    def __init__(self, stack: ExitStack, script: list[Mapping[str, Any]], context: int | None, **options: Any) -> None:
        """Start the server."""
        self.server = stack.enter_context(ScriptServer(script, context_characters=context))
        self.waits: list[str] = []
        self.model = LiteLLMModel(
            "openai/script",
            ModelOptions(**{"base_url": self.server.base_url, "longest_wait_seconds": 0.02, "attempts": 3, **options}),
            environment={"OPENAI_API_KEY": KEY},
            on_wait=self.waits.append,
        )

    def reply(self, **options: Any) -> Reply:
        """Ask it."""
        return self.model.reply(HELLO, **options)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a model with a script."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ExitStack() as stack:
        yield lambda *script, context=None, **options: Asked(stack, list(script), context, **options)


def test_a_streamed_reply_comes_together(ask: Any) -> None:
    """Text, reasoning, tokens as the server tells them; a price that is not known is said to be unknown."""
    asked = ask(
        {"content": "a" * 50, "reasoning": "because", "usage": [11, 7], "pieces": 9}, temperature=0.5, max_output_tokens=99
    )
    reply = asked.reply()
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("a" * 50, "because", "stop")
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cost_usd, reply.usage.calls) == (11, 7, None, 1)
    sent = asked.server.requests[0]
    assert (sent["model"], sent["temperature"], sent["max_tokens"], sent["stream"]) == ("script", 0.5, 99, True)
    assert sent["messages"] == HELLO


def test_a_known_price_is_counted(ask: Any) -> None:
    """The cost follows from the tokens and the price that litellm knows of a model."""
    asked = ask({"content": "x", "usage": [1000, 100]})
    asked.model.name = "openai/gpt-4o"
    cost = asked.reply().usage.cost_usd
    assert cost is not None and 0.0005 < cost < 0.05


def test_native_tool_calls_come_together(ask: Any) -> None:
    """Several calls, and arguments that are not JSON come through as they are."""
    asked = ask({"tool_calls": [{"name": "shell", "arguments": {"command": "x" * 60}}, {"name": "b", "arguments": "{oops"}]})
    first, second = asked.reply(tools=[{"type": "function", "function": {"name": "shell", "parameters": {}}}]).tool_calls
    assert (first.name, first.arguments) == ("shell", '{"command": "' + "x" * 60 + '"}')
    assert (second.name, second.arguments) == ("b", "{oops")
    assert first.id != second.id


def test_reading_stops_at_a_whole_action(ask: Any) -> None:
    """The rest of a slow answer is not waited for, and its tokens are counted here."""
    asked = ask({"content": "do it. " + "more " * 100, "pieces": 50, "piece_seconds": 0.1})
    started = time.monotonic()
    reply = asked.reply(whole=lambda text: text.index(".") + 1 if "." in text else None)
    assert (reply.text, reply.finish_reason) == ("do it.", "cut")
    assert time.monotonic() - started < 4
    assert reply.usage.estimated and reply.usage.input_tokens > 0 and reply.usage.output_tokens > 0


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 429, "retry_after": 0.01},
        {"status": 500},
        {"status": 503},
        {"content": "x" * 100, "dies_after": 10},
        {"content": "", "dies_after": 0},
    ],
    ids=["rate limit", "500", "503", "dies in the middle", "dies at once"],
)
def test_what_can_pass_is_tried_again(ask: Any, failure: Mapping[str, Any]) -> None:
    """The reply comes at the second attempt, whole, and the wait is told."""
    asked = ask(failure, {"content": "here"})
    assert asked.reply().text == "here"
    (told,) = asked.waits
    assert "asking again in" in told and "(2 of 3)" in told


def test_trying_again_ends(ask: Any) -> None:
    """After the last attempt the error comes out."""
    asked = ask(*[{"status": 500, "error": {"message": "broken"}}] * 3)
    with pytest.raises(ModelError, match="broken"):
        asked.reply()
    assert len(asked.server.requests) == 3


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ({"status": 401, "error": {"message": f"Incorrect API key provided: {KEY}"}}, "OPENAI_API_KEY"),
        ({"status": 404, "error": {"message": "no such model"}}, "name right"),
        ({"status": 400, "error": {"message": "bad temperature"}}, "bad temperature"),
        ({"status": 429, "error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, "quota"),
    ],
)  # fmt: skip
def test_what_cannot_pass_is_told_at_once_without_the_key(ask: Any, failure: Mapping[str, Any], words: str) -> None:
    """One request, and a message in which the key is struck out."""
    asked = ask(failure)
    with pytest.raises(ModelError, match=words) as told:
        asked.reply()
    assert len(asked.server.requests) == 1 and asked.waits == []
    assert KEY not in str(told.value)


def test_a_missing_key_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked again, and the words say what to set."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    waits: list[str] = []
    model = LiteLLMModel("openai/x", ModelOptions(base_url="http://127.0.0.1:9/v1"), environment={}, on_wait=waits.append)
    with pytest.raises(ModelError, match="Set the provider's key in the environment"):
        model.reply(HELLO)
    assert waits == []


def test_an_unknown_provider_is_told(ask: Any) -> None:
    """With how to name a server of one's own."""
    asked = ask({"content": "x"})
    asked.model.name = "nosuchprovider/x"
    with pytest.raises(ModelError, match="openai/NAME"):
        asked.reply()


def test_messages_that_are_too_long_are_an_error_of_their_own(ask: Any) -> None:
    """As a provider refuses them."""
    asked = ask({"content": "x"}, context=10)
    with pytest.raises(ContextOverflow):
        asked.reply()


def test_the_time_that_is_left_bounds_a_reply(ask: Any) -> None:
    """A server that is too slow ends with an error of its own, whether it is silent or goes on writing."""
    asked = ask({"content": "x", "delay_seconds": 20}, {"content": "y" * 100, "pieces": 100, "piece_seconds": 0.2}, attempts=1)
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(OutOfTime):
            asked.reply(seconds=0.5)
        assert time.monotonic() - started < 10


def test_a_server_that_is_not_there_is_told() -> None:
    """Nobody listens: after the attempts, an error with the model's name."""
    model = LiteLLMModel(
        "openai/script", ModelOptions(base_url="http://127.0.0.1:9/v1", attempts=1, extra={"api_key": "none"}), environment={}
    )
    with pytest.raises(ModelError, match="9/v1 cannot be reached"):
        model.reply(HELLO)
