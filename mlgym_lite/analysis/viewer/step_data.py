"""A step as the page shows it: a summary that is always there, and details that are loaded when the step is unfolded."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TITLE_CHARACTERS = 200
_MOST_PICTURE_BYTES = 4 << 20
_MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}


def step_summary(step: Mapping[str, Any]) -> dict[str, Any]:
    """What a folded step shows, and charts need."""
    resources = step.get("resources") or {}
    tokens = step.get("tokens") or {}
    return {
        "step": step.get("step"),
        "title": _title(step["action"]),
        "exit_status": step.get("exit_status"),
        "seconds": step.get("seconds"),
        "elapsed": step.get("elapsed"),
        "peak_memory_bytes": resources.get("peak_memory_bytes"),
        "cpu_seconds": resources.get("cpu_seconds"),
        "tokens": (tokens.get("input") or 0) + (tokens.get("output") or 0) if tokens else None,
        "cost": step.get("cost"),
        "rejected": len(_rejected(step)),
        "changes": len(step.get("changes") or []),
        "pictures": len(step.get("pictures") or []),
    }


def step_detail(step: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What an unfolded step shows; pictures are read from the run directory."""
    details = _table(step.get("details"))
    reply = _table(details.get("reply"))
    shown_apart = {"prompt", *(["reply"] if reply else []), *(["rejected"] if _rejected(step) else [])}
    return {
        "thought": step.get("thought") or "",
        "action": step["action"],
        "observation": step.get("observation") or "",
        "cwd": step.get("cwd"),
        "tokens": step.get("tokens"),
        "rejected": _rejected(step),
        "finish_reason": str(reply.get("finish_reason") or ""),
        "changes": step.get("changes") or [],
        "changes_complete": step.get("changes_complete", True),
        "pictures": [picture for picture in (_picture(folder / name) for name in step.get("pictures") or []) if picture],
        "further": {key: value for key, value in details.items() if key not in shown_apart},
    }


def rejected_replies(details: Any) -> list[dict[str, str]]:
    """Replies that were sent back to a model, with what was said to them; none where `details` are a program's own."""
    entries = _table(details).get("rejected")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return []
    return [{"reply": _said(_table(entry.get("reply"))), "error": str(entry.get("error") or "")} for entry in entries]


def _rejected(step: Mapping[str, Any]) -> list[dict[str, str]]:
    return rejected_replies(step.get("details"))


def _said(message: Mapping[str, Any]) -> str:
    """A model's message as text, its tool calls included."""
    calls = [_table(_table(call).get("function")) for call in message.get("tool_calls") or []]
    told = [f"{call.get('name')}({call.get('arguments')})" for call in calls]
    return "\n".join(part for part in (str(message.get("content") or ""), *told) if part)


def _table(value: Any) -> dict[str, Any]:
    """A JSON object; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def _title(action: str) -> str:
    """The first line that says something."""
    line = next((line.strip() for line in action.splitlines() if line.strip()), "")
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1] + "…"


def _picture(path: Path) -> str | None:
    """A data URL of one of the kinds that the engine keeps; None where it is not there."""
    kind = _MEDIA_TYPES.get(path.suffix.removeprefix("."))
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_PICTURE_BYTES + 1)
    except OSError:
        return None
    if kind is None or len(content) > _MOST_PICTURE_BYTES:
        return None
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
