"""The agent's side of the link to the judge: answers the judge's messages with what the agent's code says.

The process that imports this runs the agent's code, so nothing here is a wall: the walls are the sandbox around it
and the judge at the other end (`mlgym_judge`, which tells what the messages look like). The link is a descriptor of
its own: whatever the agent's code prints goes elsewhere and disturbs nothing. Programs the agent's code starts do not
inherit the link. The process ends when the judge closes its end, or after it has reported an error.

The file stands alone, on the standard library, so that it can be put beside any task's player program.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import os
import random
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

_HEADER_BYTES = 4
_TRACEBACK_LIMIT_CHARACTERS = 20_000
_NUMPY_SEEDS = 2**32


def serve(handler: Callable[[Any], object]) -> None:
    """Answer the judge's messages with what `handler` returns for each, until the judge closes the link.

    The first message only carries the seed and does not reach the handler. An exception in the handler, whatever its
    kind, is reported to the judge and ends the process with status 1.
    """
    descriptor = int(os.environ.pop("MLGYM_LITE_PLAYER_FD"))
    os.set_inheritable(descriptor, False)
    with socket.socket(fileno=descriptor) as link, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _answer_all(link, handler)


def seed_everything(seed: int) -> None:
    """Seed the generators that agents use without asking: `random`, and numpy's and torch's where they are installed.

    Torch takes seconds to import and is seeded once the player program has imported it; import it before `serve`.
    """
    random.seed(seed)
    if importlib.util.find_spec("numpy") is not None:
        import numpy

        numpy.random.seed(seed % _NUMPY_SEEDS)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def _answer_all(link: socket.socket, handler: Callable[[Any], object]) -> None:
    """Answer one message after the other, the seed first."""
    answer: Callable[[Any], object] = _take_seed
    while (message := _receive(link)) is not None:
        try:
            question = json.loads(message, object_hook=_from_base64)
            reply = json.dumps(answer(question), allow_nan=False, separators=(",", ":"), default=_as_base64)
        except BaseException:
            _send(link, json.dumps({"error": traceback.format_exc()[-_TRACEBACK_LIMIT_CHARACTERS:]}))
            sys.exit(1)
        _send(link, reply)
        answer = handler


def _as_base64(value: object) -> dict[str, str]:
    """Return what stands for bytes in a message."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"an answer cannot hold {type(value).__name__}")
    return {"base64": base64.b64encode(value).decode("ascii")}


def _from_base64(content: dict[str, Any]) -> Any:
    """Return the bytes that an object of the message stands for, and any other object as it is."""
    return base64.b64decode(content["base64"]) if content.keys() == {"base64"} else content


def _take_seed(message: Any) -> dict[str, object]:
    """Seed the process as the judge's first message says."""
    seed_everything(int(message["seed"]))
    return {}


def _send(link: socket.socket, text: str) -> None:
    """Send one message."""
    payload = text.encode()
    link.sendall(len(payload).to_bytes(_HEADER_BYTES, "big") + payload)


def _receive(link: socket.socket) -> bytes | None:
    """Return the next message, or nothing once the judge has closed the link."""
    header = _receive_exactly(link, _HEADER_BYTES)
    return None if header is None else _receive_exactly(link, int.from_bytes(header, "big"))


def _receive_exactly(link: socket.socket, size: int) -> bytes | None:
    """Return exactly so many bytes, or nothing where the link ends before."""
    received = bytearray()
    while len(received) < size:
        chunk = link.recv(size - len(received))
        if not chunk:
            return None
        received += chunk
    return bytes(received)
