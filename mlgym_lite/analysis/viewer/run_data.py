"""A run as the page shows it, beside its steps: what was asked, how it ended, what it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlgym_lite.analysis.viewer.followed_run import FollowedRun
from mlgym_lite.analysis.viewer.step_data import rejected_replies, step_detail


def run_data(run: FollowedRun) -> dict[str, Any]:
    """Everything of a run but the details of its steps."""
    recorded, result = run.run, run.result or {}
    metric = _metric(run)
    return {
        "name": run.name,
        "path": str(run.path),
        "task": (recorded.get("task") or {}).get("name"),
        **{
            key: recorded.get(key)
            for key in ("variant", "scoring", "agent", "model", "seed", "started", "mechanism", "host", "feedback")
        },
        "limits": {key: value for key, value in (recorded.get("limits") or {}).items() if value is not None},
        "gpus": [gpu.get("name") for gpu in recorded.get("gpus") or []],
        "metric": metric,
        "baseline": _baseline(run, metric),
        "attempts": [_attempt(attempt, metric) for attempt in run.attempts],
        **{
            key: result.get(key)
            for key in ("ending", "score", "improvement", "usage", "seconds", "resources", "validations_used")
        },
        "weakened": (result.get("isolation") or {}).get("weakened") or [],
        "stop": rejected_replies(result.get("stop_details")),
        "trouble": run.trouble,
        "steps": run.summaries,
    }


def start_data(run: FollowedRun) -> dict[str, Any]:
    """What stood before the first step: the instruction, and what a language model was told."""
    details = run.first.get("details")
    prompt = details.get("prompt") if isinstance(details, dict) else None
    messages = [message for message in prompt if isinstance(message, dict)] if isinstance(prompt, list) else []
    return {
        "instruction": run.run.get("instruction") or "",
        "prompt": [{"role": str(message.get("role")), "content": str(message.get("content"))} for message in messages],
    }


def step_details(run: FollowedRun, first: int, last: int) -> list[dict[str, Any]]:
    """The details of steps, by their places in order; `last` is not among them."""
    return [step_detail(run.step(at), run.path) for at in range(first, min(last, len(run.places)))]


def _metric(run: FollowedRun) -> dict[str, Any]:
    """The name and direction of what ranks; records of older versions have it only where something was scored."""
    recorded = run.run.get("metric") or (run.result or {}).get("score") or {}
    known: Mapping[str, Any] = next((attempt["metrics"] for attempt in run.attempts if attempt.get("metrics")), {})
    name = recorded.get("name") or recorded.get("metric") or next(iter(known), "score")
    return {"name": name, "direction": recorded.get("direction") or "maximize"}


def _baseline(run: FollowedRun, metric: Mapping[str, Any]) -> float | None:
    metrics = ((run.result or {}).get("baseline") or run.run.get("baseline") or {}).get("metrics") or {}
    return metrics.get(metric["name"])


def _attempt(attempt: Mapping[str, Any], metric: Mapping[str, Any]) -> dict[str, Any]:
    metrics = attempt.get("metrics") or {}
    return {
        "step": attempt.get("step"),
        "kind": attempt.get("kind"),
        "value": metrics.get(metric["name"]),
        "metrics": metrics,
        "rejected": attempt.get("rejected"),
    }
