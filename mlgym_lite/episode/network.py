"""How an agent's sandbox gets the network it was granted, and packages to install without one.

With an allow-list the engine runs a proxy for the episode; the sandbox shows the folder of its socket, and a forwarder in the
sandbox is started before the shell. A wheelhouse is a folder of packages that pip and uv install from.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path

from mlgym_lite.config.network_grant import Network
from mlgym_lite.errors import EnvironmentBuildError, OutputError
from mlgym_lite.isolation.protocol import Mount
from mlgym_lite.isolation.toolkit import INSIDE as TOOLS

_PROXY = "/run/mlgym-lite/proxy"
_PROXY_SOCKET = f"{_PROXY}/socket"
_PROXY_PORT = 3128
_WHEELHOUSE = f"{TOOLS}/wheelhouse"
_PACKAGES = (".whl", ".tar.gz", ".zip")
_FORWARD_THEN_RUN = '"$0" -I -S "$1" "$2" "$3" </dev/null >/dev/null || exit; shift 3; exec "$@"'


def open_proxy(stack: contextlib.ExitStack, network: Network, run_directory: Path, user_id: int) -> Path | None:
    """Start the proxy of an episode, which ends with the stack; its folder, or None where the network needs none.

    `user_id` is the sandbox's user, who is the engine's own but for a root engine.
    """
    if network.mode != "allowlist":
        return None
    from mlgym_lite.isolation.network_proxy import NetworkProxy

    folder = run_directory / ".state" / "network"
    group = user_id if os.geteuid() == 0 else None
    try:
        proxy = NetworkProxy(network.hosts, folder=folder, log=run_directory / "network.jsonl", group=group)
    except OSError as error:
        raise OutputError(f"{folder}: the network proxy cannot listen there: {error.strerror or error}") from error
    stack.callback(proxy.close)
    return folder


def network_mounts(proxy: Path | None, wheelhouse: Path | None, kit: Path) -> list[Mount]:
    """What the sandbox shows of the proxy and the wheelhouse; `kit` holds the agent's tools."""
    mounts = [] if wheelhouse is None else [Mount(source=wheelhouse, target=_WHEELHOUSE)]
    if proxy is not None:
        mounts += [Mount(source=proxy, target=_PROXY), Mount(source=kit / "network", target=f"{TOOLS}/network")]
    return mounts


def network_command(proxy: Path | None, python: Path) -> tuple[str, ...]:
    """What the sandbox runs before its shell, which is appended: the forwarder goes to the background by itself."""
    if proxy is None:
        return ()
    program = f"{TOOLS}/network/forward.py"
    return ("/bin/bash", "-c", _FORWARD_THEN_RUN, str(python), program, _PROXY_SOCKET, str(_PROXY_PORT))


def network_environment(network: Network, wheelhouse: Path | None) -> dict[str, str]:
    """Variables that lead programs to the proxy, and pip and uv to the wheelhouse."""
    variables: dict[str, str] = {}
    if network.mode == "allowlist":
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        variables |= dict.fromkeys(names, f"http://127.0.0.1:{_PROXY_PORT}")
        variables |= dict.fromkeys(("no_proxy", "NO_PROXY"), "localhost,127.0.0.1,::1")
    if wheelhouse is not None:
        variables |= dict.fromkeys(("PIP_FIND_LINKS", "UV_FIND_LINKS"), _WHEELHOUSE)
        variables["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        if network.mode == "no-network":
            variables |= dict.fromkeys(("PIP_NO_INDEX", "UV_OFFLINE"), "1")  # uv has no variable for --no-index
    return variables


def check_wheelhouse(folder: Path | None) -> Path | None:
    """The absolute path of a wheelhouse; raises EnvironmentBuildError with how to fill one where it holds no package."""
    if folder is None:
        return None
    try:
        holds_packages = any(path.name.endswith(_PACKAGES) for path in folder.iterdir())
        problem = "" if holds_packages else "holds no package (*.whl, *.tar.gz)"
    except OSError as error:
        problem = f"is no folder of packages: {error.strerror or error}"
    if problem:
        raise EnvironmentBuildError(
            f"{folder}: {problem}. Fill it on a machine with network, with the same Python version:\n"
            f"  pip download -d {shlex.quote(str(folder))} NAME ..."
        )
    return folder.resolve()
