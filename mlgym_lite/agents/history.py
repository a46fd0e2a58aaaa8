"""What a model is shown again of earlier steps: each policy turns the exchanges so far into messages.

Where the messages are too long for the model, `shorten` leaves out more: first observations, oldest first, then whole exchanges.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlgym_lite.agents.protocol import ShownPicture
from mlgym_lite.models.protocol import Message

_SHOWN_PICTURES = 3
"""Only the last steps with pictures show them again: they are large."""
_WINDOW = re.compile(r"^\[File: (.+?) \(\d+ lines? total\)\]", re.MULTILINE)


@dataclass
class Exchange:
    """One reply of the model, and what came of it."""

    reply: Message
    """The assistant's message."""
    observation: str | None = None
    """The text the model is shown after it; None while the action runs."""
    raw: str = ""
    """The observation as the engine gave it, in which windows are looked for."""
    pictures: tuple[ShownPicture, ...] = ()
    """What the model is shown beside it."""


@dataclass
class Omission:
    """How much is left out because it did not fit; grows within an episode and never shrinks."""

    observations: int = 0
    exchanges: int = 0


def messages_of(
    start: Sequence[Message],
    exchanges: Sequence[Exchange],
    policy: Literal["all", "last", "windows"],
    kept_observations: int,
    omission: Omission,
) -> list[dict[str, Any]]:
    """The conversation as the policy shows it."""
    hidden = _hidden(exchanges, policy, kept_observations) | set(range(omission.observations))
    with_pictures = [at for at, exchange in enumerate(exchanges) if exchange.pictures and at not in hidden][-_SHOWN_PICTURES:]
    messages = [dict(message) for message in start]
    if omission.exchanges:
        messages.append({"role": "user", "content": f"[{omission.exchanges} earlier steps are left out here.]"})
    for at, exchange in enumerate(exchanges):
        if at < omission.exchanges:
            continue
        messages.append(dict(exchange.reply))
        if exchange.observation is not None:
            if at in hidden:
                messages += answers_to(exchange.reply, _left_out(exchange.raw))
            else:
                messages += answers_to(exchange.reply, exchange.observation)
                messages += shown_pictures(exchange.pictures if at in with_pictures else ())
    return messages


def answers_to(reply: Message, text: str) -> list[dict[str, Any]]:
    """What follows a reply: a user's message, or the results of its tool calls, of which only the first was run."""
    calls = reply.get("tool_calls") or []
    if not calls:
        return [{"role": "user", "content": text}]
    first, *others = [call["id"] for call in calls]
    messages = [{"role": "tool", "tool_call_id": first, "content": text}]
    return messages + [{"role": "tool", "tool_call_id": call, "content": "[Not run: one call at a time.]"} for call in others]


def shown_pictures(pictures: Sequence[ShownPicture]) -> list[dict[str, Any]]:
    """A user's message with pictures, since results of tool calls hold text only; none where there are none."""
    if not pictures:
        return []
    content: list[dict[str, Any]] = [{"type": "text", "text": "What view_image shows:"}]
    for picture in pictures:
        data = base64.b64encode(Path(picture.path).read_bytes()).decode("ascii")
        content.append({"type": "image_url", "image_url": {"url": f"data:{picture.media_type};base64,{data}"}})
    return [{"role": "user", "content": content}]


def without_pictures(exchanges: Sequence[Exchange], why: str) -> bool:
    """Leave every picture out, and tell the model why; False where there is none."""
    shown = [exchange for exchange in exchanges if exchange.pictures]
    for exchange in shown:
        exchange.pictures = ()
        exchange.observation = f"{exchange.observation or ''}\n[The picture cannot be shown to you: {why}]"
    return bool(shown)


def shorten(omission: Omission, exchanges: Sequence[Exchange]) -> bool:
    """Leave out more; False where nothing is left to leave out but the last exchange."""
    done = sum(exchange.observation is not None for exchange in exchanges)
    most = max(0, done - 1)
    if omission.observations < most:
        omission.observations = min(most, max(omission.observations + 1, (omission.observations + most + 1) // 2))
        return True
    if omission.exchanges < most:
        omission.exchanges = min(most, max(omission.exchanges + 1, (omission.exchanges + most + 1) // 2))
        return True
    return False


def _left_out(raw: str) -> str:
    lines = len(raw.splitlines())
    return f"[An older output of {lines} line{'' if lines == 1 else 's'} is left out.]"


def _hidden(exchanges: Sequence[Exchange], policy: str, kept: int) -> set[int]:
    """The exchanges whose observation the policy leaves out."""
    if policy == "last":
        return set(range(max(0, len(exchanges) - kept)))
    if policy == "windows":
        shown_later: set[str] = set()
        hidden = set()
        for at in reversed(range(len(exchanges))):
            files = set(_WINDOW.findall(exchanges[at].raw))
            if files and files <= shown_later:
                hidden.add(at)
            shown_later |= files
        return hidden
    return set()
