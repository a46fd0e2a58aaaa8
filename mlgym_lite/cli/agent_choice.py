"""Making the agent that the command line names."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import BaseModel

from mlgym_lite.agents.protocol import Agent
from mlgym_lite.cli.printing import Progress, harmless, number
from mlgym_lite.config.agent_file import AgentFile, load_agent_file, shipped_agent_names
from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.runner import Listeners
from mlgym_lite.services.protocol import Service, ServiceCommand

if TYPE_CHECKING:
    from mlgym_lite.models.litellm_model import LiteLLMModel

Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class AgentOptions:
    """What the command line says of the agent."""

    agent: str | None
    """A name, an agent file or a program."""
    actions: Path | None = None
    model: str | None = None
    base_url: str | None = None
    cost_limit: float | None = None
    token_limit: int | None = None
    tools: tuple[str, ...] = ()
    """Services that the run has beside those of the agent's file."""
    memory: Path | None = None
    """The folder of notes across episodes."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Who acts in an episode, who is told of it, and what the engine answers for it."""

    agent: Agent
    listeners: Listeners
    services: tuple[Service, ...] = ()


def choose_agent(options: AgentOptions, task: Task, progress: Progress, cache: Path) -> Chosen:
    """The agent with what belongs to it.

    Raises:
        AgentError: Its file cannot be used, or a package is missing.
    """
    listeners, name = progress.listeners(), options.agent
    if options.actions is not None and name not in (None, "scripted"):
        raise click.UsageError(f"--actions plays recorded actions; it cannot go with --agent {name}")
    if name == "human":
        agent, listeners = human(listeners, cache)
        return Chosen(agent=agent, listeners=listeners, services=_services(options, AgentFile()))
    limits = {"--cost-limit": options.cost_limit, "--token-limit": options.token_limit, "--base-url": options.base_url}
    unused = [option for option, value in limits.items() if value is not None]
    if unused and name in (None, "baseline", "scripted", "human"):
        raise click.UsageError(f"{', '.join(unused)}: for agents that are language models")
    if options.base_url is not None and not options.base_url.startswith(("http://", "https://")):
        raise click.UsageError(f"--base-url {options.base_url}: expected an address that begins with http:// or https://")
    if name is None and options.actions is None:
        raise click.UsageError("name who acts: --agent baseline, --agent human, --agent react --model NAME, or --actions FILE")
    if name is not None and (name in shipped_agent_names() or name.endswith(".toml")):
        return _language_model(name, options, task, progress)
    services = _services(options, AgentFile())
    agent = _made(options, task, [command for service in services for command in service.commands])
    agent.model = options.model if agent.model is None else agent.model
    return Chosen(agent=agent, listeners=listeners, services=services)


def _made(options: AgentOptions, task: Task, commands: Sequence[ServiceCommand]) -> Agent:
    from mlgym_lite.agents.mini_swe_agent import AGENTS as MINI_SWE_AGENTS
    from mlgym_lite.agents.program import ProgramAgent, is_program

    name = options.agent
    if name is None or name == "scripted":
        return _scripted(options.actions)
    if name == "baseline":
        from mlgym_lite.agents.baseline import BaselineAgent

        return BaselineAgent(task, os.environ)
    if name in MINI_SWE_AGENTS:
        return _mini_swe_agent(name, options, task)
    if is_program(name):
        return ProgramAgent(Path(name), task, options.model, commands=commands)
    if "/" in name or name.endswith(".py"):
        raise click.UsageError(f"--agent {name}: no such file")
    known = ", ".join(["baseline", "scripted", "human", *shipped_agent_names(), *MINI_SWE_AGENTS])
    raise click.UsageError(f"no agent {name!r}: expected one of {known}, an agent file (.toml), or the path of a program")


def _language_model(name: str, options: AgentOptions, task: Task, progress: Progress) -> Chosen:
    from mlgym_lite.agents.react import ReactAgent

    stem, settings, prompts, client = language_model(
        name, progress,
        model=options.model, base_url=options.base_url, cost_limit=options.cost_limit, token_limit=options.token_limit,
    )  # fmt: skip
    services = _services(options, settings)
    commands = [command for service in services for command in service.commands]
    agent = ReactAgent(stem, settings, prompts, client, task, commands=commands, on_rejected=progress.line)
    return Chosen(agent=agent, listeners=progress.listeners(), services=services)


def language_model(
    name: str,
    progress: Progress,
    *,
    model: str | None,
    base_url: str | None,
    cost_limit: float | None,
    token_limit: int | None,
) -> tuple[str, AgentFile, Mapping[str, str], LiteLLMModel]:
    """An agent file with what the command line gives instead: its name, settings, prompts, and the client of its model."""
    from mlgym_lite.models.litellm_model import LiteLLMModel

    stem, settings, prompts = load_agent_file(name)
    chosen = _changed(settings.model, name=model, base_url=base_url)
    limits = _changed(settings.limits, cost_usd=cost_limit, tokens=token_limit)
    if chosen.name is None:
        raise click.UsageError(
            f"--agent {name} needs a model: --model NAME, or [model] name in an agent file, as litellm names it (openai/gpt-4o)"
        )
    if importlib.util.find_spec("litellm") is not None:
        progress.line(f"{chosen.name}: loading litellm, which takes some seconds")
    client = LiteLLMModel(chosen.name, chosen, on_wait=progress.line)
    return stem, settings.model_copy(update={"model": chosen, "limits": limits}), prompts, client


def _services(options: AgentOptions, settings: AgentFile) -> tuple[Service, ...]:
    """What the agent's file and the command line ask for."""
    from mlgym_lite.cli.service_choice import make_services

    asked = {name for name, wanted in settings.tools.model_dump().items() if wanted} | set(options.tools)
    folder = None if options.memory is None else str(options.memory)
    if folder is not None:
        asked.add("memory")
    return make_services(asked, _changed(settings.memory, folder=folder), settings.literature)


def _mini_swe_agent(name: str, options: AgentOptions, task: Task) -> Agent:
    from mlgym_lite.agents.mini_swe_agent import mini_swe_agent

    if options.model is None:
        raise click.UsageError(f"--agent {name} needs a model: --model NAME, as litellm names it (openai/gpt-4o)")
    if options.tools or options.memory:
        raise click.UsageError(
            f"--tool, --memory: {name}'s prompts do not tell of such tools; react and agent files can have them"
        )
    return mini_swe_agent(
        name, task, options.model,
        base_url=options.base_url, cost_limit=options.cost_limit, token_limit=options.token_limit,
    )  # fmt: skip


def _changed(settings: Settings, **given: Any) -> Settings:
    """Settings of a file with what the command line gives instead."""
    return settings.model_copy(update={key: value for key, value in given.items() if value is not None})


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

    state = {"prompt": "$ "}
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(text: str) -> None:
        sys.stdout.write(harmless(text) if text.endswith("\n") else harmless(text) + "\n")
        sys.stdout.flush()

    def start(episode: Episode) -> None:
        if listeners.on_start:
            listeners.on_start(episode)
        state["prompt"] = f"{harmless(episode.observation.working_directory)} $ "
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
