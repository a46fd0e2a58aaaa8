"""The program behind `--agent mini-swe-agent`: mini-swe-agent's loop over our protocol for programs.

Standard output belongs to the protocol. So its descriptor is moved away first, and whatever mini-swe-agent or a library prints
goes to standard error. mini-swe-agent's folder of settings, which its import makes, is a temporary one that is removed at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mlgym_lite.agents.mini_swe_agent.environment import EpisodeEnvironment
from mlgym_lite.agents.mini_swe_agent.line_episode import LineEpisode
from mlgym_lite.agents.protocol import Stop
from mlgym_lite.config.agent_file import ModelOptions
from mlgym_lite.errors import AgentError
from mlgym_lite.models.litellm_model import LiteLLMModel
from mlgym_lite.models.protocol import ContextOverflow

if TYPE_CHECKING:
    from mlgym_lite.agents.mini_swe_agent.agent import EpisodeAgent

_MISLEADING = " You can permanently set your API key with `mini-extra config set KEY VALUE`."
_PROMPTS = Path(__file__).with_name("prompts")


def main() -> None:
    """Play the episode that standard input tells of."""
    options = _options()
    writing = _private_output()
    warnings.simplefilter("ignore")  # those of the libraries below, which a user can do nothing about
    episode = LineEpisode.begun(sys.stdin, writing)
    if episode is None:
        return
    try:
        stop = _play(episode, options)
    except AgentError as error:
        episode.fail(str(error))
    else:
        if stop is not None:
            episode.stop(stop)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="mini-swe-agent, speaking mlgym-lite's protocol for programs.")
    parser.add_argument("--text", action="store_true", help="one block of text a turn instead of tool calls")
    parser.add_argument("--base-url")
    parser.add_argument("--cost-limit", type=float)
    parser.add_argument("--token-limit", type=int)
    return parser.parse_args()


def _private_output() -> TextIO:
    """What was standard output, for the protocol alone; what is printed from now on goes to standard error."""
    writing = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return writing


def _play(episode: LineEpisode, options: argparse.Namespace) -> Stop | None:
    """Let mini-swe-agent work until the episode has ended, which is None, or it stops by itself."""
    name = episode.model
    if name is None:
        raise AgentError("a model is needed: --model NAME, as litellm names it (openai/gpt-4o)")
    client = LiteLLMModel(name, ModelOptions(base_url=options.base_url))  # sets litellm up, and puts its errors in our words
    _check_key(name)
    agent = _agent(episode, name, options)
    try:
        ended = agent.run(episode.observation.text)
    except AgentError as error:
        episode.fail(f"{name}: {error}", agent.unrecorded, agent.unrecorded_details)
        return None
    except Exception as error:
        if not type(error).__module__.startswith(("litellm", "openai", "httpx")):
            raise
        told = client.told(error)
        if not isinstance(told, ContextOverflow):
            why = str(told).replace(_MISLEADING, "")  # those settings are not read here
            episode.fail(why, agent.unrecorded, agent.unrecorded_details)
            return None
        return Stop(reason="context_limit", detail=str(told), usage=agent.unrecorded, details=agent.unrecorded_details)
    return None if episode.outcome is not None else _stop(agent, ended["exit_status"], options)


def _check_key(name: str) -> None:
    """Tell a missing key at once, which mini-swe-agent would ask for again and again."""
    import litellm

    missing = litellm.validate_environment(name).get("missing_keys") or []
    if missing and not any(os.environ.get(key) for key in missing):
        raise AgentError(f"{name}: needs {' and '.join(missing)} in the environment")


def _agent(episode: LineEpisode, name: str, options: argparse.Namespace) -> EpisodeAgent:
    """DefaultAgent and its model, with our prompts."""
    with tempfile.TemporaryDirectory(prefix="mlgym-lite-") as folder:
        os.environ.update(MSWEA_GLOBAL_CONFIG_DIR=folder, MSWEA_SILENT_STARTUP="1")
        from minisweagent.models import get_model

        from mlgym_lite.agents.mini_swe_agent.agent import EpisodeAgent

    from litellm.exceptions import BadRequestError

    settings: dict[str, Any] = {
        "model_name": name,
        "model_class": "litellm_textbased" if options.text else "litellm",
        "model_kwargs": {"drop_params": True, **({"base_url": options.base_url} if options.base_url else {})},
        "cost_tracking": "ignore_errors",
        "observation_template": _prompt("observation"),
        "format_error_template": _prompt("format_error"),
    }
    model: Any = get_model(config=settings)
    model.abort_exceptions = [*model.abort_exceptions, BadRequestError]  # asking again mends none of these
    return EpisodeAgent(
        model,
        EpisodeEnvironment(episode),
        token_limit=options.token_limit,
        system_template=_prompt("system"),
        instance_template=_prompt("instance"),
        cost_limit=options.cost_limit or 0.0,
    )


def _prompt(name: str) -> str:
    return (_PROMPTS / f"{name}.j2").read_text(encoding="utf-8")


def _stop(agent: EpisodeAgent, exit_status: str, options: argparse.Namespace) -> Stop:
    """mini-swe-agent's own ending in our words."""
    details = agent.unrecorded_details
    if exit_status == "RepeatedFormatError":
        last = details["rejected"][-1]["error"].strip().splitlines()[0]
        detail = f"{len(details['rejected'])} replies in a row were ill-formed; the last: {last}"
        return Stop(reason="format_errors", detail=detail, usage=agent.unrecorded, details=details)
    if exit_status == "LimitsExceeded":
        used, limit = f"{agent.cost:.4f} USD", f"{options.cost_limit or 0:g}"
        if options.token_limit is not None and agent.total.tokens >= options.token_limit:
            used, limit = f"{agent.total.tokens} tokens", str(options.token_limit)
        detail = f"{used} are used; the limit is {limit}"
        return Stop(reason="cost_limit", detail=detail, usage=agent.unrecorded, details=details)
    raise AgentError(f"mini-swe-agent ended without submitting: {exit_status}")


if __name__ == "__main__":
    main()
