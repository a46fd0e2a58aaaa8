"""The episode engine: one agent's work on one task, from reset to a score.

An `Episode` owns a run directory, a user id, a shell in a sandbox and a grader, and gives them all back when it is closed.
An agent's step is: run the action, record, check the limits. `validate` and `submit` come as calls of this API or, from
inside the sandbox, over the control descriptor while an action runs. However an episode ends, it ends once, for one reason,
in `_end`, and result.json is written there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from mlgym_lite.agents.protocol import Observation
from mlgym_lite.config.places import places as find_places
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.actions import shell_input
from mlgym_lite.episode.agent_shell import AgentShell, ShellParts
from mlgym_lite.episode.budget import Budget
from mlgym_lite.episode.control_desk import ControlDesk
from mlgym_lite.episode.episode_files import EpisodeFiles
from mlgym_lite.episode.file_changes import FileChanges
from mlgym_lite.episode.gpus import EpisodeGpus
from mlgym_lite.episode.grading import Grader
from mlgym_lite.episode.known_baselines import known_baseline, measure_baseline
from mlgym_lite.episode.located import located_instruction
from mlgym_lite.episode.network import open_proxy
from mlgym_lite.episode.observation import (
    SUBMITTED_NOTE,
    new_shell_note,
    notes_on,
    resources_between,
    with_notes,
)
from mlgym_lite.episode.outcome import Attempt, Ending, Outcome, Reason, Snapshot, Step, ending_for
from mlgym_lite.episode.preparation import Preparation, prepare_episode
from mlgym_lite.episode.recorder import RunDirectory, check_room, new_run_path
from mlgym_lite.episode.records import result_record, resumption_record, run_record, step_record
from mlgym_lite.episode.resumption import Resumption, hides_changes, keep_shell, may_change_variables, read_resumption
from mlgym_lite.episode.scoring import Scoring
from mlgym_lite.errors import EpisodeStateError, MLGymLiteError, OutputError, SandboxError
from mlgym_lite.isolation.output import MOST_KEPT_BYTES, KeptBytes, OutputCapture
from mlgym_lite.isolation.protocol import Identity, Mount, Usage
from mlgym_lite.models.protocol import ModelUsage
from mlgym_lite.services.protocol import Service

logger = logging.getLogger(__name__)

OutputHandler = Callable[[bytes], None]
_VARIABLES_SECONDS = 2.0


class Episode:
    """One episode; use it as a context manager, which resets it at the start and closes it at the end.

    Errors: reset raises the error of whatever is missing (TaskError, DataError, IsolationError, EnvironmentBuildError,
    OutputError); step, validate and submit raise EpisodeStateError after the end, and GraderError, SandboxError or
    OutputError when the task, the sandbox or the disk fails; the episode has then ended and result.json is written.
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
        services: Sequence[Service] = (),
        resumption: Resumption | None = None,
        invocation: Mapping[str, Any] | None = None,
    ) -> None:
        """Nothing happens before `reset`.

        `environment` is the engine's environment (default: this process's), `on_output` gets each step's output as it comes,
        `interruptible` makes Ctrl-C interrupt the running command instead of the episode, `grading_seeds` are a replay's, `start`
        is where a fork begins, and `services` answer tools in the sandbox. `resumption` goes on with an interrupted episode in
        its own run directory; `invocation` (JSON) is kept in run.json for whoever does that.
        """
        self.settings = settings or RunSettings()
        self.task = task.in_parity() if self.settings.scoring == "parity" else task
        self.agent = agent
        self.model = model
        self.further_mounts = tuple(further_mounts)
        self.services = tuple(services)
        self._environment = dict(os.environ if environment is None else environment)
        self.places = find_places(self._environment, data=self.settings.data)
        self._on_progress = on_progress
        self._on_output = on_output
        self._interruptible = interruptible
        self._grading_seeds = tuple(grading_seeds)
        self._resumption = resumption
        self.invocation = invocation
        self._start = resumption.start(self.task, self.settings) if resumption else start
        self._stack = contextlib.ExitStack()
        self._agent_shell: AgentShell | None = None
        self._outcome: Outcome | None = None
        self._is_open = False

    @classmethod
    def fork(cls, snapshot: Snapshot, **options: Any) -> Episode:
        """A new episode that goes on from a snapshot, with what is left of its budgets; options as for Episode."""
        return cls(snapshot.task, start=snapshot, **{"settings": snapshot.settings, **options})

    @classmethod
    def resume(cls, run_directory: Path, task: Task, **options: Any) -> Episode:
        """An episode that goes on in the run directory of one whose engine was killed; options as for Episode.

        Raises:
            ActionsError: It is no run directory.
            EpisodeStateError: That episode has ended, or still goes on.
        """
        return cls(task, resumption=read_resumption(run_directory), **options)

    def __enter__(self) -> Episode:
        self.reset()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._is_open and self._outcome is None and error is not None:
            with contextlib.suppress(MLGymLiteError):  # the error on its way out is the one to tell
                self._end(ending_for(error))
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
    def root(self) -> str:
        """The folder below which the sandbox's places lie (MLGYM_LITE_ROOT inside); empty where they are at the top."""
        return self._agent_shell.root if self._agent_shell else ""

    @property
    def instruction(self) -> str:
        """What the agent is told, with paths as its sandbox shows them; only after `reset`."""
        return located_instruction(self.task.instruction, self.root)

    @property
    def observation(self) -> Observation:
        """What the agent is shown now: the instruction or the last action's observation, and what is left; after `reset`."""
        assert self._agent_shell is not None
        return Observation(
            text=self._last_step.observation if self._last_step else self.instruction,
            exit_status=self._last_step.exit_status if self._last_step else None,
            pictures=self._last_step.pictures if self._last_step else (),
            working_directory=self._agent_shell.working_directory,
            steps=self._budget.steps_used,
            steps_left=self._budget.steps_left,
            seconds_left=self._budget.seconds_left(),
            validations_left=self._budget.validations_left,
            best=self.best,
        )

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every scoring so far, in order."""
        return tuple(self._scoring.attempts)

    @property
    def best(self) -> float | None:
        """The best value so far of the metric that ranks."""
        return self._scoring.best

    @property
    def budget(self) -> Budget:
        """What is used and left of steps, time and validations."""
        return self._budget

    def reset(self) -> Observation:
        """Start the episode afresh: a new run directory, workspace, virtual environment and sandbox."""
        self.close()
        started = time.monotonic()
        self._stack = contextlib.ExitStack()
        self._preparation: Preparation = prepare_episode(
            self.task, self.settings, self.places, self._environment,
            further_mounts=self.further_mounts, on_progress=self._on_progress,
        )  # fmt: skip
        self.baseline = self._find_baseline()
        try:
            self._make_run(started)
        except BaseException:
            self._stack.close()
            raise
        with self._ends_on_failure():
            sandboxes = self._preparation.sandboxes
            if self._resumption is not None:
                self._files.adopt()
            else:
                self._files.make(self.task, sandboxes.base, self._start)
            self._changes = FileChanges(self._files.workspace)
            self._agent_shell = AgentShell(
                ShellParts(
                    sandboxes=sandboxes, files=self._files, identity=self._identity, gpus=self._gpus, start=self._start,
                    outputs=self._run.path / "outputs",
                    proxy_folder=open_proxy(self._stack, sandboxes.network, self._run.path, self._identity.user_id),
                )
            )  # fmt: skip
            self._stack.callback(self._agent_shell.close)
            self._agent_shell.open()
            self._variables, self._asks_always = "", self._resumption is not None
            self._keep_shell(self._agent_shell)
            self._budget.is_ready()
            self._finish_if_cut_short()
        return self.observation

    def _finish_if_cut_short(self) -> None:
        """Score what an earlier engine was killed before it had scored: the agent has no further say."""
        if self._resumption is None or not self._resumption.steps:
            return
        reason = "submitted" if self._resumption.steps[-1].get("submitted") else self._budget.exhausted()
        if reason is not None:
            self._finish(Ending(reason=reason, autosubmitted=reason != "submitted"))

    def _find_baseline(self) -> Mapping[str, float] | None:
        variant = self.settings.variant
        known = known_baseline(self.task, variant, self.places)
        if known is not None or self.agent == "baseline":
            return known
        return measure_baseline(self.task, self.settings, self.places, self._environment, Episode, self._on_progress)

    def _make_run(self, started: float) -> None:
        """Everything that belongs to this run, before its first process."""
        before = self._resumption
        self._budget = Budget(
            self.task, self.settings, started_at=started, forked_from=self._start,
            usage=before.usage if before else None, seconds_before=before.seconds if before else 0.0,
        )  # fmt: skip
        self._step_number = self._budget.steps_used
        self._has_failed = False
        self._last_step: Step | None = before.last_step if before else None
        self._stop_details: Mapping[str, Any] | None = None
        self._restored: int | None = None
        self._agent_shell = None
        self._lease_gpus()
        sandboxes = self._preparation.sandboxes
        parts = (self.task.name, self.settings.variant, self.agent)
        path = before.path if before else self.settings.output or new_run_path(Path.cwd() / "runs", *parts)
        check_room(path)
        for service in self.services:
            service.open(path.absolute())
            self._stack.callback(service.close)
        self._run = RunDirectory(path, finished_steps=len(before.steps) if before else None)
        self._stack.callback(self._run.close)
        self._identity: Identity = sandboxes.mechanism.identity()
        self._stack.callback(self._identity.close)
        self._files = EpisodeFiles(self._run.path, self._identity.user_id)
        gradings = before.gradings if before else 0
        grader = Grader(sandboxes, self._run.path / "grading", self._files.grading_layers, before=gradings)
        attempts = before.attempts if before else ()
        self._scoring = Scoring(self.task, self._run.path, self._budget, grader, self._grading_seeds, attempts)
        self._kept_outputs = KeptBytes(self._preparation.profile.output_mb << 20)
        self._desk = ControlDesk(
            self._scoring, self._budget, self.baseline, self.services, self._run.path / "outputs", self._kept_outputs
        )
        if before is not None:
            self._run.note_resumption(resumption_record(self._budget.steps_used))
        else:
            self._run.write_run(run_record(self, self._preparation, self._start))
        self._outcome = None
        self._is_open = True

    def _lease_gpus(self) -> None:
        preparation = self._preparation
        self._gpus = EpisodeGpus(preparation.gpus, preparation.profile.gpu_memory_mb, self._environment)
        self._stack.callback(self._gpus.close)
        self._preparation = replace(preparation, sandboxes=replace(preparation.sandboxes, gpus=self._gpus.access))

    def _close_shell(self) -> None:
        if self._agent_shell is not None:
            self._agent_shell.close()

    def step(
        self,
        action: str,
        *,
        thought: str | None = None,
        usage: ModelUsage | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Step:
        """Run one action (one shell input), record it and check the limits.

        `thought`, `usage` (what deciding took of a language model) and `details` (JSON) are kept with it.
        """
        agent_shell = self._check_open()
        self._budget.usage += usage or ModelUsage()
        with self._budget.in_engine(), self._ends_on_failure():
            self._step_number += 1
            self._said = (thought, usage, details)
            shown = shell_input(action)
            if shown.problem is not None:
                step = self._made_step(action, f"{shown.problem}\n", 1, 0.0, {})
            else:
                step = self._run_step(agent_shell, action, shown.text)
            self._run.append_step(step_record(step, self._budget.total_seconds, *self._said, restored=self._restored))
            self._restored = None
            self._last_step = step
            return self._after_step(step)

    def _keep_shell(self, agent_shell: AgentShell) -> None:
        """Keep what the shell exports where it has changed, so that a killed episode can go on; before the step is recorded."""
        assert agent_shell.current is not None
        try:
            variables = agent_shell.current.exported_variables(seconds=_VARIABLES_SECONDS)
        except (SandboxError, BrokenPipeError):  # an agent can break its shell; the next action shows it
            return
        if variables != self._variables:
            keep_shell(self._run.path, variables, agent_shell.root, agent_shell.working_directory)
            self._variables = variables

    def _run_step(self, agent_shell: AgentShell, action: str, text: str) -> Step:
        shell = agent_shell.current
        assert shell is not None
        before = shell.usage()
        profile, file = self._preparation.profile, self._run.path / "outputs" / f"{self._step_number:04d}.txt"
        capture = OutputCapture(file, profile.shown_output_bytes, min(MOST_KEPT_BYTES, self._kept_outputs.left))
        try:
            result = shell.run(
                text, timeout_seconds=self._budget.command_seconds(), capture=capture,
                on_control=lambda request: self._desk.serve(request, self._step_number), on_output=self._on_output,
                interruptible=self._interruptible,
            )  # fmt: skip
        except MLGymLiteError as error:  # a grading within the action failed: the action is recorded all the same
            step = self._made_step(action, f"{capture.finish().text}[{error}]\n", None, 0.0, {})
            self._run.append_step(step_record(step, self._budget.total_seconds, *self._said))
            raise
        after = shell.usage()
        self._kept_outputs.add(result.output.kept_bytes)
        agent_shell.is_at(result.working_directory)
        seconds = max(0.0, result.seconds - self._budget.take_grading_seconds())
        self._budget.command_time += seconds
        notes = notes_on(result, before, after, self._preparation.sandboxes.limits)
        if self._desk.submit_requested:
            notes += SUBMITTED_NOTE
        if result.shell_ended and not self._desk.submit_requested:
            notes += new_shell_note(result)
            agent_shell.open_anew()
        self._asks_always = self._asks_always or hides_changes(text)
        if not self._desk.submit_requested and (self._asks_always or may_change_variables(text)):
            self._keep_shell(agent_shell)
        observation = with_notes(result.output.text, notes)
        step = self._made_step(action, observation, result.exit_status, seconds, resources_between(before, after))
        return replace(
            step, notes=notes, pictures=self._desk.take_pictures(), changes=self._changes.take(),
            terminated=self._desk.submit_requested,
        )  # fmt: skip

    def _made_step(
        self, action: str, observation: str, status: int | None, seconds: float, resources: Mapping[str, float | int | None]
    ) -> Step:
        assert self._agent_shell is not None
        return Step(
            number=self._step_number, action=action, observation=observation, exit_status=status,
            working_directory=self._agent_shell.working_directory, seconds=seconds, attempts=self._attempts_of_step(),
            resources=resources,
        )  # fmt: skip

    def _attempts_of_step(self) -> tuple[Attempt, ...]:
        attempts: list[Attempt] = []
        for attempt in reversed(self._scoring.attempts):
            if attempt.step != self._step_number:
                break
            attempts.insert(0, attempt)
        return tuple(attempts)

    def _after_step(self, step: Step) -> Step:
        """End the episode where the step submitted or used up a limit."""
        self._budget.steps_used += 1
        reason = "submitted" if step.terminated else self._budget.exhausted()
        if reason is None:
            return step
        self._finish(Ending(reason=reason, autosubmitted=not step.terminated))
        return replace(step, attempts=self._attempts_of_step(), truncated=not step.terminated)

    def validate(self) -> Attempt:
        """Score the workspace as it is on the development split; uses one validation."""
        self._check_open()
        if self._budget.validations_left <= 0:
            raise EpisodeStateError(f"no validations are left ({self._budget.validations} were allowed)")
        with self._budget.in_engine(), self._ends_on_failure():
            attempt = self._scoring.score("validate", self._step_number)
            self._budget.take_grading_seconds()
            return attempt

    def submit(self) -> Outcome:
        """Score the workspace on the hidden split and end the episode; the agent's processes are ended first."""
        self._check_open()
        with self._budget.in_engine(), self._ends_on_failure():
            return self._finish(Ending(reason="submitted"))

    def give_up(self, detail: str = "") -> Outcome:
        """End without a submission: the agent has nothing more to do."""
        self._check_open()
        return self._end(Ending(reason="gave_up", detail=detail))

    def end(
        self,
        reason: Reason,
        detail: str = "",
        *,
        autosubmit: bool = False,
        usage: ModelUsage | None = None,
        details: Mapping[str, Any] | None = None,
        can_pass: bool = False,
    ) -> Outcome:
        """End for a reason that lies outside the engine, such as an agent's error or a cost limit.

        `autosubmit` scores what lies in the workspace. `usage` and `details` are what deciding so took, kept in result.json.
        """
        self._check_open()
        self._budget.usage += usage or ModelUsage()
        self._stop_details = details
        ending = Ending(reason=reason, detail=detail, autosubmitted=autosubmit, can_pass=can_pass)
        if not autosubmit:
            return self._end(ending)
        with self._budget.in_engine(), self._ends_on_failure():
            return self._finish(ending)

    def snapshot(self) -> Snapshot:
        """Keep the workspace, the virtual environment's layer, the working directory and the exported variables.

        Only what has changed since the episode's last snapshot is copied. What is kept lies in the run directory, and goes when
        nothing refers to the snapshot any more. The episode goes on, also where copying fails (OutputError). After its end, and
        before it is closed, it is what the agent left; the shell's variables are then those that were last looked at.

        Raises:
            EpisodeStateError: The episode was not begun, has failed, or is closed.
        """
        if self._outcome is not None and self._is_open and not self._has_failed and self._agent_shell is not None:
            agent_shell, variables = self._agent_shell, self._variables
        else:
            agent_shell, variables = self._check_open(), None
        with self._budget.in_engine(), self._told_as_output_error():
            return Snapshot(
                task=self.task,
                settings=replace(self.settings, output=None),
                trees=self._files.keep(),
                working_directory=agent_shell.working_directory,
                variables=variables if variables is not None else agent_shell.exported_variables(),
                root=agent_shell.root,
                step=self._step_number,
                validations_used=self._budget.validations_used,
                last_step=self._last_step,
                run_directory=self._run.path,
            )

    def restore(self, snapshot: Snapshot) -> Observation:
        """Go back to a snapshot, of this episode or another of the task; only files that differ are written.

        Every process of the agent's ends, and a new shell begins in the snapshot's directory with its variables. What was used of
        steps, time and validations stays used, and the record goes on; its next step says to which step's state it went back.

        Raises:
            EpisodeStateError: The snapshot is of another task.
        """
        agent_shell = self._check_open()
        if snapshot.task.digest != self.task.digest:
            raise EpisodeStateError(
                f"the snapshot is of {snapshot.task.name}, the episode of {self.task.name} or other files of it"
            )
        with self._budget.in_engine(), self._ends_on_failure():
            agent_shell.close()
            self._files.put_back(snapshot.trees)
            agent_shell.open_at(snapshot)
            self._changes.take()
            self._last_step, self._restored = snapshot.last_step, snapshot.step
            self._keep_shell(agent_shell)
        return self.observation

    def interrupt(self) -> None:
        """Kill what the agent's shell runs, from any thread: a step that goes on in another one returns; a grading goes on."""
        shell = None if self._agent_shell is None else self._agent_shell.current
        if shell is not None:
            shell.interrupt()

    def close(self) -> None:
        """End an unfinished episode as given up and give everything back; twice is harmless."""
        try:
            if self._is_open and self._outcome is None:
                self._end(Ending(reason="gave_up", detail="closed without a submission"))
        finally:
            self._is_open = False
            self._stack.close()

    def _check_open(self) -> AgentShell:
        if self._outcome is not None:
            raise EpisodeStateError(f"the episode has ended ({self._outcome.ending.reason}); reset it or make a new one")
        if not self._is_open or self._agent_shell is None or self._agent_shell.current is None:
            raise EpisodeStateError("the episode has not started: call reset() or use it in a with statement")
        return self._agent_shell

    @contextlib.contextmanager
    def _ends_on_failure(self) -> Iterator[None]:
        """Whatever fails within ends the episode for the reason that fits, and goes on its way."""
        try:
            with self._told_as_output_error():
                yield
        except BaseException as error:
            self._fail(error)
            raise

    @contextlib.contextmanager
    def _told_as_output_error(self) -> Iterator[None]:
        """An error of the file system comes out with its place and in our words."""
        try:
            yield
        except OSError as error:
            place = error.filename or self._run.path
            raise OutputError(
                f"{place}: {error.strerror or error}. What was recorded before is kept in {self._run.path}"
            ) from error

    def _fail(self, error: BaseException) -> None:
        if self._outcome is None:
            with contextlib.suppress(OutputError):  # the disk may be what failed
                self._end(ending_for(error))
        self._has_failed = True
        self._stack.close()

    def _finish(self, ending: Ending) -> Outcome:
        """End with a submission: the agent's processes first, then what they left is scored."""
        self._close_shell()
        self._files.let_in()
        attempt = self._scoring.score("submit", self._step_number)
        if attempt.metrics is None:
            ending = replace(ending, detail=f"the submission was rejected: {attempt.message}")
        return self._end(ending)

    def _end(self, ending: Ending) -> Outcome:
        """Record the ending; the one place where an episode ends."""
        self._close_shell()
        usage = self._agent_shell.usage if self._agent_shell else Usage()
        record = result_record(self, self._preparation, ending, usage, self._stop_details)
        self._outcome = Outcome(result=record, ending=ending, run_directory=self._run.path)
        self._run.write_result(record)
        logger.info("episode ended: %s", ending.reason)
        return self._outcome
