"""Carry connections from 127.0.0.1 in a sandbox to the socket of the engine's proxy: forward.py SOCKET PORT.

The program listens, then goes to the background, where it holds nothing of the shell it was started for: its parent ends
with status 0 as soon as connections are taken. Whoever kills it loses the sandbox's network and nothing else. `Link`, one
connection carried both ways, serves the engine's proxy too. Standard library only.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Iterable, Mapping

_PIECE_BYTES = 64 << 10
_MOST_LINKS = 64
_WAITING = 128


class Flow:
    """One direction of a connection, from one socket to another, neither of which blocks."""

    def __init__(self, source: socket.socket, target: socket.socket, first: bytes = b"", most: int | None = None) -> None:
        """`first` goes ahead of what the source gives, of which `most` bytes are taken; anything further is an excess."""
        self._source = source
        self._target = target
        self._waiting = first
        self._left = most
        self._source_ended = False
        self.carried = 0
        self.is_exceeded = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self._source_ended and not self._waiting

    def wanted(self) -> tuple[int, int] | None:
        """The descriptor and the event it waits for."""
        if self._waiting:
            return self._target.fileno(), select.POLLOUT
        return None if self._source_ended else (self._source.fileno(), select.POLLIN)

    def move(self, ready: Mapping[int, int]) -> None:
        """Carry one piece if its descriptor is ready; the end of the source is passed on to the target."""
        wanted = self.wanted()
        if wanted is None or wanted[0] not in ready:
            return
        try:
            self._send() if self._waiting else self._receive()
        except BlockingIOError:
            return
        except OSError:  # one of the two is gone
            self._source_ended, self._waiting = True, b""
        if self.is_over:
            _end_writing(self._target)

    def _send(self) -> None:
        count = self._target.send(self._waiting)
        self.carried += count
        self._waiting = self._waiting[count:]

    def _receive(self) -> None:
        piece = self._source.recv(_PIECE_BYTES)
        self._source_ended = not piece
        if self._left is not None:
            self.is_exceeded = len(piece) > self._left
            piece = piece[: self._left]
            self._left -= len(piece)
        self._waiting = piece


class Link:
    """A connection carried both ways between two sockets; whoever made it closes the sockets."""

    def __init__(self, near: socket.socket, far: socket.socket, first: bytes = b"", most: int | None = None) -> None:
        """`first` and `most` are those of the flow from near to far."""
        for side in (near, far):
            side.setblocking(False)
        self.up = Flow(near, far, first, most)
        self.down = Flow(far, near)
        self._is_limited = most is not None

    @property
    def is_over(self) -> bool:
        """Whether both directions are, or for one limited exchange its answer; an excess ends it too."""
        return self.up.is_exceeded or (self.down.is_over and (self.up.is_over or self._is_limited))

    def wanted(self) -> list[tuple[int, int]]:
        """What its flows wait for."""
        return [wanted for flow in (self.up, self.down) if (wanted := flow.wanted()) is not None]

    def move(self, ready: Mapping[int, int]) -> None:
        """Carry what is ready."""
        self.up.move(ready)
        self.down.move(ready)


def ready_of(wanted: Iterable[tuple[int, int]], seconds: float | None = None) -> dict[int, int]:
    """Wait until one of the descriptors has its event or has failed; empty when the time is over."""
    masks: dict[int, int] = {}
    for descriptor, event in wanted:
        masks[descriptor] = masks.get(descriptor, 0) | event
    poll = select.poll()
    for descriptor, mask in masks.items():
        poll.register(descriptor, mask)
    return dict(poll.poll(None if seconds is None else max(0, seconds * 1000)))


def _end_writing(target: socket.socket) -> None:
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:  # it is gone
        return


def _accepted(listener: socket.socket, path: str) -> tuple[socket.socket, socket.socket] | None:
    """A client and its connection to the proxy; None where one of them is not to be had."""
    try:
        near = listener.accept()[0]
    except OSError:
        return None
    far = socket.socket(socket.AF_UNIX)
    far.setblocking(False)
    try:
        far.connect(path)
    except OSError:
        near.close()
        far.close()
        return None
    return near, far


def _carry_all(listener: socket.socket, path: str) -> None:
    links: dict[Link, tuple[socket.socket, socket.socket]] = {}
    while True:
        wanted = [pair for link in links for pair in link.wanted()]
        if len(links) < _MOST_LINKS:
            wanted.append((listener.fileno(), select.POLLIN))
        ready = ready_of(wanted)
        for link in list(links):
            link.move(ready)
            if link.is_over:
                for side in links.pop(link):
                    side.close()
        if listener.fileno() in ready and (pair := _accepted(listener, path)):
            links[Link(*pair)] = pair


def _go_to_background(kept: int) -> None:
    """Leave the shell's session and folder, and close everything but one descriptor."""
    os.setsid()
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    highest = max(int(entry.name) for entry in os.scandir("/proc/self/fd"))
    os.closerange(3, kept)
    os.closerange(kept + 1, highest + 1)


def main(arguments: list[str]) -> int:
    """Listen, and go on in the background."""
    path, port = arguments
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=_WAITING)
    listener.setblocking(False)
    if os.fork():
        return 0
    _go_to_background(listener.fileno())
    _carry_all(listener, path)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
