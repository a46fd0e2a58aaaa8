"""What the proxy understands of a request, and what it refuses to pass on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgym_lite.isolation.proxy_request import ProxyRequest, Refused, parse_request


def head(*lines: str) -> bytes:
    """A head of these lines."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def test_a_tunnel() -> None:
    """CONNECT names a host and a port, and nothing of its head is passed on."""
    wanted = parse_request(head("CONNECT PyPI.org.:443 HTTP/1.1", "Host: pypi.org:443", "Proxy-Authorization: Basic eA=="))
    assert wanted == ProxyRequest(host="pypi.org", port=443, is_tunnel=True)
    assert parse_request(head("CONNECT [2606:4700:0::1111]:8443 HTTP/1.0")).host == "2606:4700::1111"


def test_a_plain_request_is_written_anew() -> None:
    """The server gets the path, one Host, one length, and no field that is meant for a proxy or one connection."""
    wanted = parse_request(
        head(
            "POST http://A.org:8080/path?q=1 HTTP/1.1", "host: a.ORG:8080", "Accept: */*", "Proxy-Authorization: Basic eA==",
            "Proxy-Connection: keep-alive", "Connection: keep-alive, X-Own, content-length", "X-Own: 1", "TE: trailers",
            "Upgrade: websocket", "Keep-Alive: 5", "Content-Length: 3", "Authorization: Bearer t",
        )
    )  # fmt: skip
    assert (wanted.host, wanted.port, wanted.is_tunnel, wanted.body_bytes) == ("a.org", 8080, False, 3)
    assert wanted.head == head(
        "POST /path?q=1 HTTP/1.1", "Host: a.org:8080", "Accept: */*", "Authorization: Bearer t", "Content-Length: 3",
        "Connection: close",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "line"),
    [("http://a.org", "GET / HTTP/1.1"), ("HTTP://a.org?x", "GET /?x HTTP/1.1"), ("http://a.org:80/x//y", "GET /x//y HTTP/1.1")],
)
def test_addresses_without_a_path(target: str, line: str) -> None:
    """An address without a path means the root, and its own port is left out of Host."""
    assert parse_request(head(f"GET {target} HTTP/1.1")).head == head(line, "Host: a.org", "Connection: close")


@pytest.mark.parametrize(
    "lines",
    [
        ("GET /path HTTP/1.1", "Host: a.org"),
        ("GET https://a.org/ HTTP/1.1",),
        ("GET ftp://a.org/ HTTP/1.1",),
        ("GET http://user@a.org/ HTTP/1.1",),
        ("GET http://listed.org@a.org/ HTTP/1.1",),
        ("GET http://a.org\\@b.org/ HTTP/1.1",),
        ("GET http://a.org#@b.org/ HTTP/1.1",),
        ("GET http:///path HTTP/1.1",),
        ("GET http://a.org:0/ HTTP/1.1",),
        ("GET http://a.org:99999/ HTTP/1.1",),
        ("GET http://a.org/ HTTP/2.0",),
        ("GET  http://a.org/ HTTP/1.1",),
        ("GET http://a.org/ x HTTP/1.1",),
        ("get http://a.org/ HTTP/1.1",),
        ("GET http://a.org/\x7f HTTP/1.1",),
        ("GET http://b\u00fccher.org/ HTTP/1.1",),
        ("GET http://127.1/ HTTP/1.1",),
        ("GET http://a.org/ HTTP/1.1", "Host: b.org"),
        ("GET http://a.org/ HTTP/1.1", "Host: a.org:81"),
        ("GET http://a.org/ HTTP/1.1", "Host: a.org", "Host: a.org"),
        ("GET http://a.org/ HTTP/1.1", "Host:"),
        ("GET http://a.org/ HTTP/1.1", "Host : a.org"),
        ("GET http://a.org/ HTTP/1.1", " Host: a.org"),
        ("GET http://a.org/ HTTP/1.1", "X: 1", " folded"),
        ("GET http://a.org/ HTTP/1.1", "X: 1\nHost: b.org"),
        ("GET http://a.org/ HTTP/1.1", "X: 1\rHost: b.org"),
        ("GET http://a.org/ HTTP/1.1", "X: \x00"),
        ("GET http://a.org/ HTTP/1.1", "no colon"),
        ("GET http://a.org/ HTTP/1.1", ": empty"),
        ("POST http://a.org/ HTTP/1.1", "Content-Length: 1", "Content-Length: 2"),
        ("POST http://a.org/ HTTP/1.1", "Content-Length: 1, 1"),
        ("POST http://a.org/ HTTP/1.1", "Content-Length: +1"),
        ("POST http://a.org/ HTTP/1.1", "Content-Length: -1"),
        ("POST http://a.org/ HTTP/1.1", "Content-Length: 0x1"),
        ("POST http://a.org/ HTTP/1.1", "Content-Length: \xb2"),
        ("POST http://a.org/ HTTP/1.1", "Content-Length: " + "9" * 5000),
        ("POST http://a.org/ HTTP/1.1", "Transfer-Encoding: chunked"),
        ("POST http://a.org/ HTTP/1.1", "Transfer-Encoding: xchunked", "Content-Length: 1"),
        ("POST http://a.org/ HTTP/1.1", *(f"X{number}: 1" for number in range(101))),
        ("CONNECT a.org HTTP/1.1",),
        ("CONNECT http://a.org:443 HTTP/1.1",),
        ("CONNECT a.org:443/x HTTP/1.1",),
        ("CONNECT user@a.org:443 HTTP/1.1",),
        ("CONNECT [::1%25lo]:443 HTTP/1.1",),
        ("CONNECT ::1:443 HTTP/1.1",),
        ("",),
    ],
)
def test_what_could_be_understood_otherwise_is_refused(lines: tuple[str, ...]) -> None:
    """A request that a server behind might take for another one is not passed on."""
    with pytest.raises(Refused) as refusal:
        parse_request(head(*lines))
    assert refusal.value.status[:3] in {"400", "411", "431"}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    """No bytes make reading fail otherwise."""
    for text in (data, b"GET http://a.org/ HTTP/1.1\r\n" + data, b"CONNECT " + data):
        try:
            wanted = parse_request(text + b"\r\n\r\n")
        except Refused:
            continue
        assert wanted.host and 1 <= wanted.port <= 65535
        assert wanted.is_tunnel or wanted.head.count(b"\r\n\r\n") == 1


@given(st.lists(st.tuples(st.text("abcX-: \t", min_size=1, max_size=8), st.text("ab,: \r\n\t\x00", max_size=8)), max_size=4))
def test_no_field_adds_a_line(fields: list[tuple[str, str]]) -> None:
    """What is passed on has one line for each field that came, at most."""
    try:
        wanted = parse_request(head("GET http://a.org/ HTTP/1.1", *(f"{name}: {value}" for name, value in fields)))
    except Refused:
        return
    lines = wanted.head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert len(lines) <= 3 + len(fields)
    assert b"\n" not in b"".join(lines) and b"\r" not in b"".join(lines)
