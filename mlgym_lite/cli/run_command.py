"""`mlgym-lite run`: one episode."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mlgym_lite.cli import options as shared
from mlgym_lite.errors import MLGymLiteError


@click.command("run")
@click.argument("task")
@click.option(
    "--agent",
    help="Who decides: baseline, scripted, human, react or another language-model agent, mini-swe-agent, an agent file (.toml), "
    "or a program.",
)
@click.option("--model", help="The language model as litellm names it (openai/gpt-4o, ollama/llama3); else only recorded.")
@click.option("--base-url", help="The model's server, where it is not the provider's own.")
@click.option("--cost-limit", type=click.FloatRange(min=0, min_open=True), help="US dollars after which a model's agent stops.")
@click.option("--token-limit", type=click.IntRange(min=1), help="Tokens, in and out, after which a model's agent stops.")
@click.option(
    "--tool", "tools", multiple=True, type=click.Choice(["memory", "literature", "view_image"]),
    help="A tool that the engine answers for the agent, beside those of an agent file; may be repeated.",
)  # fmt: skip
@click.option("--memory", type=shared.PATH, help="Folder of notes that are kept across episodes; implies --tool memory.")
@click.option(
    "--actions", type=shared.PATH,
    help="Actions to play: JSON Lines (a text or {\"action\": …} each) or a MLGym .traj; implies --agent scripted.",
)  # fmt: skip
@shared.episode_options
@shared.json_output
@shared.quiet
def command(
    task: str,
    agent: str | None,
    model: str | None,
    base_url: str | None,
    cost_limit: float | None,
    token_limit: int | None,
    tools: tuple[str, ...],
    memory: Path | None,
    actions: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Run one episode of TASK: a task.toml, its folder, or a shipped task's name.

    Exit status 0: the episode was scored.
    """
    from mlgym_lite.cli.agent_choice import AgentOptions, choose_agent
    from mlgym_lite.cli.endings import exit_status
    from mlgym_lite.cli.printing import Progress, print_json, print_outcome
    from mlgym_lite.config.places import places
    from mlgym_lite.config.task_file import load_task
    from mlgym_lite.episode.runner import run_episode

    settings = shared.run_settings(options)
    loaded = load_task(task)
    cache = places(data=settings.data).cache
    progress = Progress(quiet=quiet)
    asked = AgentOptions(
        agent=agent,
        actions=actions,
        model=model,
        base_url=base_url,
        cost_limit=cost_limit,
        token_limit=token_limit,
        tools=tools,
        memory=memory,
    )
    chosen = choose_agent(asked, loaded, progress, cache)
    try:
        outcome = run_episode(loaded, chosen.agent, settings, cache=cache, listeners=chosen.listeners, services=chosen.services)
    except (MLGymLiteError, KeyboardInterrupt):
        progress.tell_record()
        raise
    finally:
        progress.stop()
    if as_json:
        print_json(dict(outcome.result))
    if not quiet:
        print_outcome(outcome)
    sys.stdout.flush()
    return exit_status(outcome)
