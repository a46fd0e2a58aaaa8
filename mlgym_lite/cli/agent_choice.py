"""Making the agent that the command line names."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from mlgym_lite.agents.protocol import Agent
from mlgym_lite.cli.printing import Progress, harmless, number
from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.runner import Listeners


def choose_agent(name: str | None, actions: Path | None, task: Task, progress: Progress, cache: Path) -> tuple[Agent, Listeners]:
    """The agent, and who is told of its steps."""
    listeners = progress.listeners()
    if actions is not None and name not in (None, "scripted"):
        raise click.UsageError(f"--actions plays recorded actions; it cannot go with --agent {name}")
    if actions is not None or name == "scripted":
        return _scripted(actions), listeners
    if name == "human":
        return human(listeners, cache)
    if name is None:
        raise click.UsageError("name who acts: --agent baseline, --agent human, or --actions FILE")
    from mlgym_lite.agents.baseline import BaselineAgent

    return BaselineAgent(task, os.environ), listeners


def _scripted(actions: Path | None) -> Agent:
    from mlgym_lite.agents.scripted import ScriptedAgent
    from mlgym_lite.config.actions_file import read_recording

    if actions is None:
        raise click.UsageError("--agent scripted needs --actions FILE")
    return ScriptedAgent([step.action for step in read_recording(actions).steps])


def human(listeners: Listeners, cache: Path) -> tuple[Agent, Listeners]:
    """A person at this terminal, who sees output as it comes."""
    import codecs

    from mlgym_lite.agents.human import HumanAgent
    from mlgym_lite.episode.engine import Episode
    from mlgym_lite.episode.outcome import Step

    state = {"prompt": "/workspace $ "}
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(text: str) -> None:
        sys.stdout.write(harmless(text) if text.endswith("\n") else harmless(text) + "\n")
        sys.stdout.flush()

    def start(episode: Episode) -> None:
        if listeners.on_start:
            listeners.on_start(episode)
        show(
            "Tools: open goto scroll_up scroll_down create edit insert search_dir search_file find_file validate submit.\n"
            f"{episode.budget.max_steps} steps, {episode.budget.validations} validations. Ctrl-C interrupts a command, Ctrl-D "
            "gives up. There is no terminal inside: editors and pagers do not work."
        )

    def show_output(piece: bytes) -> None:
        sys.stdout.write(harmless(decoder.decode(piece)))
        sys.stdout.flush()

    def after_step(episode: Episode, step: Step) -> None:
        output = step.observation.removesuffix(step.notes)
        if step.notes or (output and not output.endswith("\n")):
            show(step.notes if output.endswith("\n") or not output else f"\n{step.notes}")
        left = f"{episode.budget.steps_left} steps left"
        state["prompt"] = f"[{left}, best {number(episode.best)}] {harmless(step.working_directory)} $ "

    agent = HumanAgent(history=cache / "shell-history", show=show, is_complete=_is_complete, prompt=lambda: state["prompt"])
    return agent, replace(listeners, on_start=start, on_output=show_output, on_action=None, on_step=after_step)


def _is_complete(text: str) -> bool:
    """Whether bash takes a text as a whole input: it says `unexpected end of file` or the like where more must come."""
    from mlgym_lite.processes import run_program

    result = run_program(["bash", "--norc", "-n", "-c", text], timeout_seconds=5)
    return not any(words in result.output for words in ("unexpected end of file", "unexpected EOF", "delimited by end-of-file"))
