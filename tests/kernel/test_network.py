"""The network of a sandbox: none, listed hosts through the proxy, or the host's; and packages without any."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import io
import json
import os
import shlex
import socket
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from network_servers import echoing, serving, serving_files, telling_what_came
from tiny_task import TASK_TOML

import mlgym_lite
from mlgym_lite import Episode
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.errors import EnvironmentBuildError, LimitError

pytestmark = pytest.mark.kernel

OpenEpisode = Callable[..., Episode]
Make = Callable[..., Path]
ELSEWHERE = "127.0.0.2"
"""An address of this host that clients do not take for their own, as they do 127.0.0.1."""
needs_pip = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this environment has no pip to show")


@pytest.fixture
def open_episode(make_task: Make, environment: dict[str, str], tmp_path: Path) -> Iterator[OpenEpisode]:
    """Opens episodes of the tiny task with settings and closes them after the test."""
    with contextlib.ExitStack() as stack:

        def open_one(name: str = "tiny", *, toml: str = TASK_TOML, grader: str = "", **options: Any) -> Episode:
            task = mlgym_lite.load_task(make_task(name, toml=toml, **({"grader": grader} if grader else {})))
            settings = RunSettings(**{"output": tmp_path / f"run-{name}", **options})
            return stack.enter_context(Episode(task, settings=settings, environment=environment))

        yield open_one


def listed(*hosts: str, **further: Any) -> dict[str, Any]:
    """Settings with an allow-list."""
    return {"network": "allowlist", "allowed_hosts": hosts, **further}


def fetch(address: str) -> str:
    """A command that prints what is at an address, or the status of a refusal, or that there is no way."""
    return f"""python3 - <<'END_OF_PROGRAM'
import urllib.error, urllib.request
try:
    print(urllib.request.urlopen("{address}", timeout=10).read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
except OSError as error:
    print("no way")
END_OF_PROGRAM"""


def records(episode: Episode) -> list[dict[str, Any]]:
    """The lines of network.jsonl after the episode."""
    episode.close()
    return [json.loads(line) for line in (episode.run_directory / "network.jsonl").read_text(encoding="utf-8").splitlines()]


def result(episode: Episode) -> dict[str, Any]:
    """The isolation that result.json tells."""
    episode.close()
    content: dict[str, Any] = json.loads((episode.run_directory / "result.json").read_text(encoding="utf-8"))["isolation"]
    return content


def wheel(name: str = "mlgym_tiny_demo") -> bytes:
    """A wheel of one module that knows its answer."""
    files = {
        f"{name}.py": "ANSWER = 42\n",
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text)}\n")
    record = f"{name}-1.0.dist-info/RECORD"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in {**files, record: "".join([*lines, f"{record},,\n"])}.items():
            archive.writestr(path, text)
    return content.getvalue()


WHEEL_NAME = "mlgym_tiny_demo-1.0-py3-none-any.whl"
USE = "python -c 'import mlgym_tiny_demo; print(mlgym_tiny_demo.ANSWER, mlgym_tiny_demo.__file__)'"


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    """A folder with one package."""
    folder = tmp_path / "wheel house"
    folder.mkdir()
    (folder / WHEEL_NAME).write_bytes(wheel())
    return folder


# Listed hosts


def test_a_listed_host_is_reached_and_no_other(open_episode: OpenEpisode) -> None:
    """Programs that honour proxy variables reach the listed host; others, and other ports, are refused with the reason."""
    with serving_files({"/file": b"content"}, ELSEWHERE) as port, serving(echoing, ELSEWHERE) as other:
        episode = open_episode(**listed(f"{ELSEWHERE}:{port}"))
        assert episode.step(fetch(f"http://{ELSEWHERE}:{port}/file")).observation == "content\n"
        for place in (f"{ELSEWHERE}:{other}", f"127.0.0.3:{port}", "example.org", "169.254.169.254"):
            refusal = episode.step(fetch(f"http://{place}/")).observation
            assert refusal.startswith("403 mlgym-lite: ") and "is not among the hosts this sandbox may reach" in refusal
    reached = [(record["host"], record["port"], record["allowed"]) for record in records(episode)]
    assert reached[:2] == [(ELSEWHERE, port, True), (ELSEWHERE, other, False)]
    assert len(reached) == 5 and not any(allowed for _, _, allowed in reached[1:])
    assert result(episode) == {
        **result(episode), "network": "allowlist", "allowed_hosts": [f"{ELSEWHERE}:{port}"], "weakened": [],
    }  # fmt: skip


def test_there_is_no_way_round_the_proxy(open_episode: OpenEpisode) -> None:
    """Without the proxy there is a loopback device only; the socket itself is bound by the same list; nothing resolves."""
    with serving(telling_what_came, ELSEWHERE) as port, serving(telling_what_came, ELSEWHERE) as other:
        episode = open_episode(**listed(f"{ELSEWHERE}:{port}"))
        program = f"""python3 - <<'END_OF_PROGRAM'
import socket
print([name for _, name in socket.if_nameindex()])
for port in ({port}, {other}):
    try:
        socket.create_connection(("{ELSEWHERE}", port), timeout=2); print("connected")
    except OSError:
        pass
    with socket.socket(socket.AF_UNIX) as proxy:
        proxy.connect("/run/mlgym-lite/proxy/socket")
        proxy.sendall(b"CONNECT {ELSEWHERE}:%d HTTP/1.1\\r\\n\\r\\n" % port)
        print(proxy.recv(1000).split()[1].decode())
try:
    socket.getaddrinfo("example.org", 80); print("resolved")
except OSError:
    pass
END_OF_PROGRAM"""
        assert episode.step(program).observation == "['lo']\n200\n403\n"
        changes = (
            "cd /run/mlgym-lite/proxy && for c in 'rm socket' 'touch x' 'chmod 777 socket' 'mv socket s'; do $c && echo $c; done"
        )
        assert episode.step(f"({changes}) 2>/dev/null").observation == ""


def test_the_forwarder_is_no_part_of_the_shell(open_episode: OpenEpisode) -> None:
    """It is no job and no child of the shell, holds none of its descriptors, and signals are as they were."""
    episode = open_episode(**listed("127.0.0.1"))
    children = "read -r children < /proc/$$/task/$$/children; echo $children"
    seen = episode.step(f"jobs -l; {children}; grep SigIgn /proc/self/status; (yes | head -1)").observation
    none, ignored, yes = seen.splitlines()
    assert (none, yes) == ("", "y")
    plain = open_episode("plain").step("grep SigIgn /proc/self/status").observation.strip()
    assert ignored == plain
    program = """python3 - <<'END_OF_PROGRAM'
import os
for number in filter(str.isdigit, os.listdir("/proc")):
    words = open(f"/proc/{number}/cmdline").read().split("\\0")
    if words[-4:-3] == ["/opt/mlgym/network/forward.py"]:
        names = {fd: os.readlink(f"/proc/{number}/fd/{fd}") for fd in os.listdir(f"/proc/{number}/fd")}
        print(sorted(name.partition(":")[0] for name in names.values()), os.readlink(f"/proc/{number}/cwd"))
END_OF_PROGRAM"""
    assert episode.step(program).observation == "['/dev/null', '/dev/null', '/dev/null', 'socket'] /\n"


def test_the_network_outlives_commands_and_shells(open_episode: OpenEpisode) -> None:
    """Neither a command's time-out nor the end of the shell takes the network away."""
    toml = TASK_TOML.replace("command_timeout_sec = 30", "command_timeout_sec = 2")
    with serving_files({"/file": b"content"}, ELSEWHERE) as port:
        episode = open_episode(toml=toml, **listed(f"{ELSEWHERE}:{port}"))
        get = fetch(f"http://{ELSEWHERE}:{port}/file")
        assert episode.step("sleep 60").seconds >= 2
        assert episode.step(get).observation == "content\n"
        episode.step("kill -9 $$")
        assert episode.step(get).observation == "content\n"


def test_whoever_kills_the_forwarder_loses_the_network_only(open_episode: OpenEpisode) -> None:
    """Without the forwarder there is no way out, and everything else goes on."""
    with serving_files({"/file": b"content"}, ELSEWHERE) as port:
        episode = open_episode(**listed(f"{ELSEWHERE}:{port}"))
        get = fetch(f"http://{ELSEWHERE}:{port}/file")
        assert episode.step(f"x=1; pkill -9 -f '^[^ ]*python[^ ]* -I -S /opt/mlgym/network/forward.py'; {get}").observation == (
            "no way\n"
        )
        assert episode.step("echo $x").observation == "1\n"
        assert episode.submit().score == 0.5


def test_many_connections_from_inside(open_episode: OpenEpisode) -> None:
    """Two hundred connections at once through the forwarder are all served."""
    with serving(telling_what_came, ELSEWHERE) as port:
        episode = open_episode(**listed(f"{ELSEWHERE}:{port}"))
        program = f"""python3 - <<'END_OF_PROGRAM'
import urllib.request
from concurrent.futures import ThreadPoolExecutor
get = lambda n: urllib.request.urlopen("http://{ELSEWHERE}:{port}/%d" % n, timeout=20).read().split()[1] == b"/%d" % n
print(sum(ThreadPoolExecutor(200).map(get, range(200))))
END_OF_PROGRAM"""
        assert episode.step(program).observation == "200\n"


def test_episodes_do_not_share_their_lists(open_episode: OpenEpisode) -> None:
    """Two episodes at a time reach each its own hosts."""
    with serving_files({"/": b"one"}, ELSEWHERE) as one, serving_files({"/": b"two"}, ELSEWHERE) as two:
        first = open_episode("first", **listed(f"{ELSEWHERE}:{one}"))
        second = open_episode("second", **listed(f"{ELSEWHERE}:{two}"))
        for episode, words in ((first, ("one", "403")), (second, ("403", "two"))):
            for port, word in zip((one, two), words, strict=True):
                assert episode.step(fetch(f"http://{ELSEWHERE}:{port}/")).observation.startswith(word)


@pytest.mark.parametrize("name", ["x" * 200, "ünï '\"$;\n"])
def test_a_run_directory_may_lie_anywhere(open_episode: OpenEpisode, tmp_path: Path, name: str) -> None:
    """The proxy works below a path of any length and characters, and its socket is gone at the end."""
    with serving_files({"/": b"content"}, ELSEWHERE) as port:
        episode = open_episode(**listed(f"{ELSEWHERE}:{port}", output=tmp_path / name / "run"))
        assert list((episode.run_directory / ".state").glob("**/socket"))
        assert episode.step(fetch(f"http://{ELSEWHERE}:{port}/")).observation == "content\n"
        episode.close()
    assert not list((episode.run_directory / ".state").glob("**/socket"))


def test_reset_starts_a_proxy_anew(open_episode: OpenEpisode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run of an episode has its own proxy and its own network.jsonl."""
    monkeypatch.chdir(tmp_path)
    with serving_files({"/": b"content"}, ELSEWHERE) as port:
        episode = open_episode(**listed(f"{ELSEWHERE}:{port}", output=None))
        first = episode.run_directory
        episode.reset()
        assert episode.step(fetch(f"http://{ELSEWHERE}:{port}/")).observation == "content\n"
        assert len(records(episode)) == 1
    assert (first / "network.jsonl").read_text(encoding="utf-8") == ""


def test_a_task_that_asks_for_more_starts_nothing(open_episode: OpenEpisode, tmp_path: Path) -> None:
    """A task's own wish grants nothing: it is refused before a run directory is there; granted, it is served."""
    with serving_files({"/": b"content"}, ELSEWHERE) as port:
        wish = f'network_mode = "allowlist"\nallowed_hosts = ["{ELSEWHERE}:{port}"]\n'
        toml = TASK_TOML.replace("[environment]\n", f"[environment]\n{wish}")
        with pytest.raises(LimitError, match=rf"--network allowlist --allow-host {ELSEWHERE}:{port}"):
            open_episode(toml=toml)
        assert not (tmp_path / "run-tiny").exists()
        episode = open_episode(toml=toml, **listed(f"{ELSEWHERE}:{port}"))
        assert episode.step(fetch(f"http://{ELSEWHERE}:{port}/")).observation == "content\n"


# The host's network


def test_the_hosts_network_is_had_by_name_only(open_episode: OpenEpisode) -> None:
    """With `public` the agent reaches what the host reaches and resolves what it resolves; the result tells it as weaker."""
    with serving_files({"/": b"content"}, "127.0.0.1") as port:
        get = fetch(f"http://127.0.0.1:{port}/")
        assert open_episode("cut-off").step(get).observation == "no way\n"
        episode = open_episode(network="public")
        assert episode.step(get).observation == "content\n"
    host_names = (Path("/etc/hosts"), Path("/etc/resolv.conf"))
    expected = "".join(path.read_text(encoding="utf-8") for path in host_names if path.exists())
    assert episode.step("cat /etc/hosts /etc/resolv.conf 2>/dev/null").observation == expected
    assert episode.step("grep hosts /etc/nsswitch.conf; env | grep -i proxy").observation == "hosts: files dns\n"
    assert result(episode)["network"] == "public"
    assert "the agent has the host's network" in result(episode)["weakened"]
    assert not (episode.run_directory / "network.jsonl").exists()


@pytest.mark.parametrize("network", ["allowlist", "public"])
def test_the_judge_never_has_a_network(open_episode: OpenEpisode, network: str) -> None:
    """Whatever the agent has, its grader sees a loopback device only, and no proxy."""
    grader = """\
"$MLGYM_LITE_PYTHON" -c '
import os, socket
print([name for _, name in socket.if_nameindex()], os.path.exists("/run"), [n for n in os.environ if "proxy" in n.lower()])
' > /logs/verifier/rejection.txt
exit 65
"""
    episode = open_episode(grader=grader, network=network, allowed_hosts=("a.org",) if network == "allowlist" else ())
    assert episode.validate().message == "['lo'] False []"


# Packages


def test_pip_installs_from_a_wheelhouse_with_no_network(wheelhouse: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """`pip install` takes a package from the wheelhouse into the run's own environment; what is not there is not found."""
    settings = RunSettings(variant="mini", wheelhouse=wheelhouse, output=tmp_path / "run")
    task = mlgym_lite.load_task("prisoners_dilemma")
    with Episode(task, settings=settings, environment=environment) as episode:
        step = episode.step("pip install mlgym-tiny-demo")
        assert step.exit_status == 0, step.observation
        assert episode.step(USE).observation.startswith("42 /venv/")
        missing = episode.step("pip install mlgym-tiny-other")
        assert missing.exit_status == 1 and "No matching distribution" in missing.observation
        assert episode.step("touch /opt/mlgym/wheelhouse/x").exit_status == 1


def test_uv_installs_from_a_wheelhouse_with_no_network(open_episode: OpenEpisode, wheelhouse: Path) -> None:
    """`uv pip install` does so too."""
    import uv

    profile = wheelhouse.parent / "profile.toml"
    profile.write_text(f'wheelhouse = "{wheelhouse}"\nread_only = ["{uv.find_uv_bin()}"]\n', encoding="utf-8")
    episode = open_episode(profile=str(profile))
    step = episode.step(f"{shlex.quote(uv.find_uv_bin())} pip install --link-mode copy mlgym-tiny-demo")
    assert step.exit_status == 0, step.observation
    assert episode.step(USE).observation.startswith("42 /venv/")


@needs_pip
def test_pip_installs_from_a_listed_index(open_episode: OpenEpisode) -> None:
    """`pip install` from a package index goes through the proxy, where the index is listed."""
    files = {
        "/simple/mlgym-tiny-demo/": f'<a href="/files/{WHEEL_NAME}">{WHEEL_NAME}</a>'.encode(),
        f"/files/{WHEEL_NAME}": wheel(),
    }
    with serving_files(files, ELSEWHERE) as port:
        episode = open_episode(python=Path(sys.executable), **listed(f"{ELSEWHERE}:{port}"))
        index = f"--index-url http://{ELSEWHERE}:{port}/simple --trusted-host {ELSEWHERE}"
        step = episode.step(f"python -m pip install --disable-pip-version-check {index} mlgym-tiny-demo")
        assert step.exit_status == 0, step.observation
        assert episode.step(USE).observation.startswith("42 /venv/")
    assert all(record["host"] == ELSEWHERE for record in records(episode))


def test_a_wheelhouse_that_has_nothing_is_told(open_episode: OpenEpisode, tmp_path: Path) -> None:
    """A missing or empty folder is refused with the command that fills it."""
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nowhere"):
        with pytest.raises(EnvironmentBuildError, match=rf"pip download -d \S*{name} NAME"):
            open_episode(wheelhouse=tmp_path / name)


def test_the_sockets_of_the_host_stay_out_of_reach(open_episode: OpenEpisode) -> None:
    """With an allow-list, the host's abstract sockets and loopback are as far away as without a network."""
    name = f"\0mlgym-lite-network-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(name)
        abstract.listen()
        episode = open_episode(**listed("a.org"))
        program = f"""python3 - <<'END_OF_PROGRAM'
import socket
for family, address in ((socket.AF_INET, ("127.0.0.1", {tcp.getsockname()[1]})), (socket.AF_UNIX, {name!r})):
    try:
        socket.socket(family).connect(address); print("connected", address)
    except ConnectionRefusedError:
        print("refused")
END_OF_PROGRAM"""
        assert episode.step(program).observation == "refused\nrefused\n"
