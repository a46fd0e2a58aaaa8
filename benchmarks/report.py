"""10,000 generated run directories, reported on and gone through as a bench: how long, and the peak memory against 1,000."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import Bench, check
from benchmarks.table import Row
from mlgym_lite.benchmark.plan import plan_bench
from mlgym_lite.benchmark.tries import begin_try

ALLOWED_SECONDS = 30.0
ALLOWED_RATIO = 1.25
ALLOWED_BENCH_RATIO = 2.0
"""A bench holds its plan, some 2 KB an episode."""
_MANY, _FEW = 10_000, 1_000
_MODELS, _TASKS, _STEPS = 5, 13, 20
_OBSERVATION = "a line of output that says how far the training is: loss 0.1234\n" * 8


@dataclass(frozen=True, kw_only=True)
class _Ran:
    """What one report took."""

    seconds: float
    peak_bytes: int


def run(bench: Bench) -> list[Row]:
    """Go through few and many of the same kind of runs."""
    many = _MANY // 10 if bench.quick else _MANY
    few = _FEW // 10 if bench.quick else _FEW
    return [
        *_rows("report", _report, (bench, few, many), ALLOWED_RATIO),
        *_rows("bench, all of it done", _bench, (bench, few, many), ALLOWED_BENCH_RATIO),
    ]


def _rows(name: str, command: Callable[[Bench, int], _Ran], sizes: tuple[Bench, int, int], allowed: float) -> Iterator[Row]:
    bench, few, many = sizes
    less, more = command(bench, few), command(bench, many)
    yield Row(benchmark="report", what=f"{name}: {many:,} runs", ours=more.seconds, allowed=ALLOWED_SECONDS)
    yield Row(
        benchmark="report",
        what=f"{name}: peak memory, {many:,} runs : {few:,}",
        ours=more.peak_bytes,
        other=less.peak_bytes,
        unit="bytes",
        allowed=allowed,
    )


def _report(bench: Bench, count: int) -> _Ran:
    """`mlgym-lite report` on so many runs."""
    ran, content = _run(bench, "report", _runs(bench.new_path("runs"), count))
    check((content["runs"]["read"], len(content["scores"])), (count, _TASKS), "report")
    return ran


def _bench(bench: Bench, count: int) -> _Ran:
    """`mlgym-lite bench` where every episode has a result: planned, looked through, told."""
    folder = bench.new_path("bench")
    folder.mkdir()
    names = [f"player-{number}.py" for number in range(_MODELS)]
    for name in names:
        (folder / name).touch()
    file, tasks = folder / "b.toml", [str(bench.tiny_task().folder) for _ in range(2)]
    agents = json.dumps([f"./{name}" for name in names])
    file.write_text(f"tasks = {json.dumps(tasks)}\nagents = {agents}\nseeds = {count // (2 * _MODELS)}\n", encoding="utf-8")
    plan = plan_bench(file)
    for number, episode in enumerate(plan.episodes):
        begin_try(plan.results, episode)
        _write(plan.results / episode.folder / "try-1", number)
    ran, content = _run(bench, "bench", file)
    check((content["counts"]["done"], len(content["episodes"])), (count, count), "bench")
    return ran


def _run(bench: Bench, command: str, path: Path) -> tuple[_Ran, dict[str, Any]]:
    """A command in a process of its own, whose peak the kernel tells when it ends; and what it prints."""
    output = path.with_suffix(".json")
    with output.open("wb") as file:
        started = time.perf_counter()
        line = [sys.executable, "-m", "mlgym_lite", command, str(path), "--json"]
        process = subprocess.Popen(line, stdout=file, env=bench.environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    check(process.returncode, 0, command)
    return _Ran(seconds=seconds, peak_bytes=usage.ru_maxrss << 10), json.loads(output.read_bytes())


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
