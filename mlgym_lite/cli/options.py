"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)

variant = click.option(
    "--variant", type=click.Choice(["full", "mini"]), default="full", show_default=True,
    help="full: the real data or size; mini: small, for trying out.",
)  # fmt: skip
parity = click.option(
    "--parity", is_flag=True,
    help="Score as MLGym's paper did, to compare with it; recorded, and never mixed with clean scores.",
)  # fmt: skip
isolation = click.option(
    "--isolation", type=click.Choice(["auto", "bubblewrap", "landlock", "none"]), default="auto", show_default=True,
    help="Which mechanism puts up the sandbox; auto: bubblewrap, else landlock. none keeps nothing apart.",
)  # fmt: skip
data = click.option("--data", type=PATH, help="Folder of prepared data (default: MLGYM_LITE_DATA, then the user's cache).")
json_output = click.option("--json", "as_json", is_flag=True, help="Print one JSON value on stdout and nothing else.")
quiet = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors, and the JSON of --json.")


_NETWORK = (
    click.option(
        "--network", type=click.Choice(["no-network", "allowlist", "public"]),
        help="What the agent may reach (default: what the profile says, which is no network).",
    ),
    click.option(
        "--allow-host", "allowed_hosts", multiple=True, metavar="HOST",
        help="A host for --network allowlist, such as pypi.org or *.pythonhosted.org; may be repeated.",
    ),
    click.option("--wheelhouse", type=PATH, help="Folder of Python packages from which the agent can install."),
)  # fmt: skip


def network_options(function: Function) -> Function:
    """Options that say what the agent's sandbox may reach."""
    for option in reversed(_NETWORK):
        function = option(function)
    return function


def network_settings(options: dict[str, Any]) -> dict[str, Any]:
    """Fields of RunSettings from the options of `network_options`, which are taken out of `options`."""
    from mlgym_lite.config.allowed_hosts import parse_allowed_host

    network, hosts = options.pop("network"), options.pop("allowed_hosts")
    if hosts and network != "allowlist":
        raise click.UsageError("--allow-host goes with --network allowlist")
    for host in hosts:
        try:
            parse_allowed_host(host)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--allow-host") from error
    return {"network": network, "allowed_hosts": hosts, "wheelhouse": options.pop("wheelhouse")}


class Seconds(click.FloatRange):
    """A number of seconds, more than none and finite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; what is no such number ends as a wrong call."""
        seconds = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"expected a number of seconds, not {value!r}", param, ctx)
        return seconds


_SANDBOX = (
    variant,
    parity,
    click.option("--profile", default="default", show_default=True, help="Sandbox profile: a name or a TOML file."),
    isolation,
    click.option("--max-steps", type=click.IntRange(1), help="Steps at most (default: the task's)."),
    click.option("--time-limit", type=Seconds(0, min_open=True), help="Seconds at most (default: the task's)."),
    click.option("--gpus", type=click.IntRange(0), help="Number of GPUs (default: the task's)."),
    click.option("--python", type=PATH, help="An interpreter whose environment the agent's venv is layered over."),
    data,
    *_NETWORK,
)
_ONE_EPISODE = (
    click.option(
        "--seed", type=int, default=0, show_default=True,
        help="The episode's MLGYM_LITE_SEED, for its programs; gradings draw their own.",
    ),
    click.option("--output", type=PATH, help="The run directory, which must not exist (default: below ./runs)."),
)  # fmt: skip


def sandbox_options(function: Function) -> Function:
    """Options of commands that run episodes of one task."""
    for option in reversed(_SANDBOX):
        function = option(function)
    return function


def episode_options(function: Function) -> Function:
    """Options of commands that run one episode."""
    for option in reversed((*_SANDBOX, *_ONE_EPISODE)):
        function = option(function)
    return function


def run_settings(options: dict[str, Any]) -> Any:
    """RunSettings from the options of `episode_options` or `sandbox_options`, which are taken out of `options`."""
    from mlgym_lite.config.run_settings import RunSettings

    output = options.pop("output", None)
    if output is not None and not output.name:
        raise click.BadParameter("expected a path of a directory that does not exist yet", param_hint="--output")
    return RunSettings(
        variant=options.pop("variant"),
        scoring="parity" if options.pop("parity") else "clean",
        profile=options.pop("profile"),
        isolation=options.pop("isolation"),
        seed=options.pop("seed", 0),
        max_steps=options.pop("max_steps"),
        time_limit_seconds=options.pop("time_limit"),
        gpus=options.pop("gpus"),
        data=options.pop("data"),
        python=options.pop("python"),
        **network_settings(options),
        output=output,
    )
