"""A run as MLGym keeps it: a .traj file, and a results.json with every score and the baseline's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlgym_lite.episode.run_reader import Run

_EXIT_STATUS = {
    "submitted": "submitted",
    "gave_up": "exit_forfeit",
    "step_limit": "max_steps",
    "time_limit": "exit_error",
    "cost_limit": "exit_cost",
    "context_limit": "exit_context",
    "format_errors": "exit_format",
    "agent_error": "exit_api",
}


def to_traj(run: Run) -> dict[str, Any]:
    """The .traj file's content."""
    usage = (run.result or {}).get("usage", {})
    return {
        "environment": "mlgym_lite",
        "mlgym_lite": run.recorded,
        "trajectory": [_entry(step) for step in run.steps],
        "history": _history(run),
        "info": {
            "model_stats": {
                "total_cost": usage.get("cost_usd") or 0.0,
                "task_cost": usage.get("cost_usd") or 0.0,
                "tokens_sent": usage.get("input_tokens", 0),
                "tokens_received": usage.get("output_tokens", 0),
                "api_calls": usage.get("calls", 0),
            },
            "exit_status": _exit_status(run),
            "submission": None,
            "score": _scores(run),
            "summarizer": {},
        },
    }


def to_results(run: Run) -> dict[str, Any]:
    """The results.json's content."""
    return {"agent": _scores(run), "baseline": ((run.result or {}).get("baseline") or {}).get("metrics", {})}


def traj_text(run: Run) -> str:
    """The .traj file."""
    return json.dumps(to_traj(run), indent=2, ensure_ascii=False) + "\n"


def results_text(run: Run) -> str:
    """The results.json."""
    return json.dumps(to_results(run), indent=2) + "\n"


def _entry(step: Mapping[str, Any]) -> dict[str, Any]:
    reply = (step.get("details") or {}).get("reply") or {}
    thought = step.get("thought") or ""
    return {
        "action": step["action"],
        "observation": step.get("observation", ""),
        "response": reply.get("content") or "\n".join(filter(None, (thought, step["action"]))),
        "state": json.dumps({"open_file": "n/a", "working_dir": step.get("cwd", "")}),
        "thought": thought,
        "execution_time": step.get("seconds", 0.0),
    }


def _history(run: Run) -> list[dict[str, Any]]:
    """The conversation; each observation stands as the user's answer."""
    name = run.run.get("agent", "agent")
    messages = [dict(message) for message in run.messages_at_start]
    messages = messages or [{"role": "user", "content": run.run.get("instruction", "")}]
    for step, entry in zip(run.steps, map(_entry, run.steps), strict=True):
        said = {"role": "assistant", "content": entry["response"], "thought": entry["thought"], "action": step["action"]}
        messages += [said, {"role": "user", "content": entry["observation"]}]
    return [{**message, "agent": name} for message in messages]


def _exit_status(run: Run) -> str:
    ending = (run.result or {}).get("ending")
    if ending is None:
        return ""
    status = _EXIT_STATUS.get(ending["reason"], "early_exit")
    return f"autosubmission ({status})" if ending["autosubmitted"] else status


def _scores(run: Run) -> list[dict[str, float]]:
    """What was scored, in order, rejected attempts left out."""
    if run.result is not None:
        attempts = run.result.get("attempts", [])
    else:
        attempts = [attempt for step in run.steps for attempt in step.get("scores", [])]
    return [dict(attempt["metrics"]) for attempt in attempts if attempt.get("metrics")]
