"""The proxy through which a sandbox without a network reaches the hosts of its allow-list, and nothing else.

Theory of operation. The proxy listens on a unix socket in a folder of its own, which the sandbox shows read-only; in the
sandbox a forwarder carries 127.0.0.1:3128 to it (`tools/network/forward.py`). One thread of the engine takes connections, and
each gets a thread: it reads one head, looks the host up in the list, resolves it here, checks the addresses and connects to
exactly one that it checked. Names are never resolved in the sandbox. Every connection is a line of network.jsonl once it has
ended. `close` ends all connections; if the engine is killed, what stays is a socket file that nobody listens on.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlgym_lite.config.allowed_hosts import Address, AllowedHost
from mlgym_lite.isolation.network_log import NetworkLog
from mlgym_lite.isolation.proxy_request import ProxyRequest, Refused, parse_request
from mlgym_lite.tools.network.forward import Link, ready_of

logger = logging.getLogger(__name__)

SOCKET_NAME = "socket"
_MOST_HEAD_BYTES = 32 << 10
_CLOSE_SECONDS = 1.0
_AFTER_FAILURE_SECONDS = 0.2
_END_OF_HEAD = b"\r\n\r\n"

Resolver = Callable[[str, int], Sequence[str]]
"""Gives the addresses a host name stands for; raises OSError where there is none."""


@dataclass(frozen=True, kw_only=True)
class ProxyLimits:
    """What one proxy bears."""

    connections: int = 64
    """At the same time; further ones wait."""
    head_seconds: float = 15.0
    connect_seconds: float = 20.0
    """For each address."""
    idle_seconds: float = 600.0
    """Without a byte either way; a model may think long."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host by the system's resolver, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class NetworkProxy:
    """Serves one episode, which closes it."""

    def __init__(
        self,
        hosts: Sequence[AllowedHost],
        *,
        folder: Path,
        log: Path,
        group: int | None = None,
        resolver: Resolver = resolve,
        limits: ProxyLimits | None = None,
    ) -> None:
        """Listen in `folder`, which is made, for its owner and, where one is named, a group; raises OSError."""
        self._hosts = tuple(hosts)
        self._folder = folder
        self._resolver = resolver
        self._limits = limits or ProxyLimits()
        self._slots = threading.Semaphore(self._limits.connections)
        self._workers: list[threading.Thread] = []
        self._is_closing = False
        with contextlib.ExitStack() as stack:
            self._log = stack.enter_context(NetworkLog(log))
            self._listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            self._stop, self._stopping = map(stack.enter_context, socket.socketpair())
            _listen(self._listener, folder, group)
            self._thread = threading.Thread(target=self._take_connections, name="mlgym-lite-proxy", daemon=True)
            self._thread.start()
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End every connection and take the socket away; twice is harmless."""
        if self._is_closing:
            return
        self._is_closing = True
        self._stopping.close()  # which every thread sees
        self._slots.release()
        self._thread.join()
        deadline = time.monotonic() + _CLOSE_SECONDS
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))  # one that resolves a name cannot be called off
        self._stack.close()
        with contextlib.suppress(OSError):
            (self._folder / SOCKET_NAME).unlink()
            self._folder.rmdir()

    def _take_connections(self) -> None:
        while True:
            self._slots.acquire()
            ready = ready_of([(self._listener.fileno(), select.POLLIN), (self._stop.fileno(), select.POLLIN)])
            if self._stop.fileno() in ready:
                return
            try:
                client = self._listener.accept()[0]
                worker = threading.Thread(target=self._serve, args=(client,), name="mlgym-lite-connection", daemon=True)
                worker.start()
            except (OSError, RuntimeError) as error:  # the client is gone, or this process has no descriptor or thread left
                logger.warning("a connection was not taken: %s", error)
                self._slots.release()
                ready_of([(self._stop.fileno(), select.POLLIN)], _AFTER_FAILURE_SECONDS)
                continue
            self._workers = [thread for thread in (*self._workers, worker) if thread.is_alive()]

    def _serve(self, client: socket.socket) -> None:
        """One connection from its head to its end."""
        started = time.monotonic()
        record: dict[str, Any] = {"host": None, "port": None, "allowed": False, "bytes_up": 0, "bytes_down": 0, "detail": ""}
        try:
            with client:
                client.setblocking(False)
                try:
                    self._answer(client, record)
                except Refused as refused:
                    record["detail"] = str(refused)
                    _tell(client, refused)
                except OSError as error:
                    record["detail"] = error.strerror or str(error)
            self._log.append({**record, "seconds": round(time.monotonic() - started, 3)})
        finally:
            self._slots.release()

    def _answer(self, client: socket.socket, record: dict[str, Any]) -> None:
        head, rest = self._read_head(client)
        request = parse_request(head)
        record.update(host=request.host, port=request.port)
        addresses = self._allowed_addresses(request)
        if not request.is_tunnel and len(rest) > request.body_bytes:
            raise Refused("400 Bad Request", "there is more than one request")
        record.update(allowed=True)
        with self._connected(addresses, request.port) as server:
            record.update(address=server.getpeername()[0])
            if request.is_tunnel:
                client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                link = Link(client, server, rest)
            else:
                link = Link(client, server, request.head + rest, request.body_bytes - len(rest))
            try:
                self._carry(link)
            finally:
                record.update(bytes_up=link.up.carried, bytes_down=link.down.carried)

    def _read_head(self, client: socket.socket) -> tuple[bytes, bytes]:
        deadline = time.monotonic() + self._limits.head_seconds
        data = bytearray()
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not self._is_ready(client, select.POLLIN, left):
                raise Refused("408 Request Timeout", f"no whole head came within {self._limits.head_seconds:g} s")
            piece = client.recv(8192)
            if not piece:
                raise ConnectionResetError("the client left before its head was complete")
            searched = max(0, len(data) - len(_END_OF_HEAD))
            data += piece
            end = data.find(_END_OF_HEAD, searched)
            if end >= 0 and end + len(_END_OF_HEAD) <= _MOST_HEAD_BYTES:
                end += len(_END_OF_HEAD)
                return bytes(data[:end]), bytes(data[end:])
            if len(data) > _MOST_HEAD_BYTES:
                raise Refused("431 Request Header Fields Too Large", f"the head is longer than {_MOST_HEAD_BYTES} bytes")

    def _allowed_addresses(self, request: ProxyRequest) -> list[Address]:
        """The addresses to try; a host that is not listed is not even looked up."""
        place = f"{request.host}:{request.port}"
        entries = [entry for entry in self._hosts if entry.matches(request.host, request.port, request.default_port)]
        if not entries:
            raise Refused("403 Forbidden", f"{place} is not among the hosts this sandbox may reach")
        try:
            found = [ipaddress.ip_address(text) for text in self._resolver(request.host, request.port)]
        except (OSError, ValueError) as error:
            raise Refused("502 Bad Gateway", f"{place} is not known here: {error}") from error
        if self._is_closing:
            raise ConnectionAbortedError("the sandbox was closed")
        allowed = [address for address in found if any(entry.allows(address) for entry in entries)]
        if not allowed:
            shown = ", ".join(map(str, found)) or "no address"
            raise Refused("403 Forbidden", f"{place} stands for {shown}, which a listed name may not (see `local:`)")
        return allowed

    @contextlib.contextmanager
    def _connected(self, addresses: Sequence[Address], port: int) -> Iterator[socket.socket]:
        """A connection to the first of these addresses that takes one."""
        reason = ""
        for address in addresses:
            with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET) as server:
                server.setblocking(False)
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                number = server.connect_ex((str(address), port))
                if number == errno.EINPROGRESS and self._is_ready(server, select.POLLOUT, self._limits.connect_seconds):
                    number = server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if number == 0:
                    yield server
                    return
                reason = "no answer in time" if number == errno.EINPROGRESS else os.strerror(number)
        raise Refused("502 Bad Gateway", f"no connection to {addresses[0]} port {port}: {reason}")

    def _carry(self, link: Link) -> None:
        while not link.is_over:
            ready = ready_of([*link.wanted(), (self._stop.fileno(), select.POLLIN)], self._limits.idle_seconds)
            if not ready or self._stop.fileno() in ready:
                return
            link.move(ready)

    def _is_ready(self, one: socket.socket, event: int, seconds: float) -> bool:
        """Wait for a socket; raises OSError where the proxy is being closed."""
        ready = ready_of([(one.fileno(), event), (self._stop.fileno(), select.POLLIN)], seconds)
        if self._stop.fileno() in ready:
            raise ConnectionAbortedError("the sandbox was closed")
        return bool(ready)


def _listen(listener: socket.socket, folder: Path, group: int | None) -> None:
    """Bind in a folder whose path may be longer than an address of a socket can be (unix(7): 108 bytes)."""
    folder.mkdir(mode=0o700)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{descriptor}/{SOCKET_NAME}")
    finally:
        os.close(descriptor)
    path = folder / SOCKET_NAME
    path.chmod(0o600 if group is None else 0o660)
    if group is not None:
        for place in (path, folder):
            os.chown(place, -1, group)
        folder.chmod(0o750)
    listener.listen(1024)
    listener.setblocking(False)


def _tell(client: socket.socket, refused: Refused) -> None:
    """Answer with the reason; the client may be gone."""
    text = f"mlgym-lite: {refused}\n".encode("utf-8", "replace")
    head = f"HTTP/1.1 {refused.status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(text)}\r\n"
    with contextlib.suppress(OSError):
        client.send(f"{head}Connection: close\r\n\r\n".encode("ascii") + text)
        client.shutdown(socket.SHUT_WR)
