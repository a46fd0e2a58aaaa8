"""A run as a trajectory of ATIF 1.8, the Agent Trajectory Interchange Format of Harbor (RFC 0001).

Each action is a call of the tool `shell`. What the format has no place for lies under `extra`: what was measured of a command,
scores, the model's own messages, run.json and result.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlgym_lite import __version__
from mlgym_lite.agents.parsers import SHELL_TOOL
from mlgym_lite.episode.run_reader import Run

SCHEMA_VERSION = "ATIF-v1.8"
TOOL = SHELL_TOOL["function"]["name"]


def to_atif(run: Run) -> dict[str, Any]:
    """The run as one document."""
    steps = [_said(message) for message in run.messages_at_start] or [
        {"source": "user", "message": run.run.get("instruction", "")}
    ]
    steps += [_step(step, run.run.get("model"), run.scores_of(step), run.path) for step in run.steps]
    agent = {"name": str(run.run.get("agent", "agent")), "version": __version__, "tool_definitions": [SHELL_TOOL]}
    if run.run.get("model"):
        agent["model_name"] = run.run["model"]
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "session_id": run.path.name,
        "agent": agent,
        "steps": [{"step_id": at, **step} for at, step in enumerate(steps, start=1)],
        "extra": run.recorded,
    }
    if run.result is not None:
        document["final_metrics"] = _final(run.result, len(run.steps))
    return document


def _said(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"source": "system" if message["role"] == "system" else "user", "message": str(message["content"])}


def _step(step: Mapping[str, Any], model: str | None, scores: list[Mapping[str, Any]], folder: Path) -> dict[str, Any]:
    call = f"call_{step['step']}"
    measured = {key: step[key] for key in ("exit_status", "cwd", "seconds", "elapsed", "resources", "changes") if key in step}
    made: dict[str, Any] = {
        "source": "agent",
        "message": step.get("thought") or "",
        "tool_calls": [{"tool_call_id": call, "function_name": TOOL, "arguments": {"command": step["action"]}}],
        "observation": {
            "results": [{"source_call_id": call, "content": _shown(step, folder), "extra": {**measured, "scores": scores}}]
        },
    }
    if model:
        made["model_name"] = model
    if step.get("tokens"):
        made["metrics"] = {"prompt_tokens": step["tokens"]["input"], "completion_tokens": step["tokens"]["output"]}
        if step.get("cost") is not None:
            made["metrics"]["cost_usd"] = step["cost"]
    if step.get("details"):
        made["extra"] = {"details": step["details"]}
    return made


def _shown(step: Mapping[str, Any], folder: Path) -> str | list[dict[str, Any]]:
    """The observation; with pictures in parts, the pictures by their place in the run directory."""
    text = step.get("observation", "")
    pictures = [folder.absolute() / name for name in step.get("pictures") or []]
    if not pictures:
        return str(text)
    sources = [{"media_type": f"image/{path.suffix.removeprefix('.')}", "path": str(path)} for path in pictures]
    return [{"type": "text", "text": text}, *({"type": "image", "source": source} for source in sources)]


def _final(result: Mapping[str, Any], steps: int) -> dict[str, Any]:
    usage = result.get("usage", {})
    final = {
        "total_prompt_tokens": usage.get("input_tokens", 0),
        "total_completion_tokens": usage.get("output_tokens", 0),
        "total_steps": steps,
        "extra": {"score": result.get("score"), "ending": result.get("ending")},
    }
    return final if usage.get("cost_usd") is None else {**final, "total_cost_usd": usage["cost_usd"]}


def atif_text(run: Run) -> str:
    """The document as text."""
    return json.dumps(to_atif(run), indent=1, ensure_ascii=False) + "\n"
