"""The proxy of an allow-list, spoken to on its socket as a sandbox would: what it passes, refuses, bears and records."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from network_servers import echoing, serving, telling_what_came, until_end

from mlgym_lite.config.allowed_hosts import parse_allowed_host
from mlgym_lite.isolation.network_proxy import NetworkProxy, ProxyLimits

Open = Callable[..., "Running"]
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
QUICK = ProxyLimits(head_seconds=0.3, connect_seconds=5.0, idle_seconds=0.3)


class Running:
    """A proxy with its folder; names stand for the loopback address unless a resolver says otherwise."""

    def __init__(self, folder: Path, hosts: Sequence[str], **options: Any) -> None:
        self.folder = folder / "network"
        self.log = folder / "network.jsonl"
        self.asked: list[str] = []
        entries = [parse_allowed_host(host) for host in hosts]
        options.setdefault("resolver", self._resolve)
        self.proxy = NetworkProxy(entries, folder=self.folder, log=self.log, **options)

    def _resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return ["127.0.0.1"]

    @contextlib.contextmanager
    def client(self) -> Iterator[socket.socket]:
        """A connection to the proxy's socket, whose path may be too long for an address."""
        descriptor = os.open(self.folder, os.O_PATH)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            try:
                client.connect(f"/proc/self/fd/{descriptor}/socket")
            finally:
                os.close(descriptor)
            yield client

    def answer(self, data: bytes) -> bytes:
        """Everything that comes back for these bytes."""
        with self.client() as client:
            client.sendall(data)
            return until_end(client)

    def get(self, address: str, *fields: str) -> bytes:
        """The answer to a GET."""
        return self.answer("\r\n".join([f"GET {address} HTTP/1.1", *fields, "", ""]).encode())

    @contextlib.contextmanager
    def tunnel(self, place: str) -> Iterator[socket.socket]:
        """A tunnel that was granted."""
        with self.client() as client:
            client.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
            assert client.recv(1000) == ESTABLISHED
            yield client

    def records(self) -> list[dict[str, Any]]:
        """What network.jsonl holds once the proxy is closed."""
        self.proxy.close()
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def open_proxy(tmp_path: Path) -> Iterator[Open]:
    """Starts proxies and closes them after the test."""
    opened: list[Running] = []

    def open_one(*hosts: str, folder: Path = tmp_path, **options: Any) -> Running:
        running = Running(folder, hosts, **options)
        opened.append(running)
        return running

    yield open_one
    for running in opened:
        running.proxy.close()


def test_a_plain_request_reaches_a_listed_host(open_proxy: Open) -> None:
    """The server is sent the request written anew, and its answer comes back."""
    with serving(telling_what_came) as port:
        proxy = open_proxy(f"local:*.test:{port}")
        answer = proxy.get(f"http://A.test:{port}/path", "Proxy-Authorization: Basic eA==", f"Host: a.test:{port}")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(f"GET /path HTTP/1.1\r\nHost: a.test:{port}\r\nConnection: close\r\n\r\n".encode())
    (record,) = proxy.records()
    assert (record["host"], record["port"], record["allowed"], record["address"]) == ("a.test", port, True, "127.0.0.1")
    assert record["bytes_down"] == len(answer) and record["bytes_up"] > 0 and record["time"]


def test_a_body_is_passed_on_and_nothing_behind_it(open_proxy: Open) -> None:
    """A body of the stated length reaches the server; a further request on the connection never does."""
    came: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        came.append(b"")
        while not came[-1].endswith(b"12345"):
            came[-1] += connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        came[-1] += until_end(connection)

    with serving(serve) as port:
        proxy = open_proxy(f"local:a.test:{port}")
        request = f"POST http://a.test:{port}/ HTTP/1.1\r\nContent-Length: 5\r\n\r\n12".encode()
        hidden = b"GET /hidden HTTP/1.1\r\nHost: b.test\r\n\r\n"
        with proxy.client() as client:
            client.sendall(request)
            client.sendall(b"345")
            assert client.recv(1000).endswith(b"ok")
            client.sendall(hidden)
            assert until_end(client) == b""
        assert proxy.answer(request + b"345" + hidden).startswith(b"HTTP/1.1 400")
        proxy.proxy.close()
    assert len(came) == 1 and b"hidden" not in came[0]


def test_a_tunnel_carries_bytes_both_ways_and_passes_an_end_on(open_proxy: Open) -> None:
    """Ten megabytes come back as they went, and the answer still comes after the client has ended its side."""
    with serving(lambda connection: connection.sendall(until_end(connection))) as port:
        proxy = open_proxy(f"local:a.test:{port}")
        data = os.urandom(10 << 20)
        with proxy.tunnel(f"a.test:{port}") as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            assert until_end(client) == data
    (record,) = proxy.records()
    assert (record["bytes_up"], record["bytes_down"]) == (len(data), len(data))


def test_what_a_client_sends_right_behind_connect_is_carried(open_proxy: Open) -> None:
    """Bytes that come with the head are the tunnel's first."""
    with serving(lambda connection: connection.sendall(until_end(connection))) as port:
        proxy = open_proxy(f"local:a.test:{port}")
        with proxy.client() as client:
            client.sendall(f"CONNECT a.test:{port} HTTP/1.1\r\n\r\nearly".encode())
            client.shutdown(socket.SHUT_WR)
            assert until_end(client) == ESTABLISHED + b"early"


@pytest.mark.parametrize(
    "request_line",
    [
        "GET http://other.test/ HTTP/1.1", "GET http://a.test.other/ HTTP/1.1", "GET http://xa.test/ HTTP/1.1",
        "GET http://a.test:81/ HTTP/1.1", "GET http://a.test:443/ HTTP/1.1", "CONNECT a.test:80 HTTP/1.1",
        "CONNECT a.test:22 HTTP/1.1", "CONNECT 127.0.0.1:443 HTTP/1.1", "GET http://127.0.0.1/ HTTP/1.1",
        "GET http://[::ffff:127.0.0.1]/ HTTP/1.1",
    ],
)  # fmt: skip
def test_other_hosts_and_ports_are_not_even_looked_up(open_proxy: Open, request_line: str) -> None:
    """What is not on the list is refused with the reason, before its name is resolved, and recorded."""
    proxy = open_proxy("local:a.test")
    assert proxy.answer(f"{request_line}\r\n\r\n".encode()).startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert proxy.asked == []
    (record,) = proxy.records()
    assert not record["allowed"] and "not among the hosts" in record["detail"] and record["bytes_up"] == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_a_public_name_for_a_private_address_is_refused(open_proxy: Open, address: str) -> None:
    """A listed name that resolves to an address of the host or the site is not connected to."""
    came: list[bytes] = []
    with serving(lambda connection: came.append(b"")) as port:
        proxy = open_proxy(f"a.test:{port}", resolver=lambda host, port: [address])
        assert b"a listed name may not" in proxy.get(f"http://a.test:{port}/")
        assert not proxy.records()[0]["allowed"]
    assert came == []


def test_only_a_checked_address_is_connected_to(open_proxy: Open) -> None:
    """A name is resolved once; of its addresses only those that are allowed are tried, one after another."""
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["169.254.169.254", "0.0.0.0", "127.0.0.9", "127.0.0.1"] if len(asked) == 1 else ["127.0.0.9"]

    with serving(telling_what_came) as port:
        proxy = open_proxy(f"local:a.test:{port}", resolver=resolver)
        assert proxy.get(f"http://a.test:{port}/").startswith(b"HTTP/1.1 200 OK")
    assert asked == ["a.test"]
    assert proxy.records()[0]["address"] == "127.0.0.1"


def test_a_name_that_is_unknown_is_told(open_proxy: Open) -> None:
    """A listed name that has no address is a failure of the gateway."""

    def resolver(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert b"502 Bad Gateway" in open_proxy("local:a.test:1", resolver=resolver).get("http://a.test:1/")


def test_a_server_that_is_away_is_told(open_proxy: Open) -> None:
    """A port where nobody listens is a failure of the gateway, with the reason."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        answer = open_proxy(f"127.0.0.1:{port}", resolver=lambda host, port: [host]).get(f"http://127.0.0.1:{port}/")
    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway") and b"Connection refused" in answer


def test_a_slow_client_is_sent_away(open_proxy: Open) -> None:
    """Whoever does not finish its head in time loses the connection, however steadily bytes come."""
    proxy = open_proxy("a.test", limits=QUICK)
    started = time.monotonic()
    with proxy.client() as client, contextlib.suppress(BrokenPipeError):
        while time.monotonic() - started < 5:
            client.sendall(b"G")
            time.sleep(0.02)
    assert time.monotonic() - started < 4
    assert "no whole head" in proxy.records()[0]["detail"]


def test_a_long_head_is_refused(open_proxy: Open) -> None:
    """A head beyond the limit ends the connection with its reason, however it is cut."""
    proxy = open_proxy("a.test")
    for line in (b"X: " + b"y" * 100_000, b"X: y\r\n" * 20_000):
        with proxy.client() as client:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(b"GET http://a.test/ HTTP/1.1\r\n" + line + b"\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert b"431" in client.recv(1000)
    assert all("longer than" in record["detail"] for record in proxy.records())


def test_a_connection_without_bytes_is_ended(open_proxy: Open) -> None:
    """A tunnel on which nothing comes for the idle time is closed."""
    with serving(echoing) as port:
        proxy = open_proxy(f"local:a.test:{port}", limits=QUICK)
        with proxy.tunnel(f"a.test:{port}") as client:
            client.sendall(b"x")
            assert until_end(client) == b"x"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=1, max_size=300))
def test_garbage_harms_nobody(garbled: Running, data: bytes) -> None:
    """Whatever bytes come, the answer is a refusal or an end, and the proxy goes on."""
    with garbled.client() as client:
        client.sendall(data + b"\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            answer = until_end(client)
            assert answer == b"" or answer[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 403"}


@pytest.fixture
def garbled(open_proxy: Open) -> Iterator[Running]:
    """A proxy that must still serve after the test."""
    with serving(telling_what_came) as port:
        running = open_proxy(f"local:a.test:{port}")
        yield running
        assert b"200 OK" in running.get(f"http://a.test:{port}/")


def test_two_hundred_connections_are_served_a_few_at_a_time(open_proxy: Open) -> None:
    """Connections beyond the limit wait for their turn, and none is lost."""
    open_now, most = 0, 0
    lock = threading.Lock()

    def serve(connection: socket.socket) -> None:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
        data = until_end(connection)
        with lock:
            open_now -= 1
        connection.sendall(data)

    with serving(serve) as port:
        proxy = open_proxy(f"local:a.test:{port}", limits=ProxyLimits(connections=16))

        def exchange(number: int) -> bytes:
            with proxy.tunnel(f"a.test:{port}") as client:
                client.sendall(b"%d" % number)
                client.shutdown(socket.SHUT_WR)
                return until_end(client)

        with ThreadPoolExecutor(200) as pool:
            assert list(pool.map(exchange, range(200))) == [b"%d" % number for number in range(200)]
    assert most <= 16
    assert len(proxy.records()) == 200


def test_the_end_of_the_proxy_ends_everything(open_proxy: Open) -> None:
    """Closing ends open tunnels and waiting clients at once, takes the socket away, and records what was open."""
    with serving(echoing) as port:
        proxy = open_proxy(f"local:a.test:{port}", limits=ProxyLimits(connections=2))
        with proxy.tunnel(f"a.test:{port}") as tunnel, proxy.client() as silent, proxy.client() as waiting:
            waiting.sendall(b"CONNECT")
            started = time.monotonic()
            (record,) = [record for record in proxy.records() if record["allowed"]]
            assert time.monotonic() - started < 5
            assert until_end(tunnel) == b""
            for client in (silent, waiting):
                with contextlib.suppress(ConnectionResetError):
                    assert client.recv(10) == b""
    assert record["host"] == "a.test"
    assert not proxy.folder.exists()
    proxy.proxy.close()


def test_a_name_service_that_hangs_does_not_hold_up_the_end(open_proxy: Open) -> None:
    """Closing does not wait for a name that is being looked up, and what it gives later is not connected to."""
    goes_on, looked_up = threading.Event(), threading.Event()
    came: list[bytes] = []

    def resolver(host: str, port: int) -> list[str]:
        looked_up.set()
        goes_on.wait(20)
        return ["127.0.0.1"]

    with serving(lambda connection: came.append(b"")) as port:
        proxy = open_proxy(f"local:a.test:{port}", resolver=resolver, limits=ProxyLimits(connections=1))
        with proxy.client() as client:
            client.sendall(f"GET http://a.test:{port}/ HTTP/1.1\r\n\r\n".encode())
            assert looked_up.wait(10)
            started = time.monotonic()
            proxy.proxy.close()
            assert time.monotonic() - started < 5
            goes_on.set()
            assert until_end(client) == b""
    assert came == []


@pytest.mark.parametrize("name", ["x" * 200, "two words", "ünï'\"$;\n"])
def test_the_socket_may_lie_anywhere(open_proxy: Open, tmp_path: Path, name: str) -> None:
    """The path of the socket may be longer than an address and hold any character; its folder is its owner's alone."""
    folder = tmp_path / name
    folder.mkdir()
    with serving(telling_what_came) as port:
        proxy = open_proxy(f"local:a.test:{port}", folder=folder)
        assert b"200 OK" in proxy.get(f"http://a.test:{port}/")
        assert stat.S_IMODE(proxy.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((proxy.folder / "socket").stat().st_mode) == 0o600
