"""`mlgym-lite report --json` on 10,000 generated run directories: how long, and its peak memory against that with 1,000."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Bench, check
from benchmarks.table import Row

ALLOWED_SECONDS = 30.0
ALLOWED_RATIO = 1.25
_MANY, _FEW = 10_000, 1_000
_MODELS, _TASKS, _STEPS = 5, 13, 20
_OBSERVATION = "a line of output that says how far the training is: loss 0.1234\n" * 8


@dataclass(frozen=True, kw_only=True)
class _Ran:
    """What one report took."""

    seconds: float
    peak_bytes: int


def run(bench: Bench) -> list[Row]:
    """Report on few and on many of the same kind of runs."""
    many = _MANY // 10 if bench.quick else _MANY
    few = _FEW // 10 if bench.quick else _FEW
    found = {count: _report(bench, _runs(bench.new_path("runs"), count), count) for count in (few, many)}
    return [
        Row(benchmark="report", what=f"{many:,} runs", ours=found[many].seconds, allowed=ALLOWED_SECONDS),
        Row(
            benchmark="report",
            what=f"peak memory, {many:,} runs : {few:,}",
            ours=found[many].peak_bytes,
            other=found[few].peak_bytes,
            unit="bytes",
            allowed=ALLOWED_RATIO,
        ),
    ]


def _report(bench: Bench, folder: Path, count: int) -> _Ran:
    """The command in a process of its own, whose peak the kernel tells when it ends."""
    output = folder.with_suffix(".json")
    with output.open("wb") as file:
        started = time.perf_counter()
        command = [sys.executable, "-m", "mlgym_lite", "report", str(folder), "--json"]
        process = subprocess.Popen(command, stdout=file, env=bench.environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    check(process.returncode, 0, "report")
    content = json.loads(output.read_bytes())
    check((content["runs"]["read"], len(content["scores"])), (count, _TASKS), "report")
    return _Ran(seconds=seconds, peak_bytes=usage.ru_maxrss << 10)


def _runs(folder: Path, count: int) -> Path:
    """Run directories of some models and tasks, with a few validations each."""
    for number in range(count):
        _write(folder / f"run-{number:05}", number)
    return folder


def _write(folder: Path, number: int) -> None:
    folder.mkdir(parents=True)
    model, task, seed = number % _MODELS, number // _MODELS % _TASKS, number // (_MODELS * _TASKS)
    baseline = {"metrics": {"Score": 1.0}}
    score = 1.0 + (number * 7919 % 1000) / 1000
    run = {
        "task": {"name": f"task-{task}", "digest": "0" * 64}, "instruction": "Write a number. " * 100, "variant": "full",
        "scoring": "clean", "feedback": "development", "agent": "react", "model": f"provider/model-{model}", "seed": seed,
        "metric": {"name": "Score", "direction": "maximize"}, "baseline": baseline, "mechanism": "bubblewrap",
    }  # fmt: skip
    attempts = [{"step": step, "kind": "validate", "metrics": {"Score": score * step / _STEPS}} for step in range(4, _STEPS, 4)]
    attempts.append({"step": _STEPS, "kind": "submit", "metrics": {"Score": score}})
    result = {
        "ending": {"reason": "submitted", "fault": "agent", "detail": "", "autosubmitted": False},
        "score": {"metric": "Score", "direction": "maximize", "value": score, "metrics": {"Score": score}},
        "baseline": baseline, "attempts": attempts, "steps": _STEPS, "seconds": {"total": 100.0 + number},
        "resources": {"gpu_seconds": 0.0}, "usage": {"input_tokens": 1000 + number, "output_tokens": 100, "cost_usd": 0.01},
    }  # fmt: skip
    lines = (
        json.dumps({"step": step, "action": "python train.py", "observation": _OBSERVATION}) for step in range(1, _STEPS + 1)
    )
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    (folder / "trajectory.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
