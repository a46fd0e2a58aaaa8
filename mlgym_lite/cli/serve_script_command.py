"""`mlgym-lite serve-script`: a model server that answers from a file."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mlgym_lite.cli import options as shared


@click.command("serve-script")
@click.argument("file", type=shared.PATH)
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Default: a free one.")
@click.option(
    "--context", "characters", type=click.IntRange(min=1), help="Refuse requests whose messages are longer (characters)."
)
@click.option("--log", type=shared.PATH, help="Append each request to this file, a JSON object a line.")
def command(file: Path, port: int, characters: int | None, log: Path | None) -> None:
    """Answer OpenAI's chat-completions protocol on 127.0.0.1 from FILE, for debugging agents without a model.

    FILE is JSON Lines, one reply each, in order: a text, or {"content", "tool_calls", "usage", "status", "error", …};
    docs/agents.md lists all keys. The address is the one thing on stdout.
    """
    from mlgym_lite.errors import OutputError
    from mlgym_lite.models.script_server import ScriptServer, read_script

    script = read_script(file)
    told = 0

    def on_request(body: Mapping[str, Any]) -> None:
        nonlocal told
        told += 1
        click.echo(f"request {told}: {len(body.get('messages', []))} messages", err=True)
        if log is not None:
            with log.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(body) + "\n")

    try:
        server = ScriptServer(script, port=port, context_characters=characters, on_request=on_request)
    except OSError as error:
        raise OutputError(f"port {port}: cannot be listened on: {error.strerror or error}; name another --port") from error
    agent = "react-tools" if any(entry.get("tool_calls") for entry in script) else "react"
    click.echo(server.base_url)
    click.echo(
        f"{len(script)} replies. In another shell:\n"
        f"  OPENAI_API_KEY=none mlgym-lite run TASK --agent {agent} --model openai/script --base-url {server.base_url}",
        err=True,
    )
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
