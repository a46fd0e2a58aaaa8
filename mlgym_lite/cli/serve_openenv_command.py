"""`mlgym-lite serve-openenv`: a task for OpenEnv's clients."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import click

from mlgym_lite.cli import options as shared

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command("serve-openenv")
@click.argument("task")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option("--sessions", default=1, show_default=True, type=click.IntRange(1), help="Clients at once, each with a sandbox.")
@click.option("--idle-timeout", type=shared.Seconds(0, min_open=True), help="Seconds after which a silent client's session ends.")
@click.option(
    "--reward", default="final", show_default=True, type=click.Choice(["final", "improvement"]), help="docs/gymnasium.md."
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep every run directory in this folder (default: keep none).",
)
@shared.sandbox_options
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but the address, and errors.")
def command(
    task: str,
    host: str,
    port: int,
    sessions: int,
    idle_timeout: float | None,
    reward: Any,
    runs: Path | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Serve TASK over WebSocket to clients of OpenEnv, until Ctrl-C (docs/openenv.md).

    A connection is a session with its own sandbox; actions are {"command": …}. The address is the one thing on stdout. Whoever
    reaches the port gets a sandbox: there is no password.
    """
    from mlgym_lite.cli.printing import Progress
    from mlgym_lite.config.task_file import load_task
    from mlgym_lite.errors import LimitError
    from mlgym_lite.gym.environment import TaskEnvironment

    try:
        from mlgym_lite.serving.openenv import OpenEnvServer
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "websockets":
            raise
        raise LimitError("serve-openenv needs the package websockets: pip install 'mlgym-lite[openenv]'") from error
    loaded = load_task(task)
    settings = vars(shared.run_settings(options))
    chosen = {name: value for name, value in settings.items() if name not in ("seed", "output")}

    def make_environment(kept: Path | None = runs) -> TaskEnvironment:
        return TaskEnvironment(loaded.folder, reward=reward, runs=kept, **chosen)

    progress = Progress(quiet=quiet)
    try:
        progress.line(f"{loaded.name}: beginning an episode, to see that it can be")
        environment = make_environment(None)
        try:
            environment.reset()
        finally:
            environment.close()
        server = OpenEnvServer(make_environment, host=host, port=port, sessions=sessions, idle_seconds=idle_timeout)
    finally:
        progress.stop()
    click.echo(server.address)
    if host not in _LOOPBACK:
        progress.line(f"{host} can be reached from elsewhere, and there is no password: whoever reaches it gets a sandbox")
    progress.line(
        f"{loaded.name} is served, {sessions} at once, until Ctrl-C. A client: GenericEnvClient(base_url={server.address!r})"
    )
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
        progress.line("waiting for the sessions to end; Ctrl-C again leaves at once")
        server.shut_down()
    except KeyboardInterrupt:
        os._exit(130)  # sandboxes go with this process, and `mlgym-lite gc` removes what they leave
