"""One episode at the command line, from the options that say how to the words that say how it ended."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlgym_lite.errors import MLGymLiteError

if TYPE_CHECKING:
    from pathlib import Path

    from mlgym_lite.agents.protocol import Agent
    from mlgym_lite.cli.agent_choice import AgentOptions, Chosen
    from mlgym_lite.config.run_settings import RunSettings
    from mlgym_lite.config.series_file import Series
    from mlgym_lite.config.task_file import Task
    from mlgym_lite.episode.outcome import Outcome
    from mlgym_lite.episode.resumption import Resumption

_AGENT_OPTIONS = ("agent", "actions", "model", "base_url", "cost_limit", "token_limit", "tools", "memory")


def play(
    task: Task,
    options: Mapping[str, Any],
    *,
    as_json: bool,
    quiet: bool,
    resumption: Resumption | None = None,
    invocation: Mapping[str, Any] | None = None,
) -> int:
    """Run it, or the rest of it, print how it ended, and give the exit status; `options` are those of `mlgym-lite run`."""
    from mlgym_lite.cli.agent_choice import choose_agent
    from mlgym_lite.cli.printing import Progress
    from mlgym_lite.config.places import places
    from mlgym_lite.episode.runner import run_episode

    asked, settings = _asked(options)
    cache = places(data=settings.data).cache
    progress = Progress(quiet=quiet)
    chosen = choose_agent(asked, task, progress, cache)
    if resumption is not None:
        progress.line(f"{resumption.path}: goes on behind step {len(resumption.steps)}")
    try:
        outcome = run_episode(
            task, chosen.agent, settings, cache=cache, listeners=chosen.listeners, services=chosen.services,
            resumption=resumption, invocation=invocation,
        )  # fmt: skip
    except (MLGymLiteError, KeyboardInterrupt):
        progress.tell_record()
        raise
    finally:
        progress.stop()
    return tell_outcome(outcome, as_json=as_json, quiet=quiet)


def play_series(
    series: Series,
    options: Mapping[str, Any],
    *,
    as_json: bool,
    quiet: bool,
    resumed: Path | None = None,
    invocation: Mapping[str, Any] | None = None,
) -> int:
    """Run a task of several steps, or the rest of it in the folder `resumed`, print how each step and the whole ended.

    The last one's exit status is given; `options` are those of `mlgym-lite run`.
    """
    from mlgym_lite.cli.agent_choice import choose_agent
    from mlgym_lite.cli.endings import exit_status
    from mlgym_lite.cli.printing import Progress, print_json, print_outcome, print_series
    from mlgym_lite.config.places import places
    from mlgym_lite.episode.series import SeriesRun

    asked, settings = _asked(options)
    cache = places(data=settings.data).cache
    progress = Progress(quiet=quiet)
    run = SeriesRun(series, settings, invocation=invocation, resumed=resumed)
    chosen: Chosen | None = None
    status = 0
    try:
        for step in run.steps():
            if chosen is None or asked.agent not in (None, "scripted"):  # whose actions go on in the next step
                chosen = choose_agent(asked, step.task, progress, cache)
                _pass_over(chosen.agent, run.outcome.outcomes)
            outcome = run.play(step, chosen.agent, cache=cache, listeners=chosen.listeners, services=chosen.services)
            status = exit_status(outcome)
            if not quiet:
                progress.stop()
                print_outcome(outcome)
    except (MLGymLiteError, KeyboardInterrupt):
        progress.stop()
        if not quiet and run.is_begun:
            print_series(run)
        raise
    finally:
        progress.stop()
    if as_json:
        print_json(run.record())
    if not quiet:
        print_series(run)
    sys.stdout.flush()
    return status


def _pass_over(agent: Agent, outcomes: Mapping[str, Outcome]) -> None:
    """Have actions that are played passed over where steps of before have played them."""
    from mlgym_lite.agents.scripted import ScriptedAgent
    from mlgym_lite.episode.run_reader import read_run

    if isinstance(agent, ScriptedAgent):
        for outcome in outcomes.values():
            agent.resume(read_run(outcome.run_directory).steps, ())


def _asked(options: Mapping[str, Any]) -> tuple[AgentOptions, RunSettings]:
    """What the options of `mlgym-lite run` say of the agent, and of everything else."""
    from mlgym_lite.cli import options as shared
    from mlgym_lite.cli.agent_choice import AgentOptions

    asked = AgentOptions(**{name: options[name] for name in _AGENT_OPTIONS})
    return asked, shared.run_settings({name: value for name, value in options.items() if name not in _AGENT_OPTIONS})


def tell_outcome(outcome: Outcome, *, as_json: bool, quiet: bool) -> int:
    """Print how an episode ended, and give the exit status."""
    from mlgym_lite.cli.endings import exit_status
    from mlgym_lite.cli.printing import print_json, print_outcome

    if as_json:
        print_json(dict(outcome.result))
    if not quiet:
        print_outcome(outcome)
    sys.stdout.flush()
    return exit_status(outcome)
