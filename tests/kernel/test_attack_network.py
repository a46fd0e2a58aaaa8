"""Code run as the agent looks for a way out over sockets: network, the host's loopback and services, other families."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from attack_harness import PRELUDE, OpenEpisode, run_python

from mlgym_lite import Episode

pytestmark = pytest.mark.kernel


class Listener:
    """A service of the host that must not hear anything; lives for one test."""

    def __init__(self, stack: contextlib.ExitStack, family: int, kind: int, address: Any) -> None:
        self.socket = stack.enter_context(socket.socket(family, kind))
        self.socket.setblocking(False)
        self.socket.bind(address)
        if kind != socket.SOCK_DGRAM:
            self.socket.listen()
        self.family, self.kind, self.address = int(family), int(kind), self.socket.getsockname()

    def heard(self) -> bool:
        """Whether anybody connected or sent something."""
        with contextlib.suppress(BlockingIOError):
            if self.kind == socket.SOCK_DGRAM:
                self.socket.recv(100)
            else:
                self.socket.accept()[0].close()
            return True
        return False


CALLING = """\
for family, kind, address in targets:
    address = address if isinstance(address, (str, bytes)) else tuple(address[:2])
    for protocol in ((0, 262) if family in (2, 10) and kind == 1 else (0,)):
        def attack():
            with socket.socket(family, kind, protocol) as caller:
                caller.settimeout(2)
                if kind == socket.SOCK_DGRAM:
                    caller.sendto(b"hello", address)
                    return None if family == 1 else "sent"
                caller.connect(address); return "connected"
        got = tried(attack)
        if got in (None, "connected"):
            print("reached", family, kind, protocol, address)
"""


def assert_unheard(episode: Episode, listeners: list[Listener], prefixes: tuple[str, ...] = ("",)) -> None:
    """Nothing is heard of the agent that calls, while the very same program is heard when the host runs it."""

    def targets(names: list[Any]) -> list[tuple[int, int, Any]]:
        return [(one.family, one.kind, name + one.address if name else one.address) for one in listeners for name in names]

    assert run_python(episode, CALLING, targets=targets(list(prefixes))) == ""
    assert [one.address for one in listeners if one.heard()] == []
    program = f"{PRELUDE}targets = {targets([''])!r}\n{CALLING}"
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL, timeout=60)
    assert [one.address for one in listeners if not one.heard()] == []


def _host_addresses() -> list[tuple[int, str]]:
    """The host's addresses of both kinds, link-local ones left out."""
    found = [(a.family, a.address) for addresses in psutil.net_if_addrs().values() for a in addresses]
    return [(f, a) for f, a in found if f in (socket.AF_INET, socket.AF_INET6) and "%" not in a]


def test_the_hosts_services_hear_nothing(episode: Episode) -> None:
    """Nothing that listens on the host, on loopback or any other address, by TCP, MPTCP or UDP, hears of the agent."""
    with contextlib.ExitStack() as stack:
        listeners = [
            Listener(stack, family, kind, (address, 0))
            for family, address in _host_addresses()
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
        ]
        assert any(listener.address[0] == "127.0.0.1" for listener in listeners)
        assert_unheard(episode, listeners)


@pytest.mark.only_bubblewrap("their names stand in /proc/net without namespaces; test_landlock.py tries to reach one")
def test_the_hosts_abstract_sockets_hear_nothing(episode: Episode) -> None:
    """Abstract unix sockets of the host, of every kind, are out of reach, and their names are not listed."""
    name = f"\0mlgym-lite-attack-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
        listeners = [Listener(stack, socket.AF_UNIX, kind, f"{name}-{int(kind)}") for kind in kinds]
        assert_unheard(episode, listeners)
        assert "mlgym-lite-attack" not in episode.step("cat /proc/net/unix; ss -xa 2>/dev/null").observation


def test_sockets_in_the_hosts_folders_hear_nothing(episode: Episode, open_folder: Path) -> None:
    """Sockets that lie in the host's folders, a message bus's or a daemon's, cannot be reached by their paths."""
    with contextlib.ExitStack() as stack:
        kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
        listeners = [Listener(stack, socket.AF_UNIX, kind, str(open_folder / str(int(kind)))) for kind in kinds]
        for path in open_folder.iterdir():
            path.chmod(0o777)
        assert_unheard(episode, listeners, ("", "/proc/1/root", "/proc/1/cwd"))


@pytest.mark.only_bubblewrap("that their folders exist can be seen without namespaces; test_landlock.py tries to reach a socket")
def test_message_buses_and_daemons_are_not_there(open_episode: OpenEpisode, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bus, display, agent or daemon of the host is named in the environment or lies where programs look for one."""
    names = (
        "DBUS_SESSION_BUS_ADDRESS",
        "SSH_AUTH_SOCK",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "XDG_RUNTIME_DIR",
        "DOCKER_HOST",
        "GPG_AGENT_INFO",
    )
    for name in names:
        monkeypatch.setenv(name, f"unix:path=/run/{name.lower()}")
    episode = open_episode()
    program = """\
print([name for name in names if name in os.environ])
places = ["/run", "/var/run", "/run/dbus/system_bus_socket", f"/run/user/{os.getuid()}/bus", "/run/user", "/run/systemd/private",
          "/run/munge", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/snapd.socket", "/run/nscd/socket",
          "/tmp/.X11-unix", "/var/lib/sss/pipes"]
print([place for place in places if os.path.exists(place)])
"""
    assert run_python(episode, program, names=names) == "[]\n[]\n"


@pytest.mark.only_bubblewrap("there is no loopback either without namespaces; test_landlock.py tries every family")
def test_no_network(episode: Episode) -> None:
    """There is a loopback device only, no address outside is reachable, and no name is resolved."""
    program = """\
print([name for _, name in socket.if_nameindex()])
targets = [("192.0.2.1", 80), ("8.8.8.8", 53), ("169.254.169.254", 80), ("10.0.0.1", 22), ("2001:4860:4860::8888", 53)]
for target in [*targets, ("224.0.0.1", 5353)]:
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as caller:
            caller.settimeout(2)
            if tried(caller.connect, target) is None:
                print("connected", target, kind)
try:
    socket.getaddrinfo("example.org", 80); print("resolved")
except OSError:
    pass
"""
    assert run_python(episode, program) == "['lo']\n"


@pytest.mark.only_bubblewrap("/proc/net is the host's without namespaces")
def test_the_hosts_connections_are_not_listed(episode: Episode) -> None:
    """Neither /proc/net nor the kernel's socket diagnosis tells of the host's connections, addresses, routes or neighbours."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = """\
def lines(name):
    return len(open(f"/proc/net/{name}").readlines()) if os.path.exists(f"/proc/net/{name}") else 1
print([name for name in ("tcp", "tcp6", "udp", "udp6", "raw", "packet", "arp", "route", "vsock") if lines(name) > 2])
print(f"{port:04X}" in open("/proc/net/tcp").read())
found = 0
for family in (socket.AF_INET, socket.AF_INET6):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as diagnosis:
        diagnosis.settimeout(2)
        request = struct.pack("=BBBBI", family, 6, 0, 0, 0xFFF) + bytes(48)
        diagnosis.send(struct.pack("=IHHII", 16 + len(request), 20, 0x301, 1, 0) + request)
        found += struct.pack(">H", port) in tried(diagnosis.recv, 65536)
print(found)
"""
        assert run_python(episode, program, port=port) == "[]\nFalse\n0\n"


@pytest.mark.only_bubblewrap("there are no sockets to hear with without namespaces")
def test_kernel_events_of_the_host_are_not_heard(episode: Episode) -> None:
    """Netlink sockets give no power over the network or audit, and no membership in what the host's kernel tells."""
    program = """\
def attack(protocol, kind, flags, body):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as link:
        link.settimeout(1); link.bind((0, 0))
        link.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        answer = link.recv(4096)
        return struct.unpack_from("=i", answer, 16)[0] if struct.unpack_from("=H", answer, 4)[0] == 2 else "answered"
up = struct.pack("=BxHiII", 0, 0, 1, 1, 1)
dummy = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + struct.pack("=HH", 12, 18) + struct.pack("=HH", 8, 1) + b"dumm"
print(tried(attack, 0, 16, 5, up), tried(attack, 0, 16, 0x605, dummy))
print(tried(attack, 9, 1000, 5, b"") in ("EPROTONOSUPPORT", "ECONNREFUSED", "EPERM", -1, -13, -111))
"""
    observation = run_python(episode, program)
    assert observation == "-1 -1\nTrue\n", observation


def test_other_socket_families_are_refused(episode: Episode) -> None:
    """Families that no network namespace contains, vsock first, cannot be opened, nor raw sockets."""
    program = """\
for family in range(64):
    if family in (1, 2, 10, 16):
        continue
    for kind in (1, 2, 3, 4, 5, 10):
        try:
            socket.socket(family, kind); print("opened", family, kind)
        except OSError:
            pass
for family in (2, 10):
    try:
        socket.socket(family, socket.SOCK_RAW, 1); print("raw", family)
    except OSError:
        pass
"""
    assert run_python(episode, program) == ""


def test_families_the_host_has_are_refused_by_name(episode: Episode) -> None:
    """The families that reach a hypervisor, the kernel's ciphers, keys, radios and raw frames are refused as not there."""
    families = {
        "vsock": 40,
        "alg": 38,
        "packet": 17,
        "key": 15,
        "bluetooth": 31,
        "can": 29,
        "nfc": 39,
        "qrtr": 42,
        "xdp": 44,
        "rds": 21,
        "tipc": 30,
    }
    program = (
        "for name, family in families.items():\n    for kind in (1, 2, 3, 5):\n        print(tried(socket.socket, family, kind))"
    )
    assert set(run_python(episode, program, families=families).split()) == {"EAFNOSUPPORT"}
