"""The JSON records of a run: run.json, the lines of trajectory.jsonl, and result.json."""

from __future__ import annotations

import platform
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlgym_lite
from mlgym_lite.config.network_grant import Network
from mlgym_lite.episode.outcome import Ending, Snapshot, Step, attempt_record, ending_record
from mlgym_lite.episode.preparation import Preparation
from mlgym_lite.isolation.protocol import Usage
from mlgym_lite.models.protocol import ModelUsage
from mlgym_lite.shipped_files import tasks_folder

if TYPE_CHECKING:
    from mlgym_lite.episode.engine import Episode

SCHEMA_VERSION = 1


def run_record(episode: Episode, preparation: Preparation, start: Snapshot | None) -> dict[str, Any]:
    """Everything resolved, as it stands before the first step."""
    sandboxes = preparation.sandboxes
    ours = episode.task.file.metadata.mlgym_lite
    limits = sandboxes.limits
    return {
        "schema_version": SCHEMA_VERSION,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "task": {
            "name": episode.task.name,
            "folder": str(episode.task.folder),
            "digest": episode.task.digest,
            **({"step": episode.task.step} if episode.task.step else {}),
        },
        "instruction": episode.task.instruction,
        "variant": preparation.variant,
        "scoring": episode.task.scoring,
        "agent": episode.agent,
        "model": episode.model,
        "seed": episode.settings.seed,
        "feedback": ours.feedback,
        "metric": {"name": episode.task.metric, "direction": ours.direction},
        "baseline": {"metrics": dict(episode.baseline or {})},
        "services": [service.name for service in episode.services],
        "profile": {"name": episode.settings.profile, **preparation.profile.model_dump()},
        "mechanism": sandboxes.mechanism.name,
        **_network_record(sandboxes.network),
        "wheelhouse": str(sandboxes.wheelhouse) if sandboxes.wheelhouse else None,
        "limits": {
            "gpu_memory_bytes": preparation.profile.gpu_memory_mb << 20 if preparation.profile.gpu_memory_mb else None,
            "mechanism": sandboxes.mechanism.limits_name,
            "max_steps": episode.budget.max_steps,
            "time_limit_seconds": episode.budget.time_limit_seconds,
            "command_seconds": ours.command_timeout_sec,
            "validations": episode.budget.validations,
            "memory_bytes": limits.memory_bytes,
            "cpus": limits.cpus,
            "processes": limits.processes,
            "file_bytes": limits.file_bytes,
            "storage_bytes": limits.storage_bytes,
            "storage_files": limits.storage_files,
            "output_bytes": preparation.profile.output_mb << 20,
        },
        "environment": {
            "python": str(sandboxes.base.interpreter.program),
            "base": str(sandboxes.base.folder or sandboxes.base.interpreter.environment),
        },
        "versions": _versions(),
        "host": socket.gethostname(),
        "gpus": [{"uuid": gpu.uuid, "name": gpu.name, "memory_bytes": gpu.memory_bytes} for gpu in sandboxes.gpus.gpus],
        "git_commit": _git_commit(),
        "invocation": dict(episode.invocation) if episode.invocation else None,
        "forked_from": {"run_directory": str(start.run_directory), "step": start.step} if start else None,
    }


def resumption_record(steps: int) -> dict[str, Any]:
    """A line of resumptions.jsonl: when and where an interrupted episode went on, behind how many steps."""
    return {
        "resumed": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": socket.gethostname(),
        "steps": steps,
        "versions": _versions(),
    }


@cache
def _versions() -> dict[str, str]:
    return {
        "mlgym_lite": mlgym_lite.__version__,
        "python": sys.version.split()[0],
        "kernel": platform.release(),
    }


@cache
def _git_commit() -> str | None:
    """The commit of the checkout the tasks are in, read from its files; None for an installed package."""
    folder = tasks_folder().parent / ".git"
    try:
        head = (folder / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head
        reference = folder / head.removeprefix("ref: ")
        return reference.read_text(encoding="ascii").strip() if reference.exists() else None
    except OSError:
        return None


def step_record(
    step: Step,
    elapsed: float,
    thought: str | None = None,
    usage: ModelUsage | None = None,
    details: Mapping[str, Any] | None = None,
    *,
    restored: int | None = None,
) -> dict[str, Any]:
    """One line of trajectory.jsonl; `elapsed` is the seconds since the reset began, `restored` the step it went back behind."""
    return {
        "step": step.number,
        "action": step.action,
        "observation": step.observation,
        "thought": thought,
        "exit_status": step.exit_status,
        "cwd": step.working_directory,
        "seconds": round(step.seconds, 6),
        "elapsed": round(elapsed, 3),
        "resources": dict(step.resources),
        "scores": [attempt_record(attempt) for attempt in step.attempts],
        **({} if restored is None else {"restored": restored}),
        **({"submitted": True} if step.terminated else {}),
        "tokens": {"input": usage.input_tokens, "output": usage.output_tokens} if usage and usage.calls else None,
        "cost": usage.cost_usd if usage and usage.calls else None,
        **({"pictures": [f"outputs/{Path(picture.path).name}" for picture in step.pictures]} if step.pictures else {}),
        **({"changes": [asdict(change) for change in step.changes.files]} if step.changes.files else {}),
        **({} if step.changes.is_complete else {"changes_complete": False}),
        **({"details": dict(details)} if details else {}),
    }


def result_record(
    episode: Episode, preparation: Preparation, ending: Ending, usage: Usage, stop_details: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The content of result.json."""
    task, sandboxes, budget = episode.task, preparation.sandboxes, episode.budget
    score = _score(episode)
    baseline = episode.baseline
    if baseline is None and episode.agent == "baseline" and score is not None:
        baseline = score["metrics"]
    return {
        "schema_version": SCHEMA_VERSION,
        "task": task.name,
        "variant": preparation.variant,
        "scoring": task.scoring,
        "agent": episode.agent,
        "model": episode.model,
        "seed": episode.settings.seed,
        "feedback": task.file.metadata.mlgym_lite.feedback,
        "ending": ending_record(ending),
        "score": score,
        "baseline": {"metrics": dict(baseline or {})},
        "improvement": _improvement(episode, score, baseline),
        "attempts": [attempt_record(attempt) for attempt in episode.attempts],
        "validations_used": budget.validations_used,
        "steps": budget.steps_used,
        "seconds": _seconds(episode),
        "resources": {
            "peak_memory_bytes": usage.peak_memory_bytes,
            "cpu_seconds": usage.cpu_seconds,
            "gpu_seconds": round(episode.budget.total_seconds * len(sandboxes.gpus.gpus), 3),
        },
        "usage": asdict(budget.usage),
        **({"stop_details": dict(stop_details)} if stop_details else {}),
        "isolation": {
            "mechanism": sandboxes.mechanism.name,
            "limits": sandboxes.mechanism.limits_name,
            **_network_record(sandboxes.network),
            **({"gpu_memory": "soft cap"} if preparation.profile.gpu_memory_mb and sandboxes.gpus.gpus else {}),
            "weakened": [*sandboxes.mechanism.weakened, *sandboxes.network.weakened],
        },
        "run_directory": str(episode.run_directory),
    }


def _network_record(network: Network) -> dict[str, Any]:
    hosts = {"allowed_hosts": list(network.allowed_hosts)} if network.mode == "allowlist" else {}
    return {"network": network.mode, **hosts}


def _score(episode: Episode) -> dict[str, Any] | None:
    submitted = [attempt for attempt in episode.attempts if attempt.kind == "submit" and attempt.metrics]
    if not submitted:
        return None
    metrics = dict(submitted[-1].metrics or {})
    return {
        "metric": episode.task.metric,
        "direction": episode.task.file.metadata.mlgym_lite.direction,
        "value": metrics[episode.task.metric],
        "metrics": metrics,
    }


def _improvement(episode: Episode, score: Mapping[str, Any] | None, baseline: Mapping[str, float] | None) -> float | None:
    """How much better than the baseline, positive when better."""
    if score is None or not baseline or episode.task.metric not in baseline:
        return None
    difference = float(score["value"]) - baseline[episode.task.metric]
    return difference if episode.task.maximize else -difference


def _seconds(episode: Episode) -> dict[str, float]:
    budget = episode.budget
    total = budget.total_seconds
    framework = budget.framework_time
    agent = max(0.0, total - budget.command_time - budget.grading_time - framework)
    parts = {
        "total": total,
        "agent": agent,
        "commands": budget.command_time,
        "grading": budget.grading_time,
        "framework": framework,
    }
    return {name: round(seconds, 6) for name, seconds in parts.items()}
