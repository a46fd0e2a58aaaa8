"""What we record of mini-swe-agent's messages, which carry the whole response of the model's server under `extra`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlgym_lite.models.protocol import ModelUsage

MiniMessage = Mapping[str, Any]
"""A message of mini-swe-agent, from the model or about an ill-formed reply."""


def usage_of(message: MiniMessage) -> ModelUsage:
    """What the call behind a message took. mini-swe-agent says 0 for a price it does not know: then the cost is None."""
    told = _response(message).get("usage") or {}
    return ModelUsage(
        input_tokens=int(told.get("prompt_tokens") or 0),
        output_tokens=int(told.get("completion_tokens") or 0),
        cost_usd=float(message.get("extra", {}).get("cost") or 0.0) or None,
        calls=1,
    )


def reply_of(message: MiniMessage) -> dict[str, Any]:
    """The model's reply, in the form in which our own agents record one."""
    choice = _choice(message)
    said = choice.get("message") or {"content": message.get("extra", {}).get("model_response", message.get("content"))}
    reply: dict[str, Any] = {"role": "assistant", "content": said.get("content") or ""}
    if said.get("tool_calls"):
        reply["tool_calls"] = [{key: call.get(key) for key in ("id", "type", "function")} for call in said["tool_calls"]]
    return {**reply, "finish_reason": choice.get("finish_reason") or ""}


def thought_of(message: MiniMessage, action_regex: str | None) -> str | None:
    """What the model thought: its reasoning, and what it wrote beside the action."""
    said = _choice(message).get("message") or message
    text = said.get("content") or ""
    if action_regex is not None:
        text = re.sub(action_regex, "", text, flags=re.DOTALL)
    parts = (str(said.get("reasoning_content") or "").strip(), text.strip())
    return "\n\n".join(part for part in parts if part) or None


def rejected_of(message: MiniMessage) -> dict[str, Any]:
    """An ill-formed reply, and what was said to it."""
    return {"reply": reply_of(message), "error": message["content"]}


def _choice(message: MiniMessage) -> Mapping[str, Any]:
    choices = _response(message).get("choices") or [{}]
    return choices[0] if isinstance(choices[0], Mapping) else {}


def _response(message: MiniMessage) -> Mapping[str, Any]:
    """The server's response; empty where it is not told, or was no plain data and is only a text."""
    response = message.get("extra", {}).get("response")
    return response if isinstance(response, Mapping) else {}
