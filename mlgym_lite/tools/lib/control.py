"""The tools that ask the engine for something: validate, submit, and those of services that a run may have.

The engine listens on a sequenced-packet socket whose descriptor number is in MLGYM_LITE_CONTROL_FD. A tool makes a
socket pair, sends one datagram with the request and one end of the pair, and reads the answer from the other until it
ends. Each call has its own answer channel, so calls at the same time cannot get each other's. Arguments and files go along in
a memory file that is sealed: a line of JSON, then the file. Nothing is decided here: an accepted submission ends the sandbox,
and this process with it, before an answer comes.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket

from .arguments import positional
from .messages import Refusal, visible
from .session import Session

VARIABLE = "MLGYM_LITE_CONTROL_FD"
READ_BYTES = 65536
MOST_PICTURE_BYTES = 4 << 20
MOST_TEXT_BYTES = 64 << 10


def validate(arguments: list[str], session: Session) -> str:
    """Have the present work scored, and return what the engine says about it."""
    positional(arguments, 0, 0)
    return _ask(session, "validate")


def submit(arguments: list[str], session: Session) -> str:
    """Hand in the present work; returns only if the engine does not accept it."""
    positional(arguments, 0, 0)
    return _ask(session, "submit")


def memory_write(arguments: list[str], session: Session) -> str:
    """Have a note kept."""
    return _ask(session, "memory_write", _words(arguments, 1))


def memory_read(arguments: list[str], session: Session) -> str:
    """The kept notes that fit a question best; the last ones without a question."""
    return _ask(session, "memory_read", _words(arguments, 0))


def literature_search(arguments: list[str], session: Session) -> str:
    """Papers that fit the words."""
    return _ask(session, "literature_search", _words(arguments, 1))


def read_paper(arguments: list[str], session: Session) -> str:
    """A page of a paper's text."""
    return _ask(session, "read_paper", positional(arguments, 1, 2))


def view_image(arguments: list[str], session: Session) -> str:
    """Have a picture shown beside this action's output."""
    [path] = positional(arguments, 1, 1)
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_PICTURE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Refusal(f"Error: {visible(path)} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if len(content) > MOST_PICTURE_BYTES:
        raise Refusal(f"Error: {visible(path)} has more than {MOST_PICTURE_BYTES >> 20} MiB. Save it smaller.")
    return _ask(session, "view_image", [visible(path)], content)


def _words(arguments: list[str], least: int) -> list[str]:
    words = positional(arguments, least, len(arguments))
    if sum(map(len, words)) > MOST_TEXT_BYTES:
        raise Refusal(f"Error: the text has more than {MOST_TEXT_BYTES >> 10} KiB.")
    return words


def _ask(session: Session, request: str, arguments: list[str] | None = None, attached: bytes = b"") -> str:
    number = session.environment.get(VARIABLE, "")
    if not (number.isascii() and number.isdigit()):
        raise Refusal(f"Error: {request} has no connection to the engine; {VARIABLE} does not name a descriptor.")
    try:
        answer = _exchange(int(number), request, None if arguments is None else _sealed(arguments, attached))
    except (OSError, OverflowError) as error:
        raise Refusal(f"Error: {request} could not reach the engine on descriptor {number}: {error}.") from error
    return _text(answer, request)


def _sealed(arguments: list[str], attached: bytes) -> int:
    """A memory file with both that nobody can change any more."""
    descriptor = os.memfd_create("mlgym-lite-request", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(json.dumps(arguments).encode("ascii") + b"\n" + attached)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return descriptor


def _exchange(descriptor: int, request: str, sealed: int | None) -> bytes:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours:
        with theirs, socket.socket(fileno=descriptor) as control:
            message = json.dumps({"request": request}).encode("utf-8")
            socket.send_fds(control, [message], [theirs.fileno(), *([] if sealed is None else [sealed])])
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
