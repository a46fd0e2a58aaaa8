"""The options that say what the agent may reach: what is refused before anything starts, and what is granted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from network_servers import serving_files
from program_harness import Program, wait_until
from tiny_task import TASK_TOML

Make = Callable[..., Path]
Write = Callable[[str], Path]
ASKING = TASK_TOML + 'network_mode = "allowlist"\nallowed_hosts = ["pypi.org", "*.pythonhosted.org"]\n'


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--network", "bridge"), ("'bridge' is not one of 'no-network', 'allowlist', 'public'",)),
        (("--allow-host", "pypi.org"), ("--allow-host goes with --network allowlist",)),
        (("--network", "public", "--allow-host", "pypi.org"), ("--allow-host goes with --network allowlist",)),
        (("--network", "allowlist", "--allow-host", "http://pypi.org"), ("--allow-host", "expected a host such as 'pypi.org'")),
        (("--network", "allowlist", "--allow-host", "*"), ("--allow-host", "expected a host such as 'pypi.org'")),
    ],
)
def test_a_wrong_option_is_told(mlgym: Program, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    """What is no network, no host, or a list without its mode ends with status 2 and what is possible."""
    for command in (("run", "prisoners_dilemma", "--agent", "baseline"), ("check", "prisoners_dilemma")):
        mlgym(*command, *options).told_usage(*words)


def test_a_task_that_asks_for_a_network_is_told_with_the_option(mlgym: Program, make_task: Make, working_folder: Path) -> None:
    """A task cannot grant itself a network: the refusal says what it asks, what is granted, and what to add."""
    hosts = "--allow-host pypi.org --allow-host '*.pythonhosted.org'"
    told = ("asks for the network allowlist (pypi.org, *.pythonhosted.org)", "granted is", f"add --network allowlist {hosts}")
    folder = make_task(toml=ASKING)
    run = ("run", folder, "--agent", "baseline")
    mlgym(*run).told_one_error(16, *told)
    mlgym(*run, "--network", "no-network").told_one_error(16, *told)
    public = make_task("asks-for-all", toml=TASK_TOML + 'network_mode = "public"\n')
    mlgym("run", public, "--agent", "baseline").told_one_error(16, "asks for the network public", "add --network public")
    assert list(working_folder.iterdir()) == []


def test_an_allow_list_needs_a_host(mlgym: Program, make_task: Make, tmp_path: Path) -> None:
    """An allow-list without hosts is refused, given as an option and in a profile, and so are hosts that are none."""
    run = ("run", make_task(), "--agent", "baseline")
    mlgym(*run, "--network", "allowlist").told_one_error(16, "lists no host: add --allow-host HOST")
    profile = tmp_path / "profile.toml"
    profile.write_text('network = "allowlist"\n', encoding="utf-8")
    mlgym(*run, "--profile", profile).told_one_error(9, 'network = "allowlist" needs allowed_hosts')
    profile.write_text('allowed_hosts = ["*", "pypi.org"]\n', encoding="utf-8")
    mlgym(*run, "--profile", profile).told_one_error(9, "allowed_hosts[0]: '*': is no host")


def test_a_wheelhouse_without_packages_is_told(mlgym: Program, make_task: Make, tmp_path: Path) -> None:
    """A wheelhouse that is missing or empty ends with status 6 and the command that fills it."""
    run = ("run", make_task(), "--agent", "baseline", "--wheelhouse")
    mlgym(*run, tmp_path / "nowhere").told_one_error(6, "No such file", f"pip download -d {tmp_path / 'nowhere'} NAME")
    mlgym(*run, tmp_path / "tiny").told_one_error(6, "holds no package", "pip download -d")


@pytest.mark.kernel
def test_what_is_granted_is_recorded(mlgym: Program, make_task: Make, actions: Write, tmp_path: Path) -> None:
    """The network that was granted stands in run.json and result.json, and a public one is printed as weaker."""
    run = ("run", make_task(toml=ASKING), "--actions", actions('"submit"\n'), "--json")
    hosts = ["pypi.org", "*.pythonhosted.org"]
    options = [word for host in hosts for word in ("--allow-host", host)]
    ended = mlgym(*run, "--network", "allowlist", *options, "--output", tmp_path / "listed")
    assert ended.status == 0, ended.err
    isolation = json.loads(ended.out)["isolation"]
    assert (isolation["network"], isolation["allowed_hosts"], isolation["weakened"]) == ("allowlist", hosts, [])
    resolved = json.loads((tmp_path / "listed" / "run.json").read_text(encoding="utf-8"))
    assert (resolved["network"], resolved["allowed_hosts"]) == ("allowlist", hosts)
    ended = mlgym(*run, "--network", "public")
    assert json.loads(ended.out)["isolation"]["network"] == "public"
    assert "weaker in 2 points" in ended.err


@pytest.mark.kernel
def test_a_check_grants_what_it_is_told_to(mlgym: Program, make_task: Make) -> None:
    """`check` runs a task that needs a network with it, and says which option is missing otherwise."""
    with serving_files({"/number": b"1.0"}, "127.0.0.2") as port:
        place = f"127.0.0.2:{port}"
        fetch = f'import urllib.request as u; print(u.urlopen("http://{place}/number").read().decode())'
        toml = f'{TASK_TOML}network_mode = "allowlist"\nallowed_hosts = ["{place}"]\n'
        folder = make_task(toml=toml, files={"solution/solve.sh": f"python3 -c '{fetch}' > answer.txt\n"})
        options = ("--network", "allowlist", "--allow-host", place)
        assert " ".join(options) in mlgym("check", folder).err
        ended = mlgym("check", folder, *options)
        assert ended.status == 0, ended.err


@pytest.mark.kernel
def test_a_killed_engine_leaves_no_way_out(
    started: Callable[..., subprocess.Popen[str]], make_task: Make, actions: Write, tmp_path: Path
) -> None:
    """After kill -9 of the engine nobody listens on the proxy's socket."""
    run = tmp_path / "run"
    options = ("--network", "allowlist", "--allow-host", "a.org", "--output", run)
    process = started("run", make_task(), "--actions", actions('"touch here; sleep 60"\n'), *options)
    wait_until((run / "workspace" / "here").exists, "the action ran")
    place = run / ".state" / "network" / "socket"
    assert place.exists()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(FileNotFoundError):
        descriptor = os.open(place.parent, os.O_PATH)
        try:
            with pytest.raises(ConnectionRefusedError):
                client.connect(f"/proc/self/fd/{descriptor}/socket")
        finally:
            os.close(descriptor)
