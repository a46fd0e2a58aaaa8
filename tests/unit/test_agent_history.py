"""What a model is shown again: the policies, tool results, and what is left out where it does not fit."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from mlgym_lite.agents.history import Exchange, Omission, answers_to, messages_of, shorten

START = [{"role": "system", "content": "s"}, {"role": "user", "content": "task"}]


def exchanges(*observations: str) -> list[Exchange]:
    """Exchanges with these observations."""
    return [
        Exchange(reply={"role": "assistant", "content": f"a{at}"}, observation=f"{text} (budget)", raw=text)
        for at, text in enumerate(observations)
    ]


def shown(
    policy: Literal["all", "last", "windows"], past: list[Exchange], kept: int = 2, omission: Omission | None = None
) -> list[str]:
    """The contents of the messages behind the start."""
    messages = messages_of(START, past, policy, kept, omission or Omission())
    assert messages[:2] == START
    return [message["content"] for message in messages[2:]]


def test_all_shows_all() -> None:
    """Replies and observations, in order."""
    assert shown("all", exchanges("x", "y")) == ["a0", "x (budget)", "a1", "y (budget)"]


def test_last_leaves_out_older_observations() -> None:
    """Replies stay; an older observation is told with its length."""
    told = shown("last", exchanges("1\n2\n3", "y", "z"))
    assert told == ["a0", "[An older output of 3 lines is left out.]", "a1", "y (budget)", "a2", "z (budget)"]


def test_windows_leaves_out_what_a_later_window_shows() -> None:
    """Of several windows of a file the last stays; outputs without a window stay."""
    window = "[File: /workspace/{} (2 lines total)]\n1:a"
    told = shown("windows", exchanges(window.format("a.py"), "plain", window.format("b.py"), window.format("a.py")))
    assert [text.startswith("[An older") for text in told[1::2]] == [True, False, False, False]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shortening_goes_on_until_only_the_last_exchange_is_whole(count: int) -> None:
    """First observations go, oldest first, then exchanges; the last exchange always stays, and the messages only shrink."""
    past = exchanges(*(f"{at}" * 200 for at in range(count)))
    omission, lengths = Omission(), [len("".join(shown("all", past)))]
    while shorten(omission, past):
        lengths.append(len("".join(shown("all", past, omission=omission))))
        assert shown("all", past, omission=omission)[-2:] == [f"a{count - 1}", past[-1].observation]
    assert lengths == sorted(lengths, reverse=True)
    assert omission == Omission(observations=count - 1, exchanges=count - 1)


def test_each_tool_call_gets_an_answer() -> None:
    """Servers refuse a call without a result: the first has the observation, the others are told."""
    calls = [{"id": name, "type": "function", "function": {"name": "shell", "arguments": "{}"}} for name in "ab"]
    reply: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": calls}
    first, second = answers_to(reply, "out")
    assert first == {"role": "tool", "tool_call_id": "a", "content": "out"}
    assert second["tool_call_id"] == "b" and "Not run" in second["content"]
