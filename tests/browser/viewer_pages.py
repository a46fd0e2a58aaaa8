"""Pages that must not fail in silence, and run directories written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Watched:
    """A page, and everything that it asked for or complained about."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.troubles: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda message: self.troubles.append(message.text) if message.type in ("error", "warning") else None)
        page.on("dialog", lambda dialog: (self.troubles.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, address: str) -> Any:
        """Go there and wait until the page is put together."""
        self.page.goto(address)
        self.page.wait_for_selector("html[data-ready=yes]")
        return self.page


def step_line(number: int, action: str = "ls", observation: str = "out\n", **further: Any) -> dict[str, Any]:
    """A line of trajectory.jsonl."""
    return {
        "step": number,
        "action": action,
        "observation": observation,
        "thought": None,
        "exit_status": 0,
        "cwd": "/workspace",
        "seconds": 0.5,
        "elapsed": number * 30.0,
        "resources": {"peak_memory_bytes": number << 20, "cpu_seconds": 0.25},
        "scores": [],
        "tokens": None,
        "cost": None,
        **further,
    }


def write_run(folder: Path, steps: list[dict[str, Any]], result: dict[str, Any] | None = None, **recorded: Any) -> Path:
    """A run directory."""
    folder.mkdir(parents=True)
    run = {
        "task": {"name": "tiny"},
        "variant": "full",
        "scoring": "clean",
        "agent": "react",
        "model": "openai/x",
        "seed": 0,
        "mechanism": "bubblewrap",
        "metric": {"name": "Score", "direction": "maximize"},
        "baseline": {"metrics": {"Score": 1.0}},
        "instruction": "Write a number.",
        **recorded,
    }
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    lines = "".join(json.dumps(step) + "\n" for step in steps)
    (folder / "trajectory.jsonl").write_text(lines, encoding="utf-8")
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return folder


def result_of(
    score: float | None, reason: str = "submitted", fault: str = "agent", attempts: list[Any] | None = None
) -> dict[str, Any]:
    """A result.json."""
    return {
        "ending": {"reason": reason, "fault": fault, "detail": "", "autosubmitted": False},
        "score": None
        if score is None
        else {"metric": "Score", "direction": "maximize", "value": score, "metrics": {"Score": score}},
        "baseline": {"metrics": {"Score": 1.0}},
        "improvement": None if score is None else score - 1.0,
        "attempts": attempts or [],
        "usage": {"input_tokens": 900, "output_tokens": 100, "cost_usd": None, "calls": 3},
        "seconds": {"total": 90.0, "agent": 50.0, "commands": 30.0, "grading": 9.0, "framework": 1.0},
        "isolation": {"weakened": []},
    }
