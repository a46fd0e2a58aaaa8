"""Writing a task folder of ours from a task of a MLGym checkout.

The folder holds copies of the user's own checkout and, around them, a grader of ours:

environment/    what MLGym puts into the workspace, at the same paths
tests/pristine/ the evaluator, the task's own code and the data, as the grader uses them
tests/          the wrapper that runs that evaluator (mlgym_wrapper/)
solution/       runs the baseline program
HOLES.md, holes.json   how a score can be had without the work

The folder is made aside and moved to its place when it is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mlgym_lite.authoring.mlgym_checkout import MLGymTask, read_task
from mlgym_lite.authoring.mlgym_evaluator import Facts, look_at, named_files
from mlgym_lite.authoring.mlgym_holes import Hole, Plan, find_holes, holes_page
from mlgym_lite.authoring.mlgym_known import KNOWN_TASKS, LESS_IS_BETTER, Known
from mlgym_lite.authoring.mlgym_packages import packages_for
from mlgym_lite.authoring.mlgym_texts import Decided, instruction, solution, task_toml
from mlgym_lite.config.actions_file import MLGYM_WORKSPACE
from mlgym_lite.config.harbor import Direction
from mlgym_lite.errors import OutputError, TaskError
from mlgym_lite.isolation.marked_folders import aside_folder

_WRAPPER = Path(__file__).with_name("mlgym_wrapper")
_MOST_SENT_BYTES = 200 << 20
_UNKNOWN = Known(metric="")


@dataclass(frozen=True, kw_only=True)
class ImportChoices:
    """What a person decides instead of the importer."""

    metric: str | None = None
    direction: Direction | None = None
    score_noise: float | None = None
    pristine: tuple[str, ...] = ()
    """Code of the workspace that is the task's own."""
    hide: tuple[str, ...] = ()
    """Files of the workspace that the agent is not to see."""
    requirements: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What came of an import."""

    folder: Path
    task: MLGymTask
    metric: str
    direction: Direction
    trusted: bool
    """The evaluator runs out of the submission's reach."""
    holes: tuple[Hole, ...]
    notes: tuple[str, ...] = field(default=())
    """What was decided without being told."""

    def record(self) -> dict[str, Any]:
        """What `import --json` prints."""
        return {
            "folder": str(self.folder), "id": self.task.id, "metric": self.metric, "direction": self.direction,
            "evaluator_out_of_reach": self.trusted, "notes": list(self.notes), "holes": [hole.record() for hole in self.holes],
        }  # fmt: skip


def import_task(checkout: Path, config: str, output: Path, choices: ImportChoices) -> Imported:
    """Import one task; raises TaskError with every mistake, and OutputError where the folder cannot be written."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputError(f"{output}: is there already; name a folder that does not exist yet")
    task = read_task(checkout, config)
    importer = _Importer(task, choices)
    importer.check()
    final = output.absolute()
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with aside_folder(final) as aside:
            importer.write(aside / final.name, final.name)
            if output.is_dir():
                output.rmdir()
            os.replace(aside / final.name, output)
    except OSError as error:
        raise OutputError(f"{error.filename or output}: {error.strerror or error}") from error
    return importer.imported(output)


class _Importer:
    """Decides how one task is graded, and writes it; lives for one import."""

    def __init__(self, task: MLGymTask, choices: ImportChoices) -> None:
        self._task = task
        self._choices = choices
        self._known = KNOWN_TASKS.get(task.id, _UNKNOWN)
        self._notes: list[str] = []
        self._facts = look_at(task.evaluator, task.files)
        self._plan = self._planned(self._facts)
        self._metric = self._chosen_metric()
        self._direction = self._chosen_direction()
        self._holes = find_holes(task, self._facts, self._plan)

    def _planned(self, facts: Facts) -> Plan:
        task, choices = self._task, self._choices
        own = {*self._known.pristine, *task.secret_files, *choices.pristine}
        imported = sorted(facts.imported)
        is_file_only = task.kind == "csv"  # its submission is one file, so that no code is the agent's
        agent_code = tuple(name for name in imported if not is_file_only and name not in own and name not in task.data)
        safe = is_file_only and not facts.runs_what_it_reads and not facts.unreadable
        hidden = frozenset(name for name in task.files for wanted in choices.hide if _is_at_or_below(name, wanted))
        return Plan(
            trusted=safe, pristine_code=tuple(name for name in imported if name not in agent_code), agent_code=agent_code,
            hidden=hidden,
        )  # fmt: skip

    def _chosen_metric(self) -> str:
        """The name as the evaluator prints it, where its code shows that."""
        named = self._choices.metric or self._known.metric or next(iter(self._task.baseline), "")
        if named in self._facts.texts or self._choices.metric:
            return named
        alike = sorted(text for text in self._facts.texts if text.lower() == named.lower())
        if named and alike:
            self._notes.append(f"metric: {alike[0]!r}, as {self._task.evaluator} has it; the configuration says {named!r}")
        return alike[0] if alike else named

    def _chosen_direction(self) -> Direction:
        if self._choices.direction:
            return self._choices.direction
        if self._known.metric and self._metric == self._known.metric:
            return self._known.direction
        lower = any(word in self._metric.lower() for word in LESS_IS_BETTER)
        guess: Direction = "minimize" if lower else "maximize"
        if self._metric:
            self._notes.append(f"direction: {guess}, guessed from the name {self._metric!r}; --direction says otherwise")
        return guess

    def check(self) -> None:
        """Raise TaskError with everything that keeps the task from being imported."""
        task = self._task
        problems = [f"{task.files[name]}: is not Python: {reason}" for name, reason in self._facts.unreadable.items()]
        problems += [
            f"{option} {name}: no such file in the workspace"
            for option, names in (("--pristine", self._choices.pristine), ("--hide", self._choices.hide))
            for name in names
            if not any(_is_at_or_below(file, name) for file in task.files)
        ]
        if not self._metric:
            problems.append(f"{task.config}: baseline_scores: has no number; name the metric that ranks with --metric")
        problems += [
            f"{task.files[task.evaluator]}: calls {place}, which needs a network, and a grader has none: download what it loads "
            "to a folder of the checkout and let it read that"
            for place in sorted(self._facts.downloads)
        ]
        size = sum(task.files[name].stat().st_size for name in self._pristine())
        if not self._plan.trusted and size > _MOST_SENT_BYTES:
            problems.append(
                f"{task.config}: the evaluator runs code of the submission and would need {size >> 20} MiB of data beside it; at "
                f"most {_MOST_SENT_BYTES >> 20} MiB can be handed over"
            )
        if problems:
            raise TaskError(f"{task.config}: cannot be imported:", tuple(problems))
        self._note_what_may_fail()

    def _note_what_may_fail(self) -> None:
        task, facts = self._task, self._facts
        program = task.baseline_program
        there = sorted(facts.may_download)
        if program is not None and program != task.evaluator:
            baseline = look_at(program, task.files)
            there += sorted({*baseline.downloads, *baseline.may_download})
        self._notes += [
            f"network: {place} may want one; the grader and, unless it is granted, the agent have none" for place in there
        ]
        if program is None and task.kind != "python":
            self._notes.append("baseline: the configuration names no program, so `check` cannot score one")
        placed = [
            name
            for name, path in task.files.items()
            if name.endswith((".py", ".sh", ".yaml")) and name != task.evaluator and MLGYM_WORKSPACE.encode() in path.read_bytes()
        ]
        if placed:
            self._notes.append(f"{MLGYM_WORKSPACE}: named by {', '.join(placed)}; only --isolation bubblewrap shows that place")
        if task.memory_path is not None:
            self._notes.append(f"memory_path: {task.memory_path!r} is not imported")

    def _pristine(self) -> list[str]:
        """What the grader takes from the checkout."""
        task = self._task
        named = named_files(self._facts, set(task.files)) if task.kind == "csv" else set()
        named = {name for name in named if not name.endswith(".py") and name != "submission.csv"}
        return sorted({task.evaluator, *self._plan.pristine_code, *task.data, *named})

    def write(self, folder: Path, name: str) -> None:
        """Write everything into a new folder."""
        task = self._task
        _copy({at: source for at, source in task.files.items() if at not in self._plan.hidden}, folder / "environment")
        read_only = {*task.data, *((task.evaluator,) if task.read_only_evaluator else ())} - self._plan.hidden
        for at in read_only:
            (folder / "environment" / at).chmod(0o555)
        _copy({at: task.files[at] for at in self._pristine()}, folder / "tests" / "pristine")
        for path in sorted(_WRAPPER.iterdir()):
            if path.is_file():
                shutil.copyfile(path, folder / "tests" / path.name)
        _write(folder / "tests" / "evaluation.json", json.dumps(self._evaluation(), indent=1) + "\n")
        packages = self._requirements()
        decided = self._decided(has_packages=bool(packages))
        if packages:
            _write(folder / "requirements.txt", packages)
        _write(folder / "solution" / "solve.sh", solution(task))
        _write(folder / "instruction.md", instruction(task, decided))
        _write(folder / "task.toml", task_toml(task, name, decided))
        _write(folder / "HOLES.md", holes_page(name, task, self._holes))
        _write(folder / "holes.json", json.dumps([hole.record() for hole in self._holes], indent=1) + "\n")

    def _evaluation(self) -> dict[str, Any]:
        task = self._task
        return {
            "kind": task.kind, "evaluator": task.evaluator, "metric": self._metric, "trusted": self._plan.trusted,
            "timeout_seconds": task.timeout_seconds,
            "starter_files": [name for name in task.files if name.endswith(".yaml")],
        }  # fmt: skip

    def _requirements(self) -> str:
        chosen = self._choices.requirements or self._task.requirements
        try:
            return chosen.read_text(encoding="utf-8") if chosen else packages_for(self._task.files)
        except (OSError, UnicodeDecodeError) as error:
            raise TaskError(f"{chosen}: cannot be read: {error}") from error

    def _decided(self, *, has_packages: bool) -> Decided:
        stated = self._choices.score_noise
        return Decided(
            plan=self._plan, metric=self._metric, direction=self._direction,
            score_noise=self._known.score_noise if stated is None else stated, baseline=self._baseline(),
            open_holes=sum(not hole.closed for hole in self._holes), has_packages=has_packages,
        )  # fmt: skip

    def _baseline(self) -> Mapping[str, float]:
        """The stated scores, under the evaluator's names; none where the metric is not among them."""
        names = {text.lower(): text for text in sorted(self._facts.texts) if text.lower() == self._metric.lower()}
        names[self._metric.lower()] = self._metric
        scores = {names.get(name.lower(), name): value for name, value in self._task.baseline.items()}
        return scores if self._metric in scores else {}

    def imported(self, folder: Path) -> Imported:
        """What came of it."""
        return Imported(
            folder=folder, task=self._task, metric=self._metric, direction=self._direction, trusted=self._plan.trusted,
            holes=self._holes, notes=tuple(dict.fromkeys(self._notes)),
        )  # fmt: skip


def _is_at_or_below(name: str, wanted: str) -> bool:
    plain = str(PurePosixPath(wanted))
    return name == plain or name.startswith(f"{plain}/")


def _copy(files: Mapping[str, Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        path.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
