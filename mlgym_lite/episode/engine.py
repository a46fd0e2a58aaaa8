"""The episode engine: one agent's work on one task, from reset to a score.

An `Episode` owns a run directory, a user id, a shell in a sandbox and a grader, and gives them all back when it is closed.
An agent's step is: run the action, record, check the limits. `validate` and `submit` come as calls of this API or, from
inside the sandbox, over the control descriptor while an action runs. However an episode ends, it ends once, for one reason,
and result.json is written then.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mlgym_lite.config.places import places as find_places
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.task_file import WORKSPACE, Task
from mlgym_lite.episode.actions import shell_input
from mlgym_lite.episode.budget import Budget
from mlgym_lite.episode.grading import Grader, Verdict
from mlgym_lite.episode.known_baselines import known_baseline, measure_baseline
from mlgym_lite.episode.observation import observation_text
from mlgym_lite.episode.outcome import (
    Attempt,
    AttemptKind,
    Ending,
    Observation,
    Outcome,
    Reason,
    Snapshot,
    Step,
)
from mlgym_lite.episode.preparation import Preparation, prepare_episode
from mlgym_lite.episode.recorder import RunDirectory, new_run_path
from mlgym_lite.episode.records import result_record, run_record, step_record
from mlgym_lite.episode.workspace import ArtifactLimits, ArtifactRefused, collect_artifacts, copy_tree
from mlgym_lite.errors import EpisodeStateError, GraderError, MLGymLiteError, SandboxError
from mlgym_lite.isolation.output import OutputCapture
from mlgym_lite.isolation.protocol import Identity, Mount, Usage
from mlgym_lite.isolation.shell import Shell, ShellResult
from mlgym_lite.isolation.virtual_environments import make_layer

logger = logging.getLogger(__name__)

OutputHandler = Callable[[bytes], None]


class Episode:
    """One episode; use it as a context manager, which resets it at the start and closes it at the end.

    Errors: reset raises the error of whatever is missing (TaskError, DataError, IsolationError, EnvironmentBuildError,
    OutputError); step, validate and submit raise EpisodeStateError after the end, and GraderError or SandboxError when the
    task or the sandbox fails, in which case the episode has ended for that reason and result.json is written.
    """

    def __init__(
        self,
        task: Task,
        *,
        settings: RunSettings | None = None,
        agent: str = "api",
        model: str | None = None,
        further_mounts: Sequence[Mount] = (),
        environment: Mapping[str, str] | None = None,
        on_progress: Callable[[str], None] | None = None,
        on_output: OutputHandler | None = None,
        interruptible: bool = False,
        grading_seeds: Sequence[int] = (),
        start: Snapshot | None = None,
    ) -> None:
        """Nothing happens before `reset`.

        `environment` is the engine's environment (default: this process's), `on_output` gets each step's output as it comes,
        `interruptible` makes Ctrl-C interrupt the running command instead of the episode, `grading_seeds` are a replay's, and
        `start` is where a fork begins.
        """
        self.task = task
        self.settings = settings or RunSettings()
        self.agent = agent
        self.model = model
        self._environment = dict(os.environ if environment is None else environment)
        self.places = find_places(self._environment, data=self.settings.data)
        self.further_mounts = tuple(further_mounts)
        self._on_progress = on_progress
        self._on_output = on_output
        self._interruptible = interruptible
        self._grading_seeds = list(grading_seeds)
        self._start = start
        self._stack = contextlib.ExitStack()
        self._shell: Shell | None = None
        self._outcome: Outcome | None = None
        self._is_open = False

    @classmethod
    def fork(cls, snapshot: Snapshot, task: Task, **options: Any) -> Episode:
        """A new episode that goes on from a snapshot, with what is left of its budgets; options as for Episode."""
        return cls(task, start=snapshot, **options)

    def __enter__(self) -> Episode:
        self.reset()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._is_open and self._outcome is None and error is not None:
            interrupted = isinstance(error, KeyboardInterrupt)
            reason: Reason = "interrupted" if interrupted else "agent_error"
            detail = "" if interrupted else f"{type(error).__name__}: {error}"
            with contextlib.suppress(MLGymLiteError):  # the error on its way out is the one to tell
                self._end(Ending(reason=reason, detail=detail))
        self.close()

    @property
    def outcome(self) -> Outcome | None:
        """How the episode ended; None while it goes on."""
        return self._outcome

    @property
    def run_directory(self) -> Path:
        """The run's directory; only after `reset`."""
        return self._run.path

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every scoring so far, in order."""
        return tuple(self._attempts)

    @property
    def best(self) -> float | None:
        """The best value so far of the metric that ranks."""
        values = [attempt.metrics[self.task.metric] for attempt in self._attempts if attempt.metrics]
        return None if not values else (max(values) if self.task.maximize else min(values))

    @property
    def budget(self) -> Budget:
        """What is used and left of steps, time and validations."""
        return self._budget

    def reset(self) -> Observation:
        """Start the episode afresh: a new run directory, workspace, virtual environment and sandbox."""
        self.close()
        started = time.monotonic()
        self._outcome = None
        self._stack = contextlib.ExitStack()
        try:
            self._preparation: Preparation = prepare_episode(
                self.task, self.settings, self.places, self._environment,
                further_mounts=self.further_mounts, on_progress=self._on_progress,
            )  # fmt: skip
            self.baseline = self._find_baseline()
            self._attempts: list[Attempt] = []
            self._step_number = self._start.step if self._start else 0
            self._working_directory = self._start.working_directory if self._start else WORKSPACE
            self._submit_requested = False
            self._usage = Usage()
            self._make_run_directory()
            self._make_files()
            self._open_shell()
        except BaseException:
            self._stack.close()
            raise
        self._budget = Budget(self.task, self.settings, started_at=started, forked_from=self._start)
        self._is_open = True
        return Observation(text=self.task.instruction, working_directory=self._working_directory)

    def _find_baseline(self) -> Mapping[str, float] | None:
        variant = self._preparation.variant
        known = known_baseline(self.task, variant, self.places)
        if known is not None or self.agent == "baseline":
            return known
        if self._on_progress:
            self._on_progress(f"measuring the baseline of {self.task.name} ({variant}), once for this host")
        return measure_baseline(self.task, self.settings, variant, self.places, Episode)

    def _make_run_directory(self) -> None:
        variant = self._preparation.variant
        path = self.settings.output or new_run_path(Path.cwd() / "runs", self.task.name, variant, self.agent)
        self._run = RunDirectory(path)
        self._stack.callback(self._run.close)
        self._run.write_run(run_record(self, self._preparation, self._start))

    def _make_files(self) -> None:
        """Fill the workspace and the virtual environment, as the user the sandbox will be."""
        sandboxes = self._preparation.sandboxes
        self._identity: Identity = sandboxes.mechanism.identity()
        self._stack.callback(self._identity.close)
        owner = self._identity.user_id if os.geteuid() == 0 else None
        self._workspace, self._venv = self._run.path / "workspace", self._run.path / ".state" / "venv"
        self._venv.mkdir()
        if self._start is None:
            starter = self.task.folder / "environment"
            if starter.is_dir():
                copy_tree(starter, self._workspace, owner=owner)
            make_layer(self._venv, sandboxes.base)
        else:
            copy_tree(self._start.folder / "workspace", self._workspace, owner=owner)
            copy_tree(self._start.folder / "venv", self._venv, owner=owner)
        if owner is not None:
            for folder in (self._workspace, self._venv):
                _give_tree(folder, owner)
        layers = self._run.path / ".state" / "grading"
        layers.mkdir()
        self._grader = Grader(sandboxes, self._run.path / "grading", layers)

    def _open_shell(self, variables: str = "") -> None:
        sandboxes = self._preparation.sandboxes
        request = sandboxes.agent_request(self._workspace, self._venv)
        set_up = self._start.variables if self._start and not variables else variables
        if self._working_directory != WORKSPACE:
            set_up += f"\ncd -- {_quoted(self._working_directory)} || cd {WORKSPACE}\n"
        self._shell = Shell(sandboxes.mechanism, request, self._identity, set_up)
        self._stack.callback(self._close_shell)

    def _close_shell(self) -> None:
        if self._shell is not None:
            shell, self._shell = self._shell, None
            try:
                shell.close()
            finally:
                self._usage = _added(self._usage, shell.usage())

    def step(self, action: str, *, thought: str | None = None) -> Step:
        """Run one action (one shell input), record it and check the limits."""
        shell = self._check_open()
        with self._budget.in_engine():
            return self._step(shell, action, thought)

    def _step(self, shell: Shell, action: str, thought: str | None) -> Step:
        self._step_number += 1
        self._step_attempts: list[Attempt] = []
        shown = shell_input(action)
        try:
            if shown.problem is not None:
                step = self._step_without_running(action, shown.problem)
            else:
                step = self._run_step(shell, action, shown.text)
        except GraderError as error:
            self._end(Ending(reason="grader_error", detail=str(error)))
            raise
        except SandboxError as error:
            self._end(Ending(reason="sandbox_error", detail=str(error)))
            raise
        self._run.append_step(step_record(step, thought))
        return self._after_step(step)

    def _run_step(self, shell: Shell, action: str, text: str) -> Step:
        before = shell.usage()
        shown_bytes = self._preparation.profile.shown_output_bytes
        capture = OutputCapture(self._run.path / "outputs" / f"{self._step_number:04d}.txt", shown_bytes)
        result = shell.run(
            text, timeout_seconds=self._budget.command_seconds(), capture=capture, on_control=self._on_control,
            on_output=self._on_output, interruptible=self._interruptible,
        )  # fmt: skip
        after = shell.usage()
        if result.working_directory is not None:
            self._working_directory = result.working_directory
        grading_seconds = self._budget.take_grading_seconds()
        seconds = max(0.0, result.seconds - grading_seconds)
        self._budget.command_time += seconds
        observation = observation_text(result, before, after, self._preparation.sandboxes.limits)
        if result.shell_ended and not self._submit_requested:
            observation += self._new_shell(result)
        return self._made_step(action, observation, result.exit_status, seconds, _resources(before, after))

    def _new_shell(self, result: ShellResult) -> str:
        """Replace a shell that ended with the action; what the agent is told of it."""
        self._close_shell()
        self._working_directory = WORKSPACE
        self._open_shell()
        why = "did not answer and was ended" if result.timed_out else "ended with this command"
        return (
            f"[The shell {why}; a new one is running in {WORKSPACE}. The files in {WORKSPACE} and /venv are kept; variables, "
            "background jobs, /tmp and the home folder are gone.]\n"
        )

    def _step_without_running(self, action: str, problem: str) -> Step:
        return self._made_step(action, problem + "\n", 1, 0.0, {})

    def _made_step(
        self,
        action: str,
        observation: str,
        status: int | None,
        seconds: float,
        resources: Mapping[str, float | int | None],
    ) -> Step:
        return Step(
            number=self._step_number, action=action, observation=observation, exit_status=status,
            working_directory=self._working_directory, seconds=seconds, attempts=tuple(self._step_attempts),
            terminated=self._submit_requested, truncated=False, resources=resources,
        )  # fmt: skip

    def _after_step(self, step: Step) -> Step:
        """End the episode where the step submitted or used up a limit."""
        self._budget.steps_used += 1
        if self._submit_requested:
            self.submit()
            return _with_attempts(step, self._attempts, terminated=True)
        reason = self._budget.exhausted()
        if reason is not None:
            self._finish(Ending(reason=reason, autosubmitted=True))
            return _with_attempts(step, self._attempts, truncated=True)
        return step

    def _on_control(self, request: bytes, reply: socket.socket | None) -> bool:
        """Serve one request from inside; true when the running action must end for it."""
        try:
            wanted = json.loads(request).get("request")
        except (ValueError, AttributeError):
            wanted = None
        if wanted == "submit":
            self._submit_requested = True
            return True
        if wanted == "validate":
            _answer(reply, **self._validation_answer())
        else:
            _answer(reply, ok=False, text="Unknown request; known here: validate, submit.")
        return False

    def _validation_answer(self) -> dict[str, Any]:
        if self._budget.validations_left <= 0:
            return {"ok": False, "text": f"No validations are left ({self._budget.validations} were allowed)."}
        attempt = self._score("validate")
        number = f"Validation {self._budget.validations_used} of {self._budget.validations}"
        if attempt.metrics is None:
            return {"ok": False, "text": f"{number}: the submission is not valid: {attempt.message}"}
        feedback = self.task.file.metadata.mlgym_lite.feedback
        text = f"{number} ({feedback} split): {_named_values(attempt.metrics)}"
        if self.baseline:
            text += f"\nBaseline: {_named_values(self.baseline)}"
        return {"ok": True, "text": text}

    def validate(self) -> Attempt:
        """Score the workspace as it is on the development split; uses one validation."""
        self._check_open()
        if self._budget.validations_left <= 0:
            raise EpisodeStateError(f"no validations are left ({self._budget.validations} were allowed)")
        self._step_attempts = []
        try:
            with self._budget.in_engine():
                return self._score("validate")
        except GraderError as error:
            self._end(Ending(reason="grader_error", detail=str(error)))
            raise
        finally:
            self._budget.take_grading_seconds()

    def submit(self) -> Outcome:
        """Score the workspace on the hidden split and end the episode; the agent's processes are ended first."""
        self._check_open()
        return self._finish(Ending(reason="submitted"))

    def _finish(self, ending: Ending) -> Outcome:
        """End with a scored submission."""
        with self._budget.in_engine():
            return self._submitted(ending)

    def _submitted(self, ending: Ending) -> Outcome:
        self._close_shell()
        try:
            attempt = self._score("submit")
        except GraderError as error:
            self._end(Ending(reason="grader_error", detail=str(error)))
            raise
        except SandboxError as error:
            self._end(Ending(reason="sandbox_error", detail=str(error)))
            raise
        if attempt.metrics is None:
            detail = f"the submission was rejected: {attempt.message}"
            ending = Ending(reason=ending.reason, detail=detail, autosubmitted=ending.autosubmitted)
        return self._end(ending)

    def _score(self, kind: AttemptKind) -> Attempt:
        """Collect the artifacts and grade them; a refused artifact is a rejected submission."""
        started = time.monotonic()
        if kind == "validate":
            self._budget.validations_used += 1
        split = "test" if kind == "submit" or self.task.file.metadata.mlgym_lite.feedback == "test" else "dev"
        target = self._run.path / "submission"
        if kind == "validate":
            target = self._run.path / ".state" / f"validation-{self._budget.validations_used}"
            target.mkdir()
        try:
            limit = self.task.file.environment.storage_mb
            limits = ArtifactLimits(total_bytes=limit << 20) if limit else ArtifactLimits()
            collect_artifacts(self._workspace, self.task.artifacts, target, limits)
            seed = self._grading_seeds.pop(0) if self._grading_seeds else None
            verdict = self._grader.grade(target, split=split, kind=kind, seed=seed)
        except ArtifactRefused as error:
            verdict = Verdict(metrics=None, message=str(error), seed=0, seconds=0.0)
        finally:
            if kind == "validate":
                _remove_tree(target)
            self._budget.add_grading_seconds(time.monotonic() - started)
        attempt = Attempt(step=self._step_number, kind=kind, metrics=verdict.metrics, message=verdict.message)
        self._attempts.append(attempt)
        if kind == "validate":
            self._step_attempts.append(attempt)
        return attempt

    def give_up(self, detail: str = "") -> Outcome:
        """End without a submission: the agent has nothing more to do."""
        self._check_open()
        return self._end(Ending(reason="gave_up", detail=detail))

    def end(self, reason: Reason, detail: str = "", *, autosubmit: bool = False) -> Outcome:
        """End for a reason that lies outside the engine, such as an agent's error or a cost limit."""
        self._check_open()
        ending = Ending(reason=reason, detail=detail, autosubmitted=autosubmit)
        return self._finish(ending) if autosubmit else self._end(ending)

    def snapshot(self) -> Snapshot:
        """Copy the workspace, the virtual environment's layer, the working directory and the exported variables."""
        shell = self._check_open()
        folder = self._run.path / ".state" / f"snapshot-{self._step_number}-{time.monotonic_ns()}"
        for name, source in (("workspace", self._workspace), ("venv", self._venv)):
            (folder / name).mkdir(parents=True)
            copy_tree(source, folder / name)
        return Snapshot(
            folder=folder, working_directory=self._working_directory, variables=shell.exported_variables(),
            step=self._step_number, validations_used=self._budget.validations_used, run_directory=self._run.path,
        )  # fmt: skip

    def close(self) -> None:
        """End an unfinished episode as given up and give everything back; twice is harmless."""
        try:
            if self._is_open and self._outcome is None:
                self._end(Ending(reason="gave_up", detail="closed without a submission"))
        finally:
            self._is_open = False
            self._stack.close()

    def _check_open(self) -> Shell:
        if self._outcome is not None:
            raise EpisodeStateError(f"the episode has ended ({self._outcome.ending.reason}); reset it or make a new one")
        if not self._is_open or self._shell is None:
            raise EpisodeStateError("the episode has not started: call reset() or use it in a with statement")
        return self._shell

    def _end(self, ending: Ending) -> Outcome:
        """Record the ending; the one place where an episode ends."""
        with contextlib.suppress(SandboxError):
            self._close_shell()
        record = result_record(self, self._preparation, ending, self._usage)
        self._outcome = Outcome(result=record, ending=ending, run_directory=self._run.path)
        self._run.write_result(record)
        logger.info("episode ended: %s", ending.reason)
        return self._outcome


def _answer(reply: socket.socket | None, **content: Any) -> None:
    if reply is not None:
        with contextlib.suppress(OSError):  # the tool that asked may be gone
            reply.send(json.dumps(content).encode("utf-8"), socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)


def _named_values(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:.6g}" for name, value in metrics.items())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _with_attempts(step: Step, attempts: Sequence[Attempt], *, terminated: bool = False, truncated: bool = False) -> Step:
    from dataclasses import replace

    own = tuple(attempt for attempt in attempts if attempt.step == step.number)
    return replace(step, attempts=own, terminated=terminated, truncated=truncated)


def _added(first: Usage, second: Usage) -> Usage:
    """What two sandboxes, one after the other, used together."""
    peaks = [usage.peak_memory_bytes for usage in (first, second) if usage.peak_memory_bytes is not None]
    seconds = [usage.cpu_seconds for usage in (first, second) if usage.cpu_seconds is not None]
    return Usage(
        peak_memory_bytes=max(peaks, default=None),
        cpu_seconds=sum(seconds) if seconds else None,
        memory_kills=first.memory_kills + second.memory_kills,
    )


def _resources(before: Usage, after: Usage) -> dict[str, float | int | None]:
    used = None if after.cpu_seconds is None else after.cpu_seconds - (before.cpu_seconds or 0.0)
    return {"peak_memory_bytes": after.peak_memory_bytes, "cpu_seconds": used}


def _give_tree(folder: Path, owner: int) -> None:
    os.chown(folder, owner, owner)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent, name), owner, owner, follow_symlinks=False)


def _remove_tree(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
