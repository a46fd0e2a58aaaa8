"""The tools that ask the engine for something: validate and submit.

The engine listens on a sequenced-packet socket whose descriptor number is in MLGYM_LITE_CONTROL_FD. A tool makes a
socket pair, sends one datagram with the request and one end of the pair, and reads the answer from the other until it
ends. Each call has its own answer channel, so calls at the same time cannot get each other's. Nothing is decided here:
an accepted submission ends the sandbox, and this process with it, before an answer comes.
"""

from __future__ import annotations

import json
import socket

from .arguments import positional
from .messages import Refusal
from .session import Session

VARIABLE = "MLGYM_LITE_CONTROL_FD"
READ_BYTES = 65536


def validate(arguments: list[str], session: Session) -> str:
    """Have the present work scored, and return what the engine says about it."""
    positional(arguments, 0, 0)
    return _ask(session, "validate")


def submit(arguments: list[str], session: Session) -> str:
    """Hand in the present work; returns only if the engine does not accept it."""
    positional(arguments, 0, 0)
    return _ask(session, "submit")


def _ask(session: Session, request: str) -> str:
    number = session.environment.get(VARIABLE, "")
    if not (number.isascii() and number.isdigit()):
        raise Refusal(f"Error: {request} has no connection to the engine; {VARIABLE} does not name a descriptor.")
    try:
        answer = _exchange(int(number), request)
    except (OSError, OverflowError) as error:
        raise Refusal(f"Error: {request} could not reach the engine on descriptor {number}: {error}.") from error
    return _text(answer, request)


def _exchange(descriptor: int, request: str) -> bytes:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours:
        with theirs, socket.socket(fileno=descriptor) as control:
            message = json.dumps({"request": request}).encode("utf-8")
            socket.send_fds(control, [message], [theirs.fileno()])
        parts = []
        while part := ours.recv(READ_BYTES):
            parts.append(part)
    return b"".join(parts)


def _text(answer: bytes, request: str) -> str:
    try:
        reply = json.loads(answer)
        is_ok, text = reply["ok"], reply["text"]
    except (ValueError, TypeError, KeyError) as error:
        raise Refusal(f"Error: the engine ended the connection without an answer to {request}.") from error
    if is_ok is not True:
        raise Refusal(str(text))
    return str(text)
