"""A task as a Gymnasium environment: actions are shell inputs, observations are what the agent is shown."""

from __future__ import annotations

import os
import shutil
import weakref
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gymnasium

from mlgym_lite.config.run_settings import RunSettings, checked_settings
from mlgym_lite.config.task_file import Task, Variant, load_task
from mlgym_lite.episode.engine import Episode
from mlgym_lite.episode.outcome import Step
from mlgym_lite.episode.recorder import new_run_path
from mlgym_lite.errors import EpisodeStateError, TaskError
from mlgym_lite.gym.rewards import REWARD_KINDS, ImprovementReward, RewardKind, Scale, final_reward
from mlgym_lite.gym.spaces import UnicodeText
from mlgym_lite.isolation.marked_folders import make_temporary_folder

_LARGEST_SEED = 2**31 - 1
_OURS = ("variant", "seed", "output")


class TaskEnvironment(gymnasium.Env[str, str]):
    """One task.

    Actions and observations are texts (`UnicodeText`, no shape): one shell input, and what it printed with the engine's notes.
    The first observation is the task's instruction. `terminated`: the agent submitted; `truncated`: a limit of steps or time was
    reached, and the workspace was scored as it was.

    The info of every step has `steps_left` (int), `validations_left` (int), `working_directory` (str), `exit_status` (int) and
    `seconds_left` (float, seconds) where there are such, and `attempts`: a list of {"kind", "metrics"} for what was scored in the
    step. The last one also has `outcome` (`mlgym_lite.Outcome`), whose `result` is the content of result.json. `run_directory`
    (str) is where the record is.

    Errors: the constructor raises TaskError, TypeError or ValueError; reset and step raise what `Episode` raises.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - as gymnasium declares it

    def __init__(
        self,
        task: str | Path,
        *,
        variant: Variant = "full",
        reward: RewardKind = "final",
        runs: str | Path | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        """A task by its name, folder or task.toml.

        `reward` is told by `mlgym_lite.gym.rewards`; float, normalised to [-1, 1] where the task has a goal. `runs` keeps every
        episode's run directory there (None: each is removed when the next one begins). `settings` are further fields of
        `RunSettings`, such as max_steps (int), time_limit_seconds (float), isolation, gpus (int) or data (Path).
        """
        self._check(reward, render_mode, settings)
        self._settings = checked_settings(variant=variant, **settings)
        self._task = load_task(task)
        self._reward: RewardKind = reward
        self.render_mode = render_mode
        self.action_space = UnicodeText()
        self.observation_space = UnicodeText()
        self._runs = None if runs is None else Path(runs)
        self._held = _Held(keeps_runs=runs is not None)
        self._shown = ""
        self._number = 0
        weakref.finalize(self, self._held.close)

    @staticmethod
    def _check(reward: str, render_mode: str | None, settings: dict[str, Any]) -> None:
        known = [field.name for field in fields(RunSettings) if field.name not in _OURS]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise TypeError(f"{unknown[0]!r} is no option of a task's environment; expected one of {', '.join(known)}")
        for name, value, allowed in (
            ("reward", reward, REWARD_KINDS),
            ("render_mode", render_mode, (None, "ansi")),
        ):
            if value not in allowed:
                raise TaskError(f"{name}={value!r}: expected one of {', '.join(map(repr, allowed))}")

    @property
    def task(self) -> Task:
        """The task, as its file says."""
        return self._task

    @property
    def variant(self) -> Variant:
        """ "full" or "mini"."""
        return self._settings.variant

    @property
    def episode(self) -> Episode:
        """The episode that goes on, or the last one; only after `reset`."""
        if self._held.episode is None:
            raise EpisodeStateError("the environment has no episode: call reset() first")
        return self._held.episode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin a new episode; `seed` is what the agent's sandbox gets as MLGYM_LITE_SEED, else one is drawn."""
        super().reset(seed=seed)
        self._held.end_episode()
        self._number += 1
        chosen = seed if seed is not None else int(self.np_random.integers(_LARGEST_SEED))
        output = self._held.folder() / f"episode-{self._number}" if self._runs is None else self._kept_folder(self._runs)
        settings = replace(self._settings, seed=chosen, output=output)
        episode = Episode(self._task, settings=settings, agent="gym")
        observation = episode.reset()
        self._held.episode = episode
        self._scale = Scale.of(episode)
        self._improvement = ImprovementReward(self._scale)
        self._shown = observation.text
        return self._shown, self._info(None)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Run one shell input: observation, reward, terminated, truncated, info.

        Raises:
            EpisodeStateError: The episode has ended; reset it.
            TypeError: The action is no text; the episode goes on.
        """
        if not isinstance(action, str):
            raise TypeError(f"an action is a str, not {type(action).__name__}")
        step = self.episode.step(action)
        self._shown = f"$ {action}\n{step.observation}"
        return step.observation, self._reward_of(step), step.terminated, step.truncated, self._info(step)

    def _reward_of(self, step: Step) -> float:
        if self._reward == "final":
            outcome = self.episode.outcome
            return 0.0 if outcome is None else final_reward(self._scale, outcome.result["score"])
        metric = self.episode.task.metric
        return self._improvement.gain(
            attempt.metrics[metric] for attempt in step.attempts if attempt.kind == "validate" and attempt.metrics
        )

    def _info(self, step: Step | None) -> dict[str, Any]:
        """Values of one kind each, or absent, and no tables: vector environments put all of them into arrays."""
        episode = self.episode
        seconds_left, outcome = episode.budget.seconds_left(), episode.outcome
        return {
            "steps_left": episode.budget.steps_left,
            "validations_left": episode.budget.validations_left,
            "run_directory": str(episode.run_directory),
            "working_directory": episode.observation.working_directory,
            **({} if seconds_left is None else {"seconds_left": seconds_left}),
            **({} if step is None or step.exit_status is None else {"exit_status": step.exit_status}),
            **({} if step is None else {"attempts": [_attempt(attempt.kind, attempt.metrics) for attempt in step.attempts]}),
            **({} if outcome is None else {"outcome": outcome}),
        }

    def render(self) -> str:
        """The last action with what it printed, or the instruction."""
        return self._shown

    def interrupt(self) -> None:
        """Kill what a step runs, from any thread, so that it returns; a grading goes on to its end."""
        if self._held.episode is not None:
            self._held.episode.interrupt()

    def close(self) -> None:
        """End the episode and remove what is not kept; twice is harmless."""
        self._held.close()

    def _kept_folder(self, runs: Path) -> Path:
        return new_run_path(runs, self._task.name, self._settings.variant, "gym")


class _Held:
    """What an environment must give back however it goes: closed, collected, or with its process; not by a forked copy."""

    def __init__(self, *, keeps_runs: bool) -> None:
        self._keeps_runs = keeps_runs
        self._process_id = os.getpid()
        self._folder: tuple[Path, int] | None = None
        self.episode: Episode | None = None

    def folder(self) -> Path:
        """For run directories that nobody keeps."""
        if self._folder is None:
            self._folder = make_temporary_folder("gym")
        return self._folder[0]

    def end_episode(self) -> None:
        """Close it, and remove its run directory where that is not kept."""
        episode, self.episode = self.episode, None
        if episode is not None:
            episode.close()
            if not self._keeps_runs:
                shutil.rmtree(episode.run_directory, ignore_errors=True)

    def close(self) -> None:
        """Give back everything; twice is harmless."""
        if self._process_id != os.getpid():
            return
        self.end_episode()
        held, self._folder = self._folder, None
        if held is not None:
            os.close(held[1])
            shutil.rmtree(held[0], ignore_errors=True)


def _attempt(kind: str, metrics: Any) -> dict[str, Any]:
    return {"kind": kind, "metrics": dict(metrics or {})}
