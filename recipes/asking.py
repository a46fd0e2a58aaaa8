"""What the recipes share: a language model that is asked with one text, and the one shell input of a reply."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import click

from mlgym_lite.agents.parsers import FencedParser, FormatError
from mlgym_lite.cli.agent_choice import language_model
from mlgym_lite.cli.printing import Progress
from mlgym_lite.errors import MLGymLiteError
from mlgym_lite.models.protocol import ModelUsage, Reply


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """The options that say which model is asked."""
    parser.add_argument("--model", required=True, help="as litellm names it (openai/gpt-4o, ollama/llama3)")
    parser.add_argument("--base-url", help="the model's server, where it is not the provider's own")


class Asker:
    """One language model without a memory: each text is a conversation of its own."""

    def __init__(self, arguments: argparse.Namespace, progress: Progress) -> None:
        """From the options of `add_model_options`; raises AgentError where the model cannot be used."""
        chosen: dict[str, Any] = {"model": arguments.model, "base_url": arguments.base_url}
        self._model = language_model("react", progress, **chosen, cost_limit=None, token_limit=None)[3]
        self._untold = ModelUsage()

    def __call__(self, prompt: str) -> str:
        """The reply; raises ModelError where there is none."""
        reply = self._model.reply([{"role": "user", "content": prompt}], tools=(), seconds=None)
        self._untold += reply.usage
        return reply.text

    def take_usage(self) -> ModelUsage:
        """What was used since this was called last."""
        untold, self._untold = self._untold, ModelUsage()
        return untold


def shell_input(reply: str) -> str | None:
    """The content of a reply's one fenced block; None where there is not exactly one."""
    try:
        return FencedParser().parse(Reply(text=reply, usage=ModelUsage())).command
    except FormatError:
        return None


def told(main: Callable[[], None]) -> None:
    """Run a program; what a person can do something about is a text on stderr and an exit status, as of `mlgym-lite`."""
    try:
        main()
    except MLGymLiteError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
