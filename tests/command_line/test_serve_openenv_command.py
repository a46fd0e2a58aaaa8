"""`mlgym-lite serve-openenv`, spoken to in bare messages: what is malformed, who is refused, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program_harness import Program
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.kernel
Started = Callable[..., "subprocess.Popen[str]"]


def address_of(server: subprocess.Popen[str]) -> str:
    """What it prints first."""
    assert server.stdout is not None
    return server.stdout.readline().strip()


def opened(address: str, **options: Any) -> ClientConnection:
    """A session, for a `with`."""
    return connect(address.replace("http://", "ws://") + "/ws", proxy=None, **options)


def asked(connection: ClientConnection, message: Any) -> dict[str, Any]:
    """The answer to a message."""
    connection.send(message if isinstance(message, (str, bytes)) else json.dumps(message))
    answer: dict[str, Any] = json.loads(connection.recv(timeout=60))
    return answer


def test_what_is_malformed_is_told(started: Started, make_task: Callable[..., Path], working_folder: Path) -> None:
    """With a code and the key, and the session goes on; pages are answered; a browser's page and other paths are not."""
    server = started("serve-openenv", make_task(), "--port", "0", "--runs", working_folder / "kept", "--max-steps", "2")
    address = address_of(server)
    with opened(address) as session:
        for message, code, told in (
            ("{", "INVALID_JSON", "Invalid JSON"),
            ("[" * 100_000, "INVALID_JSON", "Invalid JSON"),
            ([1], "UNKNOWN_TYPE", "None"),
            ({"type": "mcp", "data": {}}, "UNKNOWN_TYPE", "'mcp'"),
            ({"type": "reset", "data": {"seed": "7"}}, "VALIDATION_ERROR", "data.seed"),
            ({"type": "reset", "data": {"seed": -1}}, "VALIDATION_ERROR", "data.seed"),
            ({"type": "reset", "request_id": 1}, "VALIDATION_ERROR", "request_id"),
            ({"type": "step", "data": {"command": 1}}, "VALIDATION_ERROR", "data.command"),
            ({"type": "step", "data": {"command": "ls"}}, "EXECUTION_ERROR", "reset()"),
        ):
            answer = asked(session, message)
            assert (answer["type"], answer["data"]["code"]) == ("error", code) and told in answer["data"]["message"]
        assert asked(session, {"type": "state"})["data"]["steps_left"] is None
        assert asked(session, {"type": "reset"})["data"]["observation"]["text"].startswith("Write")
        first = asked(session, {"type": "step", "data": {"command": "echo 2 > answer.txt", "metadata": {"a": 1}}})["data"]
        last = asked(session, {"type": "step", "data": {"command": "true"}})["data"]
        assert (first["done"], last["done"], last["metadata"]["truncated"], last["reward"]) == (False, True, True, 1.0)
        assert asked(session, {"type": "state"})["data"] == {
            "episode_id": None, "step_count": 2, "task": "tiny", "variant": "full", "seed": None, "steps_left": 0, "done": True,
        }  # fmt: skip
    health = urllib.request.urlopen(f"{address}/health")
    assert json.load(health) == {"status": "healthy"} and health.headers["Content-Type"] == "application/json"
    assert "command" in json.load(urllib.request.urlopen(f"{address}/schema"))["action"]["properties"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{address}/metadata")
    with pytest.raises(InvalidStatus, match="403"):
        with opened(address, origin="http://elsewhere.example"):
            pass
    assert [(path / "result.json").is_file() for path in (working_folder / "kept").iterdir()].count(True) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_the_middle_of_a_step(number: int, started: Started, make_task: Callable[..., Path], tmp_path: Path) -> None:
    """At once, with status 0, and nothing is left: no process, no folder. A session that only waits does not hold it up."""
    (tmp_path / "temporary").mkdir(mode=0o777)
    server = started("serve-openenv", make_task(), "--port", "0", "--sessions", "3", TMPDIR=str(tmp_path / "temporary"))
    address = address_of(server)
    with opened(address) as busy, opened(address) as waiting:
        asked(busy, {"type": "reset"})
        asked(waiting, {"type": "reset"})
        asked(busy, {"type": "step", "data": {"command": "mkfifo pipe; echo begun"}})
        busy.send(json.dumps({"type": "step", "data": {"command": "cat pipe"}}))
        server.send_signal(number)
        told = server.communicate(timeout=60)[1]
        with pytest.raises(ConnectionClosed):
            waiting.recv(timeout=10)
    assert server.returncode == 0 and "Traceback" not in told, told
    assert not [*(tmp_path / "temporary").iterdir()]


def test_who_leaves_makes_room(started: Started, make_task: Callable[..., Path]) -> None:
    """Also in the middle of a command, and without a goodbye; who is refused is told."""
    server = started("serve-openenv", make_task(), "--port", "0", "--quiet")
    address = address_of(server)
    with opened(address) as first:
        asked(first, {"type": "reset"})
        with opened(address) as second:
            answer = asked(second, {"type": "reset"})
            assert answer["data"]["code"] == "CAPACITY_REACHED" and answer["data"]["max_sessions"] == 1
        first.socket.shutdown(socket.SHUT_RDWR)
    for _ in range(200):
        with opened(address) as third:
            answer = asked(third, {"type": "reset"})
        if answer["type"] == "observation":
            break
    assert answer["type"] == "observation"


def test_who_is_silent_makes_room(started: Started, make_task: Callable[..., Path]) -> None:
    """After the time that is allowed, and is told; a command that takes longer is not silence."""
    server = started("serve-openenv", make_task(), "--port", "0", "--quiet", "--idle-timeout", "1")
    address = address_of(server)
    with opened(address) as silent:
        assert asked(silent, {"type": "reset"})["type"] == "observation"
        assert asked(silent, {"type": "step", "data": {"command": "sleep 1.5"}})["type"] == "observation"
        with pytest.raises(ConnectionClosed, match="nothing was asked for 1 s"):
            silent.recv(timeout=60)
        with opened(address) as second:
            assert asked(second, {"type": "reset"})["type"] == "observation"


def test_what_cannot_be_served(mlgym: Program, started: Started, make_task: Callable[..., Path], tmp_path: Path) -> None:
    """A task that is none, one whose episode does not begin, and a port that is taken are told before anything is served."""
    ended = mlgym("serve-openenv", tmp_path / "absent", "--port", "0")
    assert ended.status == 3 and ended.out == "" and "absent" in ended.err
    ended = mlgym("serve-openenv", make_task(), "--port", "0", "--profile", "none-such")
    assert ended.status == 9 and ended.out == ""
    address = address_of(started("serve-openenv", make_task(), "--port", "0"))
    ended = mlgym("serve-openenv", make_task(), "--port", address.rsplit(":", 1)[1])
    assert ended.status == 7 and "cannot be listened on" in ended.err and "another --host or --port" in ended.err
