"""What a task's grader needs to give its verdict; it judges, and leaves playing to `mlgym_player`.

A grader is one process, started by the engine in a sandbox of its own, in which no code of the agent ever runs. It
reads the submission, which is sealed by then, and leaves exactly one of two files in the verifier's log folder:
`reward.json` with exit status 0, or `rejection.txt` with exit status 65 where the submission itself is at fault. Any
other ending means that the grader failed, and the agent is not to blame.

Where the agent's code has to run to be scored, it runs in a second sandbox, the player. A stream socket, opened by
the engine, joins the two; each message is four bytes of length, most significant first, and then JSON in UTF-8, where an object
{"base64": text} stands for bytes. The judge speaks first, and the player answers each message once. A task may ask for
several players, which cannot speak to each other; one that the judge closes is ended by the engine, with all it has
started, before `close` returns. Whatever the player sends is the agent's word: every way in which it can be late, broken,
too long or not a number ends in `Rejected`, never in a failure of the grader.

The file stands alone, on the standard library, so that it can be put beside any grader.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn, cast

Split = Literal["dev", "test"]
Variant = Literal["full", "mini"]

REJECTED_STATUS = 65
REPLY_LIMIT_BYTES = 64 * 1024 * 1024
TRACEBACK_LIMIT_CHARACTERS = 2_000
REJECTION_LIMIT_CHARACTERS = 4_000
_HEADER_BYTES = 4
_CHUNK_BYTES = 1024 * 1024


class Rejected(Exception):
    """The submission is invalid; the message is shown to the agent and must not tell anything hidden."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What one grading is about; it lives as long as the grader's process."""

    split: Split
    """`dev` for a validation, `test` for the submission."""
    variant: Variant
    """Which data, or how many games, the episode is about."""
    seed: int
    """Determines every draw of this grading; drawn after the submission was sealed."""
    submission: Path
    """The declared artifacts, at their paths relative to the workspace."""
    hidden: Path
    """The labels, where the task has data."""
    data: Path
    """The data as the agent saw it, where the task has data."""
    parity: bool = False
    """Whether to score as MLGym's paper did."""
    player_descriptors: list[int] = field(default_factory=list)
    """The judge's ends of the links to players that are not opened yet."""
    ending_descriptor: int | None = None
    """Where the engine is told which player is to end; None where no engine holds the players."""

    def player(self) -> Player:
        """Open the link to the next player and seed it; call this once for each player the task declares.

        Raises:
            RuntimeError: There is no further player.
            Rejected: The player does not answer.
        """
        if not self.player_descriptors:
            raise RuntimeError("there is no player left to open: [metadata.mlgym_lite.player] says how many there are")
        descriptor = self.player_descriptors.pop(0)
        player = Player(socket.socket(fileno=descriptor), end=lambda: _end_player(self.ending_descriptor, descriptor))
        if player.ask({"seed": player_seed(self.seed)}) != {}:
            raise Rejected("the player's first answer is not the one expected")
        return player


class Player:
    """The judge's end of the link to the agent's code; whoever opens it closes it."""

    def __init__(
        self,
        connection: socket.socket,
        clock: Callable[[], float] = time.monotonic,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        """Take over a connected stream socket; `clock` counts seconds and never goes back, `end` ends the player."""
        self._connection = connection
        self._end: Callable[[], None] | None = end
        self._connection.setblocking(False)
        self._clock = clock

    def __enter__(self) -> Player:
        """Return the player itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Close the link and end the player."""
        self.close()

    def close(self) -> None:
        """Close the link and have the engine end the player with everything it started; closing it twice is harmless.

        When this returns nothing of the player is left: neither a process nor a file.
        """
        self._connection.close()
        end, self._end = self._end, None
        if end is not None:
            end()

    def ask(self, message: object, timeout_seconds: float = 60.0, *, reply_limit_bytes: int = REPLY_LIMIT_BYTES) -> Any:
        """Send a message and return the player's answer to it; both may hold bytes at any depth.

        The time-out covers the whole exchange. The answer's shape is unknown, but its numbers are finite.

        Raises:
            Rejected: The player ended, was late, reported an error, or sent something that is not JSON.
        """
        deadline = self._clock() + timeout_seconds
        payload = json.dumps(message, allow_nan=False, separators=(",", ":"), default=_as_base64).encode()
        self._send(len(payload).to_bytes(_HEADER_BYTES, "big") + payload, deadline)
        length = int.from_bytes(self._receive(_HEADER_BYTES, deadline), "big")
        if length > reply_limit_bytes:
            raise Rejected(f"the player announced an answer of {length} bytes; at most {reply_limit_bytes} are taken")
        return _without_error(_parsed(self._receive(length, deadline)))

    def _send(self, payload: bytes, deadline: float) -> None:
        """Send all bytes; a player that has ended is noticed by what follows, when its last words are read."""
        rest = memoryview(payload)
        while rest:
            self._wait_until_ready(select.POLLOUT, deadline)
            try:
                rest = rest[self._connection.send(rest[:_CHUNK_BYTES]) :]
            except BlockingIOError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return

    def _receive(self, size: int, deadline: float) -> bytes:
        """Return exactly so many bytes."""
        received = bytearray()
        while len(received) < size:
            self._wait_until_ready(select.POLLIN, deadline)
            try:
                chunk = self._connection.recv(min(size - len(received), _CHUNK_BYTES))
            except BlockingIOError:
                continue
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                raise Rejected("the submission's code ended before it had answered")
            received += chunk
        return bytes(received)

    def _wait_until_ready(self, event: int, deadline: float) -> None:
        """Wait for the socket, but not beyond the deadline."""
        poll = select.poll()
        poll.register(self._connection, event)
        left_seconds = deadline - self._clock()
        if left_seconds <= 0 or not poll.poll(math.ceil(left_seconds * 1000)):
            raise Rejected("the submission's code did not answer in time")


def run(grade: Callable[[Context], Mapping[str, float]]) -> NoReturn:
    """Grade as the engine asked for in the environment, leave the verdict and end the process.

    An exception other than `Rejected`, or a result that is not made of finite numbers, is a failure of the grader:
    its traceback goes to stderr and no verdict is left.
    """
    root = Path(os.environ.get("MLGYM_LITE_ROOT") or "/")
    logs = root / "logs" / "verifier"
    try:
        reward = finite_numbers(grade(context_from(os.environ, root)))
    except Rejected as rejection:
        _write_aside(logs / "rejection.txt", harmless(str(rejection))[:REJECTION_LIMIT_CHARACTERS])
        sys.exit(REJECTED_STATUS)
    _write_aside(logs / "reward.json", json.dumps(reward, allow_nan=False))
    sys.exit(0)


def context_from(environment: Mapping[str, str], root: Path) -> Context:
    """Return what the engine's environment variables say; the folders lie under `root`.

    Raises:
        KeyError: A variable is missing.
        ValueError: A variable has a value that is not allowed.
    """
    split, variant = environment["MLGYM_LITE_SPLIT"], environment["MLGYM_LITE_VARIANT"]
    if split not in ("dev", "test"):
        raise ValueError(f"MLGYM_LITE_SPLIT is {split!r}, expected 'dev' or 'test'")
    if variant not in ("full", "mini"):
        raise ValueError(f"MLGYM_LITE_VARIANT is {variant!r}, expected 'full' or 'mini'")
    scoring = environment.get("MLGYM_LITE_SCORING", "clean")
    if scoring not in ("clean", "parity"):
        raise ValueError(f"MLGYM_LITE_SCORING is {scoring!r}, expected 'clean' or 'parity'")
    descriptors = environment.get("MLGYM_LITE_PLAYER_FD", "")
    return Context(
        split=cast(Split, split),
        variant=cast(Variant, variant),
        seed=int(environment["MLGYM_LITE_SEED"]),
        submission=root / "submission",
        hidden=root / "hidden",
        data=root / "data",
        parity=scoring == "parity",
        player_descriptors=[int(descriptor) for descriptor in filter(None, descriptors.split(","))],
        ending_descriptor=int(ending) if (ending := environment.get("MLGYM_LITE_PLAYER_END_FD")) else None,
    )


def _end_player(ending_descriptor: int | None, player: int) -> None:
    """Ask the engine to end a player, named by the number of the judge's end of its link, and wait until it is gone."""
    if ending_descriptor is None:
        return
    os.write(ending_descriptor, player.to_bytes(_HEADER_BYTES, "big"))
    if not os.read(ending_descriptor, 1):
        raise RuntimeError("the engine did not say that the player has ended")


def player_seed(seed: int) -> int:
    """Return the seed the player gets: settled by the grading's seed, which it does not give away."""
    return int.from_bytes(hashlib.sha256(f"mlgym-lite player {seed}".encode()).digest()[:7], "big")


def finite_numbers(result: Mapping[str, float]) -> dict[str, float]:
    """Return the grader's result as plain numbers.

    Raises:
        ValueError: It is empty, or one of its values is not a finite number.
    """
    if not result:
        raise ValueError("the grader returned no metric")
    for name, value in result.items():
        if not isinstance(name, str) or isinstance(value, (bool, str)) or not math.isfinite(value):
            raise ValueError(f"metric {name!r} is {value!r}, expected a finite number")
    return {name: float(value) for name, value in result.items()}


def harmless(text: str) -> str:
    """Return the text with everything but printable characters, line ends and tabs spelled out."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def last_lines(text: str) -> str:
    """Return the end of a traceback, made harmless, from the beginning of a line if there is one."""
    end = harmless(text[-TRACEBACK_LIMIT_CHARACTERS:].strip())[-TRACEBACK_LIMIT_CHARACTERS:]
    _, newline, rest = end.partition("\n")
    return rest if newline and len(text) > len(end) else end


def _write_aside(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, so that it is never seen half written."""
    aside = path.with_name(path.name + ".part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def _parsed(payload: bytes) -> Any:
    """Return what the player's JSON says."""
    try:
        return json.loads(payload.decode("utf-8"), parse_float=_finite, parse_constant=_finite, object_hook=_from_base64)
    except (ValueError, RecursionError):
        raise Rejected("the player's answer is not JSON with finite numbers") from None


def _as_base64(value: object) -> dict[str, str]:
    """Return what stands for bytes in a message."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"a message cannot hold {type(value).__name__}")
    return {"base64": base64.b64encode(value).decode("ascii")}


def _from_base64(content: dict[str, Any]) -> Any:
    """Return the bytes that an object of the message stands for, and any other object as it is.

    Raises:
        ValueError: The text is no base64.
    """
    if content.keys() != {"base64"} or not isinstance(content["base64"], str):
        return content
    try:
        return base64.b64decode(content["base64"], validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _finite(text: str) -> float:
    """Return the number a text stands for.

    Raises:
        ValueError: It is infinite or not a number.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _without_error(reply: Any) -> Any:
    """Return the answer.

    Raises:
        Rejected: The player reports that the submission's code failed.
    """
    if isinstance(reply, dict) and "error" in reply:
        error = reply["error"]
        raise Rejected("the submission's code failed:\n" + last_lines(error if isinstance(error, str) else ""))
    return reply
