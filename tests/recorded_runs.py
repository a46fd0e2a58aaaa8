"""Run directories written by hand, of both systems, for tests of what reads many of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_our_run(
    folder: Path,
    *,
    task: str = "tiny",
    agent: str = "react",
    model: str | None = "openai/x",
    seed: int = 0,
    score: float | None = 2.0,
    validations: Sequence[float] = (),
    baseline: float | None = 1.0,
    reason: str = "submitted",
    fault: str = "agent",
    direction: str = "maximize",
    metric: str = "Score",
    finished: bool = True,
    actions: Sequence[str] = ("ls", "python train.py", "validate", "submit"),
    usage: Mapping[str, Any] | None = None,
    **recorded: Any,
) -> Path:
    """A run directory of ours."""
    folder.mkdir(parents=True)
    baselines = {"metrics": {} if baseline is None else {metric: baseline}}
    run = {
        "task": {"name": task, "digest": "d1"}, "variant": "full", "scoring": "clean", "feedback": "development",
        "agent": agent, "model": model, "seed": seed, "mechanism": "bubblewrap",
        "metric": {"name": metric, "direction": direction}, "baseline": baselines, **recorded,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    lines = [json.dumps({"step": number, "action": action, "observation": "o"}) for number, action in enumerate(actions, 1)]
    (folder / "trajectory.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if finished:
        scored = None if score is None else {"metric": metric, "direction": direction, "value": score, "metrics": {metric: score}}
        attempts = [{"step": step, "kind": "validate", "metrics": {metric: value}} for step, value in enumerate(validations, 2)]
        attempts += [] if score is None else [{"step": len(actions), "kind": "submit", "metrics": {metric: score}}]
        result = {
            "ending": {"reason": reason, "fault": fault, "detail": "", "autosubmitted": False},
            "score": scored, "baseline": baselines, "attempts": attempts, "steps": len(actions),
            "seconds": {"total": 90.0}, "resources": {"gpu_seconds": 0.0},
            "usage": usage or {"input_tokens": 900, "output_tokens": 100, "cost_usd": 0.5},
        }  # fmt: skip
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return folder


def write_mlgym_run(
    runs: Path,
    *,
    model: str,
    task: str,
    run: int = 0,
    scores: Sequence[Mapping[str, Any]] = (),
    baseline: Mapping[str, Any] | None = None,
    exit_status: str = "submitted",
    actions: Sequence[str] = ("ls", "python baseline.py", "submit"),
    finished: bool = True,
    traj: bool = True,
) -> Path:
    """A run folder of MLGym."""
    folder = runs / f"{model}__{task}__default__t-0.00__p-0.95__c-4.00__install-0_run_{run}"
    folder.mkdir(parents=True)
    entries = [
        {"action": action, "observation": "o", "response": "", "state": "{}", "thought": "", "execution_time": 0.5}
        for action in actions
    ]
    stats = {"total_cost": 0.4, "task_cost": 0.4, "tokens_sent": 1000, "tokens_received": 50, "api_calls": 3}
    info = {"model_stats": stats, "exit_status": exit_status, "submission": None, "score": list(scores), "summarizer": {}}
    content = {"environment": "mlgym_main", "trajectory": entries, "history": [], "info": info}
    if traj:
        (folder / f"{task}.traj").write_text(json.dumps(content), encoding="utf-8")
    if finished:
        results = {"agent": list(scores), "baseline": dict(baseline or {})}
        (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def columns_of(text: str) -> list[list[str]]:
    """The fields of lines that are divided by |."""
    return [line.split("|") for line in text.strip().splitlines()]


PUBLISHED_MODELS = ("Llama-405B", "Claude-3.5", "Gemini-1.5", "GPT-4o", "o1-preview")
PUBLISHED = columns_of("""
regressionKaggleHousePrice|.880|.908/.908|.921/.912|.914/.908|.895/.895|.931/.931
3SATTime|16.158|13.793/13.936|15.728/15.728|14.360/14.360|13.676/13.676|13.652/13.830
imageClassificationCifar10|.497|.548/.528|.895/.894|.840/.758|.733/.733|.857/.854
imageClassificationFMnist|.783|.876/.876|.945/.945|.916/.916|.927/.927|.920/.906
imageCaptioningCOCO|.279|.294/.294|.298/.125|.131/.131|.176/.111|.135/.135
languageModelingFineWeb|4.673|-|4.476/4.476|4.166/4.166|4.361/4.361|3.966/3.966
naturalLanguageInferenceMNLI|52.511|77.748/77.748|83.036/83.036|83.821/83.821|81.946/81.946|83.627/83.627
battleOfSexes|1.023|1.261/1.256|1.442/1.439|1.443/1.443|1.149/1.144|1.444/1.439
prisonersDilemma|2.372|2.632/2.562|2.567/2.563|2.630/2.630|2.600/2.582|2.629/2.571
blotto|-.248|.043/.041|.576/.228|.249/.088|.047/.047|.248/.247
rlBreakoutMinAtar|48.817|58.87/58.87|35.017/17.735|71.389/71.389|0/0|63.518/63.518
rlMetaMazeMisc|15.734|26.744/26.744|48.562/48.562|27.859/22.889|7.823/7.823|34.986/34.986
rlMountainCarContinuous|33.794|18.692/18.692|36.313/36.313|92.513/92.513|-215.776/-216.621|96.335/96.335
""")
"""MLGym's published baseline, and each model's best attempt and best submission of four runs; - where there is none."""


def published_tables(which: int) -> list[tuple[str, str, dict[str, float | None]]]:
    """Of each task its name, direction and scores: of the best attempts (0) or the best submissions (1)."""
    tables = []
    for name, baseline, *cells in PUBLISHED:
        scores: dict[str, float | None] = {"baseline": float(baseline)}
        for model, cell in zip(PUBLISHED_MODELS, cells, strict=True):
            scores[model] = None if cell == "-" else float(cell.split("/")[which])
        direction = "minimize" if name in ("3SATTime", "languageModelingFineWeb") else "maximize"
        tables.append((name, direction, scores))
    return tables
