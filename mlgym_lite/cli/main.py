"""The command `mlgym-lite`: parses, calls the API, prints, and turns errors into text and exit codes.

Commands live in modules of their own and load when they are used, so that `--help` is quick.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType

import click

from mlgym_lite import __version__
from mlgym_lite.errors import MLGymLiteError, OutputError

_COMMANDS = {
    "run": "Run one episode and score it.",
    "search": "Search for the best submission over states of an episode.",
    "tasks": "List the shipped tasks.",
    "new": "Make a task of your own from an example that works.",
    "check": "Check tasks: baseline, empty submission, cheats.",
    "prepare": "Build environments and data ahead, with network.",
    "doctor": "Try what this host can do, and say what is missing.",
    "shell": "Work on a task yourself, in the agent's sandbox.",
    "resume": "Go on with an episode that was killed.",
    "replay": "Run recorded actions again and compare.",
    "bench": "Run every episode of a bench file.",
    "status": "Show how a bench stands.",
    "view": "Show runs side by side in one HTML page.",
    "report": "Compare agents over many runs: scores, AUP, cost.",
    "export": "Write a run as ATIF or as MLGym's trajectory.",
    "serve-openenv": "Serve a task to OpenEnv's clients.",
    "serve-script": "Answer a model client from a file, to debug agents.",
    "import": "Make a task folder from a task of MLGym.",
    "gc": "Remove what killed runs left behind.",
}


class _LazyGroup(click.Group):
    """Knows the commands' names and loads one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"mlgym_lite.cli.{cmd_name.replace('-', '_')}_command")
        command: click.Command = module.command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(_COMMANDS)}."
            raise click.UsageError(f"No such command {args[0]!r}. {hint}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mlgym-lite")
@click.option("-v", "--verbose", is_flag=True, help="Log what is done to stderr; every program that is run is named.")
def group(verbose: bool) -> None:
    """A gym for AI-research agents, without Docker, root or internet.

    Start with `mlgym-lite run prisoners_dilemma --agent baseline`; `mlgym-lite doctor` says what a host lacks.
    """
    if verbose:
        import logging

        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(relativeCreated)7d ms %(name)s: %(message)s")


def main() -> None:
    """The program's entry; every error of ours becomes a text on stderr and an exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _as_interrupt)
    try:
        status = group.main(prog_name="mlgym-lite", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except click.exceptions.Abort:
        _say("interrupted")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
    except MLGymLiteError as error:
        _say(f"error: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:  # who read our output has gone
        os._exit(1)
    except OSError as error:
        place = f"{error.filename}:" if error.filename else "the output cannot be written:"
        _say(f"error: {place} {error.strerror or error}")
        os._exit(OutputError.exit_code)  # the interpreter would try to write it again on its way out


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    from mlgym_lite.cli.printing import harmless

    click.echo(f"mlgym-lite: {harmless(text)}", err=True)
