"""How replies of a model are read: each parser's forms, what it refuses, and where reading may stop."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgym_lite.agents.parsers import FormatError, parser_named
from mlgym_lite.models.protocol import ModelUsage, Reply, ToolCall


def reply(text: str, *calls: ToolCall) -> Reply:
    """A model's reply."""
    return Reply(text=text, usage=ModelUsage(), tool_calls=calls)


@pytest.mark.parametrize(
    ("kind", "text", "command", "thought"),
    [
        ("fenced", "Look.\n```\nls -la\n```\n", "ls -la", "Look."),
        ("fenced", "```bash\ncat > a <<'E'\n\n  x\nE\n```", "cat > a <<'E'\n\n  x\nE", ""),
        ("fenced", "before\n````md\n```\nnested\n```\n````\nafter", "```\nnested\n```", "before\n\nafter"),
        ("fenced", "inline ```code``` is no block\n```\nls\n```", "ls", "inline ```code``` is no block"),
        ("xml", "Think <b>\n<command>\necho '<&>'\n</command> done", "echo '<&>'", "Think <b>\n done"),
        ("json", '{"thought": "t", "command": "ls\\npwd"}', "ls\npwd", "t"),
        ("json", 'Well {so}:\n```json\n{"thought": "t", "command": {"name": "open", "arguments": {"path": "a b", "n": 3}}}\n```',
         "open 'a b' 3", "t"),
        ("json", '{"command": "a\nb"}', "a\nb", ""),
    ],
)  # fmt: skip
def test_one_action_is_read(kind: str, text: str, command: str, thought: str) -> None:
    """The command exactly as written, and the thought around it."""
    parsed = parser_named(kind).parse(reply(text))
    assert (parsed.command, parsed.thought) == (command, thought)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("fenced", "no block", "found none"),
        ("fenced", "```\nls\n```\n```\npwd\n```", "found 2"),
        ("fenced", "```\nls", "not closed"),
        ("fenced", "```\n\n```", "empty"),
        ("xml", "ls", "found none"),
        ("xml", "<command>a</command><command>b</command>", "found 2"),
        ("xml", "<command> \n </command>", "empty"),
        ("json", "ls", "one JSON object"),
        ("json", '{"thought": "t"}', "one JSON object"),
        ("json", '{"command": 3}', "neither a text"),
        ("json", '{"command": {"arguments": {}}}', "neither a text"),
        ("json", "{" * 100_000, "one JSON object"),
        ("tools", "I call it.", "found none"),
    ],
)  # fmt: skip
def test_anything_else_is_told_to_the_model(kind: str, text: str, words: str) -> None:
    """A reply without exactly one action says what was wrong."""
    with pytest.raises(FormatError, match=words):
        parser_named(kind).parse(reply(text))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (ToolCall(id="1", name="python", arguments="{}"), "no tool 'python'"),
        (ToolCall(id="1", name="shell", arguments='{"command": '), "not JSON"),
        (ToolCall(id="1", name="shell", arguments='["ls"]'), '"command"'),
        (ToolCall(id="1", name="shell", arguments='{"command": " "}'), "empty"),
    ],
)
def test_malformed_tool_calls_are_told(call: ToolCall, words: str) -> None:
    """Another tool, broken arguments and an empty command."""
    with pytest.raises(FormatError, match=words):
        parser_named("tools").parse(reply("", call))


def test_the_first_tool_call_counts() -> None:
    """The command comes from the first call, the thought from the text."""
    calls = [ToolCall(id=str(at), name="shell", arguments=json.dumps({"command": f"echo {at}"})) for at in range(2)]
    parsed = parser_named("tools").parse(reply(" why ", *calls))
    assert (parsed.command, parsed.thought) == ("echo 0", "why")


@pytest.mark.parametrize(
    ("kind", "text", "kept"),
    [
        ("fenced", "a\n```\nls\n```\nmore", "a\n```\nls\n```"),
        ("fenced", "a\n```\nls\n```", None),
        ("fenced", "a\n```\nls\n", None),
        ("xml", "a <command>ls</command> more", "a <command>ls</command>"),
        ("xml", "a <command>ls</comm", None),
        ("json", '{"command": "ls"} more', '{"command": "ls"}'),
        ("json", '{"command": {"name": "open", "arguments": {"path": "a"}}', None),
        ("tools", "anything", None),
    ],
)  # fmt: skip
def test_reading_may_stop_behind_the_first_whole_action(kind: str, text: str, kept: str | None) -> None:
    """A text that goes on is cut right behind the action; what is not whole goes on being read."""
    length = parser_named(kind).whole(text)
    assert (None if length is None else text[:length]) == kept


@given(st.text(alphabet='a`\n <>/comand{}":', max_size=80))
def test_what_stopping_keeps_is_the_same_action(text: str) -> None:
    """Whatever a model writes: a text cut where reading stops reads as one action, and nothing crashes."""
    for kind in ("fenced", "xml", "json"):
        parser = parser_named(kind)
        length = parser.whole(text)
        try:
            parser.parse(reply(text if length is None else text[:length]))
        except FormatError as error:
            assert length is None or "empty" in str(error) or "neither" in str(error)
