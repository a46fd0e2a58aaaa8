"""How an episode of a bench stands, as its folder tells: result files decide, not the states of processes or jobs.

Each try has a run directory `try-K`, what the command printed (`try-K.log`) and, written by who ran it, how the command ended
(`try-K.end.json`). A try without that file and without a result is running, or was stopped with who ran it: it goes on from its
last finished step, whoever runs the bench next.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlgym_lite.benchmark.plan import Plan, PlannedEpisode
from mlgym_lite.episode.resumption import can_go_on
from mlgym_lite.errors import BenchError
from mlgym_lite.whole_files import write_whole

EpisodeState = Literal["waiting", "queued", "running", "done", "failed"]
COMMAND = "episode.json"
_KILLED = 128
_FAILURES = ("agent_error", "grader_error", "sandbox_error", "interrupted")
"""Endings that are no result of the agent's: a model's server that refuses, a grader's fault, ours, the user's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeResult:
    """What a bench tells of a result.json; small, since there may be ten thousand."""

    reason: str
    """Why the episode ended."""
    detail: str
    can_pass: bool
    metric: str = ""
    maximize: bool = True
    value: float | None = None
    """The submission's score; None without one."""
    baseline: float | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any] | None) -> EpisodeResult | None:
        """From the content of a result.json; None where it is not one."""
        try:
            return None if content is None else cls._of(content)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    @classmethod
    def _of(cls, content: Mapping[str, Any]) -> EpisodeResult:
        ending, score = content["ending"], content.get("score")
        known = {"reason": sys.intern(ending["reason"]), "detail": ending["detail"], "can_pass": bool(ending.get("can_pass"))}
        if score is None:
            return cls(**known)
        return cls(
            **known, metric=sys.intern(score["metric"]), maximize=score["direction"] == "maximize", value=float(score["value"]),
            baseline=content["baseline"]["metrics"].get(score["metric"]),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How one episode stands."""

    state: EpisodeState
    """`done` has a result that counts; `failed` has used up its tries, or failed for what will not pass."""
    tries: int = 0
    """How often it was begun."""
    result: EpisodeResult | None = None
    """Of the last try, where it has one."""
    why: str = ""
    """What the last try that failed told."""
    cost: float | None = 0.0
    """US dollars that all of its tries took; None where a price is not known."""


def standing_of(folder: Path, attempts: int, *, is_running: bool = False) -> Standing:
    """Read an episode's folder; `is_running` says that whoever runs it is at work."""
    tries = _numbers(folder)
    if not tries:
        return Standing(state="waiting")
    contents = [read_json(folder / f"try-{number}" / "result.json") for number in tries]
    cost = _cost([usage for content in contents if isinstance(usage := (content or {}).get("usage"), dict)])
    results = [EpisodeResult.of(content) for content in contents]
    last, result = tries[-1], results[-1]
    if result is not None and result.reason not in _FAILURES:
        return Standing(state="done", tries=len(tries), result=result, cost=cost)
    if _is_open(folder, last):
        if is_running:
            return Standing(state="running", tries=len(tries), cost=cost)
        return Standing(state="waiting", tries=len(tries), why="stopped with the bench or its machine; it goes on", cost=cost)
    why, can_pass = _failure(folder, last, result)
    interrupted = sum(one is not None and one.reason == "interrupted" for one in results)
    goes_on = can_pass and len(tries) - interrupted < attempts
    return Standing(state="waiting" if goes_on else "failed", tries=len(tries), result=result, why=why, cost=cost)


def standings_of(plan: Plan, *, is_running: bool = False) -> dict[str, Standing]:
    """How every episode of a plan stands, by its folder."""
    attempts = plan.bench.attempts
    folders = [episode.folder for episode in plan.episodes]
    return {folder: standing_of(plan.results / folder, attempts, is_running=is_running) for folder in folders}


def _is_open(folder: Path, number: int) -> bool:
    """Whether a try has neither a result nor an end."""
    return not (folder / f"try-{number}" / "result.json").exists() and not (folder / f"try-{number}.end.json").exists()


def begin_try(results: Path, episode: PlannedEpisode) -> tuple[int, list[str]]:
    """A new try of an episode: its number, and the command that runs it.

    Raises:
        BenchError: The folder is that of an episode with another command.
    """
    folder = results / episode.folder
    folder.mkdir(parents=True, exist_ok=True)
    check_command(folder, episode)
    if read_json(folder / COMMAND) is None:
        write_json(folder / COMMAND, {"arguments": list(episode.identity)})
    number = max(_numbers(folder), default=0) + 1
    run = [sys.executable, "-m", "mlgym_lite", "run", *episode.arguments, f"--output={folder / f'try-{number}'}"]
    (folder / f"try-{number}.log").touch()
    return number, run


def go_on_or_begin(results: Path, episode: PlannedEpisode) -> tuple[int, list[str]]:
    """The last try where it was stopped and can be gone on with, else a new one; as `begin_try` gives it."""
    folder = results / episode.folder
    number = max(_numbers(folder), default=0)
    run = folder / f"try-{number}"
    if not _is_open(folder, number) or not can_go_on(run):
        return begin_try(results, episode)
    check_command(folder, episode)
    return number, [sys.executable, "-m", "mlgym_lite", "resume", str(run)]


def check_command(folder: Path, episode: PlannedEpisode) -> None:
    """Raise BenchError where a folder holds tries of another command, which would be mixed up with new ones."""
    recorded = read_json(folder / COMMAND)
    if recorded is None or recorded.get("arguments") == list(episode.identity):
        return
    before, now = set(recorded.get("arguments") or ()), set(episode.identity)
    changed = ", ".join([*(f"without {one}" for one in sorted(before - now)), *(f"with {one}" for one in sorted(now - before))])
    raise BenchError(
        f"{folder}: holds an episode that was run otherwise; now it would be {changed}. "
        "Name another output in the bench file, or remove that folder"
    )


def check_commands(plan: Plan) -> None:
    """The same for every episode of a plan."""
    for episode in plan.episodes:
        check_command(plan.results / episode.folder, episode)


def end_try(folder: Path, number: int, exit_status: int) -> None:
    """Record how the command of a try ended."""
    write_json(folder / f"try-{number}.end.json", {"exit_status": exit_status})


def run_directory(folder: Path, standing: Standing) -> Path:
    """The run directory of the last try."""
    return folder / f"try-{standing.tries}"


def _cost(usages: Sequence[Mapping[str, Any]]) -> float | None:
    if any(usage.get("calls") and usage.get("cost_usd") is None for usage in usages):
        return None
    return float(sum(usage.get("cost_usd") or 0.0 for usage in usages))


def _failure(folder: Path, number: int, result: EpisodeResult | None) -> tuple[str, bool]:
    """Why a try has no result that counts, and whether another might have one."""
    if result is not None:
        return f"{result.reason}: {result.detail}".removesuffix(": "), result.can_pass
    ended = read_json(folder / f"try-{number}.end.json")
    file = folder / f"try-{number}" / "result.json"
    if ended is None or file.exists():
        return f"{file}: cannot be read", True
    status = int(ended["exit_status"])
    told = _last_line(folder / f"try-{number}.log")
    if status > _KILLED:
        return f"killed by signal {status - _KILLED}", True
    return told or f"exit status {status}", False


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    told = [line for line in lines if line.startswith("mlgym-lite: error: ")]
    return told[-1].removeprefix("mlgym-lite: error: ") if told else ""


def _numbers(folder: Path) -> list[int]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a list of names
    except OSError:
        return []
    found = {
        name.removeprefix("try-").removesuffix(".log") for name in names if name.startswith("try-") and name.endswith(".log")
    }
    return sorted(int(number) for number in found if number.isdigit())


def read_json(path: Path) -> dict[str, Any] | None:
    """A file's JSON object; None where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, aside and into place."""
    write_whole(path, json.dumps(dict(content)) + "\n")
