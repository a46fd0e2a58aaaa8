"""Reading what a client asks of the proxy: a tunnel (CONNECT) or one plain HTTP request, told apart from everything else.

A pure function of the head's bytes. A plain request is written anew from what was understood, never passed on as it came, so
that the server behind cannot understand it otherwise: one host, one length, none of the fields meant for a proxy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlgym_lite.config.allowed_hosts import canonical_host, split_authority

HTTP_PORT = 80
HTTPS_PORT = 443
_MOST_FIELDS = 100
_MOST_LENGTH_DIGITS = 15

_REQUEST_LINE = re.compile(r"([A-Z]{1,20}) ([\x21-\x7e]+) (HTTP/1\.[01])")
_PLAIN_TARGET = re.compile(r"http://([^/?#]*)(/[^#]*|\?[^#]*)?", re.IGNORECASE)
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_HOP_BY_HOP = frozenset({"connection", "proxy-connection", "keep-alive", "te", "trailer", "upgrade"})
_WRITTEN_ANEW = frozenset({"host", "content-length"})


class Refused(Exception):
    """A request is not served; has the HTTP status and the reason."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class ProxyRequest:
    """What a client wants."""

    host: str
    """As `canonical_host` spells it."""
    port: int
    is_tunnel: bool
    head: bytes = b""
    """What the server is sent first, for plain HTTP."""
    body_bytes: int = 0
    """How much of what the client sends after its head belongs to the request, for plain HTTP."""

    @property
    def default_port(self) -> int:
        """The port that an entry of the allow-list means when it names none."""
        return HTTPS_PORT if self.is_tunnel else HTTP_PORT


def parse_request(head: bytes) -> ProxyRequest:
    """Read a head that ends with an empty line; raises Refused."""
    request_line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    found = _REQUEST_LINE.fullmatch(request_line)
    if found is None:
        raise _bad("this is not a request of HTTP/1.0 or HTTP/1.1")
    method, target, version = found.groups()
    fields = _fields(lines)
    if method == "CONNECT":
        host, port = _host_and_port(target)
        if port is None:
            raise _bad("CONNECT names no port")
        return ProxyRequest(host=host, port=port, is_tunnel=True)
    plain = _PLAIN_TARGET.fullmatch(target)
    if plain is None:
        raise _bad("the target is no http:// address; HTTPS goes through CONNECT")
    host, port = _host_and_port(plain[1])
    _check_host_field(fields, host, port or HTTP_PORT)
    length = _body_length(fields)
    path = plain[2] or "/"
    own = [f"{method} {path if path.startswith('/') else '/' + path} {version}", f"Host: {_authority(host, port)}"]
    own += [f"{name}: {value}" for name, value in _passed_on(fields)]
    own += [] if length is None else [f"Content-Length: {length}"]
    return ProxyRequest(
        host=host, port=port or HTTP_PORT, is_tunnel=False, body_bytes=length or 0,
        head="\r\n".join([*own, "Connection: close", "", ""]).encode("latin-1"),
    )  # fmt: skip


def _bad(reason: str) -> Refused:
    return Refused("400 Bad Request", reason)


def _host_and_port(authority: str) -> tuple[str, int | None]:
    try:
        host, port = split_authority(authority)
        return canonical_host(host), port
    except ValueError as error:
        raise _bad(f"{authority[:100]!r} {error}") from error


def _authority(host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port in (None, HTTP_PORT) else f"{shown}:{port}"


def _fields(lines: list[str]) -> list[tuple[str, str]]:
    if len(lines) > _MOST_FIELDS:
        raise Refused("431 Request Header Fields Too Large", f"there are more than {_MOST_FIELDS} header fields")
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not (colon and _FIELD_NAME.fullmatch(name) and _FIELD_VALUE.fullmatch(value)):
            raise _bad("a header field is ill-formed")
        fields.append((name, value.strip(" \t")))
    return fields


def _values(fields: list[tuple[str, str]], wanted: str) -> list[str]:
    return [value for name, value in fields if name.lower() == wanted]


def _check_host_field(fields: list[tuple[str, str]], host: str, port: int) -> None:
    values = _values(fields, "host")
    if len(values) > 1:
        raise _bad("there is more than one Host field")
    for value in values:
        named, named_port = _host_and_port(value)
        if (named, named_port or HTTP_PORT) != (host, port):
            raise _bad("the Host field names another host than the address")


def _body_length(fields: list[tuple[str, str]]) -> int | None:
    if _values(fields, "transfer-encoding"):
        raise Refused("411 Length Required", "a body of unknown length is not passed on; state Content-Length, or use HTTPS")
    lengths = _values(fields, "content-length")
    if not lengths:
        return None
    (length, *further) = lengths
    if further or not (length.isascii() and length.isdigit()) or len(length) > _MOST_LENGTH_DIGITS:
        raise _bad("Content-Length is not one number")
    return int(length)


def _passed_on(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    named = {word.strip().lower() for value in _values(fields, "connection") for word in value.split(",")}
    left_out = _HOP_BY_HOP | _WRITTEN_ANEW | named
    return [(name, value) for name, value in fields if name.lower() not in left_out and not name.lower().startswith("proxy-")]
