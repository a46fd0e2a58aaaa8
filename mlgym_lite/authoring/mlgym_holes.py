"""How a score on a task of MLGym can be had without the work, found by looking at the task's files.

A hole is closed where the import can close it without changing what recorded commands see, and named where it cannot: the
evaluator and the task's own code are taken from the checkout, but what MLGym lays into the workspace lies there too.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlgym_lite.authoring.mlgym_checkout import MLGymTask
from mlgym_lite.authoring.mlgym_evaluator import Facts, named_files

_MOST_BYTES_LOOKED_AT = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Hole:
    """One way to a score without the work."""

    name: str
    """One of a closed list, for machines."""
    files: tuple[str, ...]
    """What it is about, as paths in the workspace."""
    closed: bool
    text: str

    def record(self) -> dict[str, Any]:
        """The hole as holes.json has it."""
        return {**asdict(self), "files": list(self.files)}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a task is to be graded, decided."""

    trusted: bool
    """No code and no pickle of the agent reaches the evaluator, so that it runs in the judge."""
    pristine_code: tuple[str, ...]
    """What the evaluator imports and the grader takes from the checkout."""
    agent_code: tuple[str, ...]
    """What the evaluator imports and the submission brings."""
    hidden: frozenset[str]
    """What is kept from the agent."""


def find_holes(task: MLGymTask, facts: Facts, plan: Plan) -> tuple[Hole, ...]:
    """Every hole of a task, the open ones first."""
    holes = [
        *_forged_scores(task, facts, plan),
        *_labels(task, facts, plan),
        *_own_code(task, facts, plan),
        *_scoring(task, facts),
        Hole(
            name="validate-scores-the-test-split", files=(), closed=False,
            text="`validate` scores what `submit` scores, any number of times: the best attempt is chosen by the test",
        ),
        Hole(
            name="evaluator-owned-by-the-agent", files=(task.evaluator,), closed=True,
            text=f"{task.evaluator} lies in the workspace and the agent can change it; the grader runs the checkout's",
        ),
    ]  # fmt: skip
    return tuple(sorted(holes, key=lambda hole: hole.closed))


def _forged_scores(task: MLGymTask, facts: Facts, plan: Plan) -> Iterator[Hole]:
    if plan.agent_code:
        who = ", ".join(f"{name} (imported by {facts.imported[name]})" for name in plan.agent_code)
        yield Hole(
            name="submission-runs-in-the-evaluator", files=plan.agent_code, closed=False,
            text=f"the evaluator's process runs code of the submission: {who}. It can print its own score, change the evaluator "
            "or read what the evaluator reads",
        )  # fmt: skip
    if facts.runs_what_it_reads and not plan.trusted:
        yield Hole(
            name="evaluator-runs-what-it-reads", files=(task.evaluator,), closed=False,
            text=f"the evaluator calls {_listed(facts.runs_what_it_reads)}: what of it comes from the submission "
            "can be a program that prints its own score",
        )  # fmt: skip
    elif not plan.trusted and not plan.agent_code:
        yield Hole(
            name="evaluator-among-the-submission", files=(task.evaluator,), closed=False,
            text="the evaluator starts in a folder of the submission's files: a json.py among them stands in for Python's own "
            "and can print its own score",
        )  # fmt: skip
    if plan.trusted and not _reads_something(task, facts):
        yield Hole(
            name="evaluator-reads-only-the-submission", files=(task.evaluator,), closed=False,
            text="the evaluator names no file but the submission: the score is what the submission says it is",
        )  # fmt: skip


def _reads_something(task: MLGymTask, facts: Facts) -> bool:
    own = {task.evaluator, *facts.imported}
    return bool(named_files(facts, set(task.files) - own) or facts.downloads)


def _labels(task: MLGymTask, facts: Facts, plan: Plan) -> Iterator[Hole]:
    found = label_files(task, facts)
    for name in sorted(found):
        closed = name in plan.hidden
        lies = "is kept from the agent" if closed else "lies in the workspace"
        reach = "" if plan.trusted or not closed else ", but not from the submission's code while it is scored"
        yield Hole(
            name="labels-in-the-workspace",
            files=(name,),
            closed=closed and plan.trusted,
            text=f"{name} {found[name]} and {lies}{reach}",
        )


def label_files(task: MLGymTask, facts: Facts) -> dict[str, str]:
    """Data that holds what is asked for, each with how it is known."""
    found = dict.fromkeys(named_files(facts, task.data), f"is read by {task.evaluator}")
    headers = {name: _header(task.files[name]) for name in task.files if name.endswith((".csv", ".tsv"))}
    for name, (columns, rows) in headers.items():
        for other, (fewer, same) in headers.items():
            lacking = (columns - fewer) & facts.texts
            common = columns & fewer
            if name not in found and other != name and rows and rows == same and lacking and common:
                found[name] = f"has the column {_listed(lacking)}, which {other} lacks, and as many rows"
    return found


def _header(path: Path) -> tuple[frozenset[str], int]:
    """A table's columns and how many rows it has; nothing where it is none or very long."""
    try:
        if path.stat().st_size > _MOST_BYTES_LOOKED_AT:
            return frozenset(), 0
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            return frozenset(next(rows, [])), sum(1 for _ in rows)
    except (OSError, UnicodeDecodeError, csv.Error):
        return frozenset(), 0


def _own_code(task: MLGymTask, facts: Facts, plan: Plan) -> Iterator[Hole]:
    for name in plan.pristine_code:
        yield Hole(
            name="task-code-can-be-changed", files=(name,), closed=True,
            text=f"{name} is the task's own and the agent can change it; the grader takes the checkout's",
        )  # fmt: skip
        if name not in plan.hidden:
            yield Hole(
                name="task-code-in-the-workspace", files=(name,), closed=False,
                text=f"{name} is the task's own and the agent can read it, so that its answers need not be learned",
            )  # fmt: skip
    if len(plan.agent_code) > 1:
        yield Hole(
            name="task-code-not-told-apart", files=plan.agent_code, closed=False,
            text=f"{_listed(plan.agent_code)} are all taken from the submission; name what is the task's own with --pristine",
        )  # fmt: skip
    shown = tuple(name for name in task.secret_files if name in task.files and name not in plan.hidden)
    if shown:
        yield Hole(
            name="secret-files-shown", files=shown, closed=False,
            text=f"{_listed(shown)}: called secret in the configuration, and in the workspace all the same, as in MLGym",
        )  # fmt: skip


def _scoring(task: MLGymTask, facts: Facts) -> Iterator[Hole]:
    where = (task.evaluator,)
    if facts.clocks:
        yield Hole(
            name="score-depends-on-the-clock", files=where, closed=False,
            text=f"it reads the clock ({_listed(facts.clocks)}): a busy machine changes the score",
        )  # fmt: skip
    if facts.fixed_seeds:
        yield Hole(
            name="seeds-are-known", files=where, closed=False,
            text=f"its draws are fixed and can be read: {_listed(facts.fixed_seeds)}",
        )  # fmt: skip
    if facts.draws and not facts.seeds:
        yield Hole(
            name="score-is-drawn", files=where, closed=False,
            text=f"it draws without a seed ({_listed(facts.draws)}): the same work scores differently each time",
        )  # fmt: skip


def _listed(values: Any) -> str:
    values = sorted(values)
    return ", ".join(values[:4]) + (f" and {len(values) - 4} more" if len(values) > 4 else "")


def holes_page(name: str, task: MLGymTask, holes: tuple[Hole, ...]) -> str:
    """HOLES.md: for people; holes.json holds the same for machines."""
    lines = [
        f"# Known holes of {name}",
        "",
        f"Imported from MLGym's `{task.id}` ({task.config.name}). A score on this task is as trustworthy as MLGym's own: whoever",
        "compares it with others should know what is open below. Found in the task's files; there may be more.",
        "",
        "| hole | | files | what |",
        "|---|---|---|---|",
        *(
            f"| {hole.name} | {'closed' if hole.closed else '**open**'} | {', '.join(hole.files) or '–'} | {hole.text} |"
            for hole in holes
        ),
    ]
    return "\n".join(lines) + "\n"
