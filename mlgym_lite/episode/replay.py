"""Running recorded actions again and comparing what they show and score, step by step.

Recordings are run directories of ours, their exports, files of actions, and MLGym's .traj files. The gradings of a run are
repeated with the seeds it recorded, so that equal work must score equally.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlgym_lite.agents.scripted import ScriptedAgent
from mlgym_lite.config.actions_file import MLGYM_WORKSPACE, Recording, read_recording
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.task_file import WORKSPACE, Task, load_task, same_score
from mlgym_lite.episode.engine import Episode
from mlgym_lite.episode.located import without_roots
from mlgym_lite.episode.outcome import Attempt, Step
from mlgym_lite.episode.run_reader import recorded_run
from mlgym_lite.episode.runner import Listeners, mounts_for
from mlgym_lite.errors import ActionsError
from mlgym_lite.services.memory import MemoryService
from mlgym_lite.services.pictures import PictureService
from mlgym_lite.services.protocol import Service


@dataclass(frozen=True, kw_only=True)
class StepDifference:
    """An observation that is not the recorded one."""

    step: int
    expected: str
    got: str


@dataclass(frozen=True, kw_only=True)
class ScorePair:
    """A recorded score and the one of the replay; None where one of them has none."""

    step: int
    expected: Mapping[str, float] | None
    got: Mapping[str, float] | None
    agrees: bool
    """Whether they are the same; of a recording of MLGym, whose gradings have no seeds, within the task's noise."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a replay found."""

    steps: int
    """Actions that were run."""
    compared: int
    """Actions whose recorded observation was known."""
    equal: int
    differences: tuple[StepDifference, ...]
    scores: tuple[ScorePair, ...]

    @property
    def agrees(self) -> bool:
        """Whether every observation and every score is as recorded."""
        return not self.differences and all(pair.agrees for pair in self.scores)

    def record(self) -> dict[str, Any]:
        """The comparison as `replay --json` prints it."""
        return {
            "steps": self.steps,
            "compared": self.compared,
            "equal": self.equal,
            "differences": [{"step": entry.step, "expected": entry.expected, "got": entry.got} for entry in self.differences],
            "scores": [
                {
                    "step": pair.step,
                    "expected": pair.expected and dict(pair.expected),
                    "got": pair.got and dict(pair.got),
                    "agrees": pair.agrees,
                }
                for pair in self.scores
            ],
        }


@dataclass(frozen=True, kw_only=True)
class ReplayPlan:
    """What is to be replayed, resolved."""

    recording: Recording
    task: Task
    settings: RunSettings
    agent: str
    scores: tuple[Mapping[str, float], ...]
    """Every recorded score in order."""
    seeds: tuple[int, ...]
    validations: Mapping[int, int]
    """How often each step, with what was called after it, validated."""
    knows_scores: bool
    """Whether the recording would tell of every scoring."""
    submits_at_the_end: bool
    """The recorded run was scored without an action of its own asking for it."""
    services: tuple[str, ...] = ()
    """The recorded run's."""
    is_of_a_run: bool = False
    """The recording tells the run's variant, seeds and limits."""


def plan_replay(path: Path, task: str | None, settings: RunSettings) -> ReplayPlan:
    """Read a recording and find its task and settings; raises ActionsError or TaskError."""
    recording = read_recording(path)
    run = recording.path.parent / "run.json"
    try:
        if recording.exported is not None:
            return _plan_run(recording, recording.exported, task, settings)
        if recording.path.name == "trajectory.jsonl" and run.is_file():
            return _plan_run(recording, recorded_run(run.parent), task, settings)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ActionsError(f"{run}: cannot be read: it is not the record of a run ({error!r:.200})") from error
    if task is None:
        raise ActionsError(f"{path}: does not tell its task; name it with --task")
    scores = (*(score for step in recording.steps for score in step.scores), *recording.loose_scores)
    return ReplayPlan(
        recording=recording, task=load_task(task), settings=settings, agent="scripted", scores=scores, seeds=(),
        validations={}, knows_scores=bool(scores) or recording.is_of_mlgym, submits_at_the_end=recording.autosubmitted,
    )  # fmt: skip


def _plan_run(recording: Recording, recorded_run: Mapping[str, Any], task: str | None, settings: RunSettings) -> ReplayPlan:
    run, result = recorded_run["run"], recorded_run["result"] or {}
    if run.get("forked_from"):
        where = recording.path.parent
        raise ActionsError(f"{where}: is a fork of {run['forked_from']['run_directory']}; a fork cannot be replayed yet")
    recorded = run["task"]
    reference = task or (recorded["folder"] if Path(recorded["folder"]).is_dir() else recorded["name"])
    attempts = result.get("attempts") or []
    scores = tuple(attempt["metrics"] for attempt in attempts if not attempt.get("rejected"))
    last = recording.steps[-1].action.split()
    limits = run["limits"]
    return ReplayPlan(
        recording=recording,
        task=load_task(reference),
        settings=replace(
            settings, variant=run["variant"], scoring=run.get("scoring", "clean"),
            seed=run["seed"], max_steps=limits["max_steps"],
            time_limit_seconds=limits["time_limit_seconds"],
            gpus=len(run.get("gpus") or ()) if settings.gpus is None else settings.gpus,
        ),
        agent=run["agent"],
        scores=scores if result else tuple(score for step in recording.steps for score in step.scores),
        validations=Counter(attempt["step"] for attempt in attempts if attempt["kind"] == "validate"),
        knows_scores=bool(result),
        seeds=tuple(recorded_run["grading_seeds"]),
        submits_at_the_end=bool(attempts) and attempts[-1]["kind"] == "submit" and "submit" not in last,
        services=tuple(run.get("services") or ()), is_of_a_run=True,
    )  # fmt: skip


def replay(plan: ReplayPlan, *, listeners: Listeners | None = None) -> Comparison:
    """Run the recorded actions in a new episode and compare; an episode that ends early leaves the rest out."""
    told = listeners or Listeners()
    folders = ("solution",) if plan.agent == "baseline" else ()
    agent = ScriptedAgent([step.action for step in plan.recording.steps], folders)
    episode = Episode(
        plan.task, settings=plan.settings, agent="scripted", grading_seeds=plan.seeds, on_progress=told.on_progress,
        services=_services(plan.services),
    )  # fmt: skip
    episode.further_mounts = mounts_for(agent, plan.task, episode.places.cache)
    differences: list[StepDifference] = []
    steps = compared = 0
    with episode:
        if told.on_start:
            told.on_start(episode)
        _validate_as_recorded(episode, plan, 0)
        for recorded in plan.recording.steps:
            if episode.outcome is not None:
                break
            step = episode.step(_placed(recorded.action, plan, episode.root))
            steps += 1
            if told.on_step:
                told.on_step(episode, step)
            if recorded.observation is not None:
                compared += 1
                if _comparable(step.observation) != _comparable(recorded.observation):
                    differences.append(_difference(step, recorded.observation))
            _validate_as_recorded(episode, plan, step.number)
        if episode.outcome is None and plan.submits_at_the_end:
            episode.submit()
        scores = _score_pairs(plan, episode.attempts)
    return Comparison(
        steps=steps, compared=compared, equal=compared - len(differences), differences=tuple(differences), scores=scores
    )


def _services(names: Sequence[str]) -> list[Service]:
    """Those of a recorded run that can be had again: notes, without those of other episodes, and pictures, but not papers."""
    known: dict[str, Callable[[], Service]] = {"memory": MemoryService, "view_image": PictureService}
    return [known[name]() for name in names if name in known]


def _placed(action: str, plan: ReplayPlan, root: str) -> str:
    """An action of MLGym with its workspace where this sandbox has it."""
    has_home = plan.task.file.metadata.mlgym_lite.home_workspace and not root
    if not plan.recording.is_of_mlgym or has_home:
        return action
    return action.replace(MLGYM_WORKSPACE, root + WORKSPACE)


def _comparable(observation: str) -> str:
    return without_roots(observation).replace(MLGYM_WORKSPACE, WORKSPACE).rstrip()


def _validate_as_recorded(episode: Episode, plan: ReplayPlan, step: int) -> None:
    """Repeat validations that came as calls between the actions, not from within one."""
    done = sum(attempt.step == step and attempt.kind == "validate" for attempt in episode.attempts)
    for _ in range(plan.validations.get(step, 0) - done):
        if episode.outcome is None and episode.budget.validations_left > 0:
            episode.validate()


def _difference(step: Step, expected: str) -> StepDifference:
    return StepDifference(step=step.number, expected=expected, got=step.observation)


def _score_pairs(plan: ReplayPlan, attempts: tuple[Attempt, ...]) -> tuple[ScorePair, ...]:
    recording = plan.recording
    if not recording.is_of_mlgym or recording.loose_scores:
        return _pairs(plan.scores, attempts, further=plan.knows_scores)
    metric, noise = plan.task.metric, plan.task.score_noise(plan.settings.variant)
    pairs: list[ScorePair] = []
    for number, step in enumerate(recording.steps, start=1):
        scored = [attempt.metrics for attempt in attempts if attempt.step == number and attempt.metrics is not None]
        for expected, got in itertools.zip_longest(step.scores, scored):
            pairs.append(ScorePair(step=number, expected=expected, got=got, agrees=_is_close(expected, got, metric, noise)))
    return tuple(pairs)


def _is_close(expected: Mapping[str, float] | None, got: Mapping[str, float] | None, metric: str, noise: float) -> bool:
    if expected is None or got is None or metric not in expected:
        return expected == got
    return same_score(expected[metric], got[metric], noise)


def _pairs(expected: tuple[Mapping[str, float], ...], attempts: tuple[Attempt, ...], *, further: bool) -> tuple[ScorePair, ...]:
    """Pair recorded and new scores in their order; new ones `further` than the recorded count as differences."""
    scored = [attempt for attempt in attempts if attempt.metrics is not None]
    pairs = []
    for number in range(max(len(expected), len(scored) if further else 0)):
        got = scored[number] if number < len(scored) else None
        metrics = got.metrics if got else None
        known = expected[number] if number < len(expected) else None
        pairs.append(ScorePair(step=got.step if got else 0, expected=known, got=metrics, agrees=known == metrics))
    return tuple(pairs)
