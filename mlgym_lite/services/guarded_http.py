"""Fetching from an untrusted server: bounded in time and size, and only from addresses that were checked.

The host name is resolved once, every address it has is checked, and the connection goes to the very address that passed, so
a name that changes its mind in between wins nothing; the certificate is still checked against the name. Redirects are
followed here, each as a fetch of its own. The bound on time holds for the whole fetch, however slowly a server drips.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpcore

from mlgym_lite.config.allowed_hosts import AllowedHost, canonical_host, is_public

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NETWORK_ERRORS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


class FetchError(Exception):
    """Nothing usable came back; the message says why without naming addresses."""


class OutOfReach(FetchError):
    """The server could not be reached, or broke off, which may pass."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes


@dataclass(frozen=True, kw_only=True)
class FetchLimits:
    """What one fetch may take."""

    seconds: float
    most_bytes: int
    redirects: int = 0
    allowed: Callable[[str, int, str], bool]
    """Whether a connection to this host and port may go to this address of it, see `may_connect`."""


Resolver = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host. Raises OSError where it has none."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def may_connect(host: str, port: int, address: str, own_hosts: Sequence[AllowedHost]) -> bool:
    """Whether a stranger's address may lead there: to the public internet, or to a host that the user listed."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    default_port = 443 if port == 443 else 80
    return is_public(parsed) or any(own.matches(host, port, default_port) and own.allows(parsed) for own in own_hosts)


def fetch(
    address: str,
    *,
    limits: FetchLimits,
    headers: Mapping[str, str] | None = None,
    resolver: Resolver = resolve,
    clock: Callable[[], float] = time.monotonic,
) -> Fetched:
    """Get `address`, following redirects as far as `limits` say; a status such as 404 comes back as it is.

    Raises FetchError, which is OutOfReach where trying again may help.
    """
    deadline = clock() + limits.seconds
    for _ in range(limits.redirects + 1):
        fetched = _fetch_once(_written_safely(address), limits, headers or {}, _Backend(limits, resolver, deadline, clock))
        if not limits.redirects or fetched.status not in _REDIRECTS or "location" not in fetched.headers:
            return fetched
        address = _redirected(address, fetched.headers["location"])
    raise FetchError(f"more than {limits.redirects} redirects")


def _redirected(address: str, location: str) -> str:
    try:
        return urllib.parse.urljoin(address, location)
    except ValueError as error:
        raise FetchError("its server redirects to a malformed address") from error


def _written_safely(address: str) -> str:
    """The address in plain ASCII, without a fragment."""
    try:
        parts = urllib.parse.urlsplit(address.strip())
        if parts.scheme not in ("http", "https") or parts.username is not None:
            raise FetchError("its address is not a plain http or https one")
        host, port = canonical_host(parts.hostname or ""), parts.port
    except ValueError as error:  # UnicodeError is one
        raise FetchError("its address is malformed") from error
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    path, query = (urllib.parse.quote(part, safe="%/:=&?~+!$,;'@()*[]") for part in (parts.path or "/", parts.query))
    return urllib.parse.urlunsplit((parts.scheme, place, path, query, ""))


def _fetch_once(address: str, limits: FetchLimits, headers: Mapping[str, str], backend: _Backend) -> Fetched:
    sent = {"User-Agent": "mlgym-lite", "Accept-Encoding": "identity", **headers}
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), limits.seconds)
    try:
        with httpcore.ConnectionPool(network_backend=backend) as pool:
            with pool.stream("GET", address, headers=list(sent.items()), extensions={"timeout": timeout}) as response:
                received = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
                redirected = limits.redirects and response.status in _REDIRECTS
                body = b"" if redirected else _body(response, received, limits.most_bytes)
                return Fetched(status=response.status, headers=received, body=body)
    except httpcore.TimeoutException as error:
        raise OutOfReach(f"its server did not answer within {limits.seconds:.0f} s") from error
    except (*_NETWORK_ERRORS, OSError, UnicodeError) as error:
        raise OutOfReach("its server cannot be reached, or broke off") from error


def _body(response: httpcore.Response, headers: Mapping[str, str], most_bytes: int) -> bytes:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchError("its server sends it packed, though asked not to")
    length = headers.get("content-length", "")
    body = bytearray()
    if not (length.isdecimal() and int(length[:20]) > most_bytes):
        for piece in response.iter_stream():
            body += piece
            if len(body) > most_bytes:
                break
        else:
            return bytes(body)
    raise FetchError(f"it is larger than {most_bytes / 1e6:g} MB")


class _Backend(httpcore.NetworkBackend):
    """Connections of one fetch: to checked addresses, until a deadline."""

    def __init__(self, limits: FetchLimits, resolver: Resolver, deadline: float, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._resolver = resolver
        self._deadline = deadline
        self._clock = clock
        self._sockets = httpcore.SyncBackend()

    def left(self) -> float:
        """Seconds until the deadline. Raises httpcore's time-out where there are none."""
        left = self._deadline - self._clock()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to one of the host's addresses, all of which are checked first."""
        addresses = self._addresses(host, port)
        if not all(self._limits.allowed(host, port, address) for address in addresses):
            raise FetchError("its server is not on the public internet")
        failure: Exception | None = None
        for address in addresses:
            try:
                stream = self._sockets.connect_tcp(address, port, self.left(), local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
            else:
                return _Stream(stream, self)
        raise httpcore.ConnectError("no address answers") from failure

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        """Resolved on a thread, as the system's resolver takes its own time."""
        found: list[Sequence[str]] = []

        def look_up() -> None:
            try:
                found.append(self._resolver(host, port))
            except OSError:
                found.append([])

        thread = threading.Thread(target=look_up, name="mlgym-lite-resolver", daemon=True)
        thread.start()
        thread.join(self.left())
        if not found or not found[0]:
            raise httpcore.ConnectError("the name has no address")
        return found[0]


class _Stream(httpcore.NetworkStream):
    """A stream whose every wait ends at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, backend: _Backend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._backend.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._backend.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._backend.left()), self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
