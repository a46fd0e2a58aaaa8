"""`mlgym-lite search`: a language model proposes, the best state that was validated is handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlgym_lite.cli import options as shared

if TYPE_CHECKING:
    from mlgym_lite.episode.outcome import Outcome
    from mlgym_lite.search.model_policy import ModelPolicy
    from mlgym_lite.search.space import State

METHODS = ("aide", "best-of-n", "exact", "alphamath", "uct", "global", "beam")


@click.command("search")
@click.argument("task")
@click.option(
    "--method", type=click.Choice(METHODS), default="aide", show_default=True, help="How states are chosen (docs/search.md)."
)
@click.option("--steps", type=click.IntRange(1), default=20, show_default=True, help="Actions to try, each with a validation.")
@click.option("--branching", type=click.IntRange(1), default=3, show_default=True, help="Actions tried at a state; AIDE: drafts.")
@click.option("--depth", type=click.IntRange(1), default=8, show_default=True, help="Actions in a row at most; not of AIDE.")
@click.option("--explore", "c", type=click.FloatRange(min=0), help="How much exploring weighs (default: the method's own).")
@click.option(
    "--agent", default="react", show_default=True, help="A language-model agent, or an agent file: its prompts and form of reply."
)
@click.option("--model", help="The language model as litellm names it (openai/gpt-4o, ollama/llama3).")
@click.option("--base-url", help="The model's server, where it is not the provider's own.")
@click.option("--cost-limit", type=click.FloatRange(min=0, min_open=True), help="US dollars after which the search ends.")
@click.option("--token-limit", type=click.IntRange(min=1), help="Tokens, in and out, after which the search ends.")
@shared.episode_options
@shared.json_output
@shared.quiet
def command(task: str, method: Any, as_json: bool, quiet: bool, **options: Any) -> int:
    """Search the states of one episode of TASK for the best submission.

    A language model proposes actions; each is run from the state it was proposed at, validated and kept. The best is handed in.
    Exit status 0: the episode was scored.
    """
    from mlgym_lite.cli.playing import tell_outcome
    from mlgym_lite.cli.printing import Progress
    from mlgym_lite.config.task_file import load_task

    progress = Progress(quiet=quiet)
    loaded = load_task(task)
    own = {name: options.pop(name) for name in ("steps", "branching", "depth", "c")}
    policy = _policy({name: options.pop(name) for name in _MODEL_OPTIONS}, loaded, progress)
    try:
        outcome = _search(loaded, method, policy, own, shared.run_settings(options), progress)
    finally:
        progress.stop()
    return tell_outcome(outcome, as_json=as_json, quiet=quiet)


_MODEL_OPTIONS = ("agent", "model", "base_url", "cost_limit", "token_limit")


def _policy(given: dict[str, Any], task: Any, progress: Any) -> ModelPolicy:
    from mlgym_lite.cli.agent_choice import language_model
    from mlgym_lite.search.model_policy import ModelPolicy

    _, settings, prompts, client = language_model(given.pop("agent"), progress, **given)
    return ModelPolicy(settings, prompts, client, task)


def _search(task: Any, method: Any, policy: ModelPolicy, own: dict[str, Any], settings: Any, progress: Any) -> Outcome:
    from mlgym_lite.cli.printing import number
    from mlgym_lite.episode.engine import Episode
    from mlgym_lite.errors import AgentError
    from mlgym_lite.search.searches import search
    from mlgym_lite.search.space import EpisodeSpace

    steps = own.pop("steps")
    episode = Episode(task, settings=settings, agent=f"search-{method}", model=policy.model, on_progress=progress.line)
    with episode:
        progress.line(f"{task.name}: run directory {episode.run_directory}")
        told = _Told(progress, task, steps)
        space = EpisodeSpace(episode, steps=steps, usage=policy.take_usage, on_state=told.state)
        try:
            search(method, space, policy, seed=settings.seed, **own)
        except AgentError as error:
            outcome = space.fail(error)
            if outcome.score is not None:
                progress.line(f"the best state is scored all the same: {task.metric} {number(outcome.score)}")
            raise
        return space.submit(space.best or space.first)


class _Told:
    """A line for each state."""

    def __init__(self, progress: Any, task: Any, steps: int) -> None:
        self._progress = progress
        self._task = task
        self._steps = steps
        self._count = 0
        self._best: float | None = None

    def state(self, state: State) -> None:
        """Tell of a new state."""
        from mlgym_lite.cli.printing import harmless, number, one_line

        self._count += 1
        if state.score is not None and (self._best is None or self._task.is_better(state.score, self._best)):
            self._best = state.score
        score = "rejected" if state.score is None else f"{self._task.metric} {number(state.score)}"
        best = "" if self._best is None else f", best {number(self._best)}"
        action = one_line(state.proposal.action if state.proposal else "", 60)
        self._progress.line(harmless(f"[{self._count}/{self._steps}] depth {len(state.path) - 1}: {score}{best}  {action}"))
