"""`mlgym-lite run`: one episode."""

from __future__ import annotations

from typing import Any

import click

from mlgym_lite.cli import options as shared


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
def command(task: str, as_json: bool, quiet: bool, **options: Any) -> int:
    """Run one episode of TASK: a task.toml, its folder, or a shipped task's name.

    A task of several steps is played step by step, each an episode with an agent of its own.

    Exit status 0: the episode was scored; of several steps, the last one that was begun.
    """
    from mlgym_lite.cli.invocation import as_invocation
    from mlgym_lite.cli.playing import play, play_series
    from mlgym_lite.config.series_file import Series, load_task_or_series

    loaded = load_task_or_series(task)
    invocation = as_invocation(loaded.folder, options)
    if isinstance(loaded, Series):
        return play_series(loaded, options, as_json=as_json, quiet=quiet, invocation=invocation)
    return play(loaded, options, as_json=as_json, quiet=quiet, invocation=invocation)
