"""The loop: ask the agent, run the action, until the episode ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlgym_lite.agents.protocol import Action, Agent, Stop
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.engine import Episode
from mlgym_lite.episode.known_baselines import keep_baseline
from mlgym_lite.episode.outcome import Outcome, Snapshot, Step, can_pass
from mlgym_lite.episode.resumption import Resumption
from mlgym_lite.errors import AgentError, TaskError
from mlgym_lite.isolation.protocol import Mount
from mlgym_lite.isolation.toolkit import readable_folder
from mlgym_lite.models.protocol import ModelError
from mlgym_lite.services.protocol import Service


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Who is told of what while an episode runs."""

    on_progress: Callable[[str], None] | None = None
    """Gets a line for work before the first step."""
    on_start: Callable[[Episode], None] | None = None
    """Gets the episode once it is reset."""
    on_action: Callable[[Episode, str], None] | None = None
    """Gets each action before it runs."""
    on_output: Callable[[bytes], None] | None = None
    """Gets output as it comes, for agents that watch."""
    on_step: Callable[[Episode, Step], None] | None = None
    """Gets each step after it is recorded."""
    on_end: Callable[[Episode], None] | None = None
    """Gets the episode when it has ended, before it is closed."""


def mounts_for(agent: Agent, task: Task, cache: Path) -> tuple[Mount, ...]:
    """The folders of the task that an agent's sandbox shows; raises TaskError where one is missing."""
    mounts = []
    for name in agent.task_folders:
        folder = task.own_folder / name
        if not folder.is_dir():
            raise TaskError(f"{folder}: missing; the agent {agent.name!r} needs it")
        mounts.append(Mount(source=readable_folder(folder, cache), target=f"/{name}"))
    return tuple(mounts)


def run_episode(
    task: Task,
    agent: Agent,
    settings: RunSettings,
    *,
    cache: Path,
    listeners: Listeners | None = None,
    services: Sequence[Service] = (),
    start: Snapshot | None = None,
    resumption: Resumption | None = None,
    invocation: Mapping[str, Any] | None = None,
) -> Outcome:
    """One whole episode, from its task's files or from a state, or the rest of one that was interrupted.

    An ending that is not the agent's comes out as the error that caused it; result.json is written.
    """
    told = listeners or Listeners()
    episode = Episode(
        task,
        settings=settings,
        agent=agent.name,
        model=agent.model,
        further_mounts=mounts_for(agent, task, cache),
        on_progress=told.on_progress,
        on_output=told.on_output if agent.watches else None,
        interruptible=agent.watches,
        services=services,
        start=start,
        resumption=resumption,
        invocation=invocation,
    )
    if resumption is not None:
        agent.resume(resumption.steps, resumption.observations)
    with contextlib.closing(agent), episode:
        if told.on_start:
            told.on_start(episode)
        outcome = run_agent(episode, agent, told)
        if agent.name == "baseline" and outcome.result["score"] is not None and not outcome.ending.autosubmitted:
            keep_baseline(task, settings.variant, episode.places, outcome.result["score"]["metrics"])
        if told.on_end:
            told.on_end(episode)
        return outcome


def run_agent(episode: Episode, agent: Agent, listeners: Listeners | None = None) -> Outcome:
    """Let an agent work in an episode that has been reset, until it ends."""
    told = listeners or Listeners()
    while episode.outcome is None:
        decided = _next_action(episode, agent)
        if isinstance(decided, Stop):
            detail = decided.detail or f"the agent {agent.name!r} ended without submitting"
            scored = decided.reason != "gave_up"
            return episode.end(decided.reason, detail, autosubmit=scored, usage=decided.usage, details=decided.details)
        if told.on_action:
            told.on_action(episode, decided.text)
        step = episode.step(decided.text, thought=decided.thought, usage=decided.usage, details=decided.details)
        if told.on_step:
            told.on_step(episode, step)
    return episode.outcome


def _next_action(episode: Episode, agent: Agent) -> Action | Stop:
    try:
        decided = agent.next_action(episode.observation)
        if not isinstance(decided, (Action, Stop)):
            raise AgentError(f"the agent {agent.name!r} decided {decided!r:.60}; expected an Action or a Stop")
        return decided
    except AgentError as error:
        usage = error.usage if isinstance(error, ModelError) else None
        episode.end("agent_error", str(error), usage=usage, can_pass=can_pass(error))
        raise
