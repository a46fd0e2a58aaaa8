"""Recorded actions: JSON Lines of ours, a run directory's trajectory.jsonl, a MLGym .traj file, or an ATIF .json file."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlgym_lite.errors import ActionsError


@dataclass(frozen=True, kw_only=True)
class RecordedStep:
    """One recorded action, with what was seen where the file holds it."""

    action: str
    observation: str | None = None
    scores: tuple[dict[str, float], ...] = ()
    """What validations and submissions within this step scored."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A file of recorded actions, read."""

    path: Path
    steps: tuple[RecordedStep, ...]
    loose_scores: tuple[dict[str, float], ...] = ()
    """Scores in order that could not be tied to steps."""
    is_of_mlgym: bool = False
    """A .traj file: its paths are those of MLGym's container."""
    autosubmitted: bool = False
    """MLGym scored what was there when a limit ended the episode."""
    exported: Mapping[str, Any] | None = None
    """Of an export of ours: the run's `run` (run.json), `result` (result.json or None) and `grading_seeds`."""


def read_recording(path: Path) -> Recording:
    """Read a file of actions or a run directory; raises ActionsError with the file and the line."""
    if path.is_dir():
        exports = list(path.glob("*.traj"))
        path = exports[0] if len(exports) == 1 and not (path / "trajectory.jsonl").exists() else path / "trajectory.jsonl"
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ActionsError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise ActionsError(
            f"{path}: cannot be read: {error.strerror or error}. Expected JSON Lines of actions, a MLGym .traj file, or a run "
            "directory with a trajectory.jsonl"
        ) from error
    if path.suffix == ".traj":
        return _read_traj(path, text)
    return _read_atif(path, text) if path.suffix == ".json" else _read_lines(path, text)


def _read_lines(path: Path, text: str) -> Recording:
    steps = tuple(_line_step(path, number, value) for number, value in json_lines(path, text))
    if not steps:
        raise ActionsError(f'{path}: holds no action; expected one JSON text or {{"action": …}} a line')
    return Recording(path=path, steps=steps)


def json_lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """The number and value of each line that is not empty; raises ActionsError at one that is not JSON."""
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            if path.name == "trajectory.jsonl" and number == len(lines):
                return  # the run was killed while it wrote this line
            raise ActionsError(f'{path}: line {number}: is not JSON ({error}); expected a text or {{"action": …}}') from error
        yield number, value


def _read_atif(path: Path, text: str) -> Recording:
    """The tool calls with a command of an ATIF trajectory."""
    try:
        content = json.loads(text)
        if not str(content["schema_version"]).startswith("ATIF-"):
            raise ValueError(f"its schema_version is {content['schema_version']!r}")
        steps = [step for entry in content["steps"] for step in _atif_steps(entry)]
        exported = _exported(content.get("extra"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ActionsError(f"{path}: is not an ATIF trajectory ({error!r:.200}); expected schema_version ATIF-v1.*") from error
    if not steps:
        raise ActionsError(f"{path}: holds no action; expected steps with tool_calls whose arguments have a command")
    return Recording(path=path, steps=tuple(steps), exported=exported)


def _exported(content: Any) -> Mapping[str, Any] | None:
    """What an export of ours tells of its run; None for another program's."""
    if not isinstance(content, dict) or not isinstance(content.get("run"), dict):
        return None
    return content if isinstance(content.get("grading_seeds"), list) else None


def _atif_steps(entry: dict[str, Any]) -> list[RecordedStep]:
    results = {result.get("source_call_id"): result for result in (entry.get("observation") or {}).get("results", [])}
    steps = []
    for call in entry.get("tool_calls") or []:
        command = call["arguments"].get("command")
        if isinstance(command, str):
            result = results.get(call["tool_call_id"], {})
            scored = [attempt.get("metrics") for attempt in (result.get("extra") or {}).get("scores", [])]
            steps.append(RecordedStep(action=command, observation=_told(result.get("content")), scores=_scores(scored)))
    return steps


def _told(content: Any) -> str | None:
    """The text of what a step showed, which may come in parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return _text(content)


def _line_step(path: Path, number: int, value: Any) -> RecordedStep:
    if isinstance(value, str):
        return RecordedStep(action=value)
    if isinstance(value, dict) and isinstance(value.get("action"), str):
        entries = value.get("scores")
        scores = [entry.get("metrics") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        return RecordedStep(action=value["action"], observation=_text(value.get("observation")), scores=_scores(scores))
    shown = json.dumps(value)[:80]
    raise ActionsError(f'{path}: line {number}: expected a text or an object with a text "action", not {shown}')


MLGYM_WORKSPACE = "/home/agent/workspace"
"""Where an agent of MLGym works, as its recordings and programs name it."""
_ENDINGS = frozenset(f"exit_{reason}" for reason in ("context", "cost", "error", "format", "api", "forfeit")) | {"skip"}
"""What MLGym records in place of an action where it ended the episode itself."""
_SCORED = re.compile(r"^Evaluation Score: \{", re.MULTILINE)


def _read_traj(path: Path, text: str) -> Recording:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ActionsError(f"{path}: is not a MLGym trajectory ({error!r:.200}); expected JSON") from error
    return traj_recording(path, content)


def traj_recording(path: Path, content: Any) -> Recording:
    """The steps of a .traj file's content, scores tied to them; raises ActionsError."""
    try:
        entries = [entry for entry in content["trajectory"] if entry["action"] and entry["action"] not in _ENDINGS]
        steps = tuple(RecordedStep(action=entry["action"], observation=_text(entry.get("observation"))) for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ActionsError(
            f"{path}: is not a MLGym trajectory ({error!r:.200}); expected an object with trajectory[].action"
        ) from error
    if not all(isinstance(step.action, str) for step in steps) or not steps:
        raise ActionsError(f"{path}: expected a list `trajectory` whose entries have a text `action`")
    exported = _exported(content.get("mlgym_lite"))
    if exported is not None:
        return Recording(path=path, steps=steps, exported=exported)
    info = content.get("info")
    scores = info.get("score") if isinstance(info, dict) else None
    status = str(info.get("exit_status")) if isinstance(info, dict) else ""
    return _with_scores(
        Recording(path=path, steps=steps, is_of_mlgym=True, autosubmitted=status.startswith("autosubmission")),
        _scores(scores if isinstance(scores, list) else []),
    )


def _with_scores(recording: Recording, scores: tuple[dict[str, float], ...]) -> Recording:
    """Tie the scores to the steps that show one, and one more to the last step; where they do not fit they stay loose."""
    left = list(scores)
    scored = [step for step in recording.steps if step.observation and _SCORED.search(step.observation)]
    if len(left) - len(scored) not in (0, 1):
        return replace(recording, loose_scores=scores)
    steps = [replace(step, scores=(left.pop(0),)) if step in scored else step for step in recording.steps]
    steps[-1] = replace(steps[-1], scores=(*steps[-1].scores, *left))
    return replace(recording, steps=tuple(steps))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _scores(values: list[Any]) -> tuple[dict[str, float], ...]:
    """Those of the values that are tables of numbers."""
    return tuple(
        {str(name): float(number) for name, number in value.items()}
        for value in values
        if isinstance(value, dict) and value and all(_is_number(number) for number in value.values())
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
