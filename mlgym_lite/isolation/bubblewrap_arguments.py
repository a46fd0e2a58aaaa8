"""The arguments bubblewrap is started with: what a sandbox may see, as a pure function of the request.

Their order is a wall: what the agent can write is bound last and nothing is mounted below it, because bubblewrap before 0.12
follows links in such a folder to the host while setting up (GHSA-pxhw-h44j-8pfx).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlgym_lite.config.allowed_hosts import NetworkMode
from mlgym_lite.errors import IsolationError
from mlgym_lite.isolation.protocol import Mount, SandboxRequest

_INSIDE_USER_ID = 1000
_NAMESPACES = ("user", "ipc", "pid", "net", "uts", "cgroup")
_ETC_FROM_HOST = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl/certs", "localtime", "mime.types")
_ETC_OF_PUBLIC_NETWORK = ("resolv.conf", "hosts")
_FIRST_PROCESS_SEALED = [word for name in ("/proc/1/mem", "/proc/1/task/1/mem") for word in ("--ro-bind", "/dev/null", name)]
"""Without ptrace, these are how an agent could write the first process's code, and have it outlive bwrap and the engine."""
ETC_FILES = {
    "passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\nagent:x:1000:1000:agent:/home/agent:/bin/bash\n",
    "group": "root:x:0:\nagent:x:1000:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


def etc_files(network: NetworkMode) -> dict[str, str]:
    """Files of /etc that are written for a sandbox; with the host's network, also what resolves names on the host."""
    if network != "public":
        return ETC_FILES
    found = {name: Path("/etc", name) for name in _ETC_OF_PUBLIC_NETWORK}
    shown = {name: path.read_text(encoding="utf-8", errors="replace") for name, path in found.items() if path.is_file()}
    return {**ETC_FILES, **shown, "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n"}


@dataclass(frozen=True, kw_only=True)
class Descriptors:
    """Descriptors that bwrap itself reads; none reaches the command."""

    etc: dict[str, int]
    filter: int | None
    status: int
    block: int


def arguments(request: SandboxRequest, descriptors: Descriptors, places: dict[Path, Path]) -> list[str]:
    """The bwrap arguments for a request, a pure function of its inputs; `places` says where a source is reachable."""
    limits = request.limits
    words = [f"--unshare-{name}" for name in _NAMESPACES if (name, request.network) != ("net", "public")]
    words += ["--disable-userns", "--uid", str(_INSIDE_USER_ID), "--gid", str(_INSIDE_USER_ID), "--hostname", "sandbox"]
    words += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    for name, value in request.environment.items():
        words += ["--setenv", name, value]
    words += _system_folders()
    for name, descriptor in descriptors.etc.items():
        words += ["--perms", "0644", "--ro-bind-data", str(descriptor), f"/etc/{name}"]
    words += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", *_FIRST_PROCESS_SEALED, "--dev", "/dev"]
    for device in request.devices:
        words += ["--dev-bind", str(device.source), device.target]
    words += [*_temporary("/dev/shm", limits.shared_memory_bytes), "--remount-ro", "/dev"]
    words += _temporary("/tmp", limits.temporary_bytes)
    words += ["--dir", "/home", *_temporary("/home/agent", limits.home_bytes, mode="0700")]
    for mount in _in_order(request.mounts):
        words += [
            "--bind" if mount.writable else "--ro-bind",
            str(places.get(mount.source, mount.source)),
            mount.target,
        ]
    words += ["--remount-ro", "/", "--chdir", request.working_directory]
    if request.held_descriptor is not None:
        words += ["--sync-fd", str(request.held_descriptor)]
    if descriptors.filter is not None:
        words += ["--seccomp", str(descriptors.filter)]
    return [*words, "--json-status-fd", str(descriptors.status), "--block-fd", str(descriptors.block)]


def _system_folders() -> list[str]:
    words = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path).lstrip("/"), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    words += ["--perms", "0755", "--dir", "/etc"]
    for name in _ETC_FROM_HOST:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return words


def _temporary(target: str, size: int, mode: str = "1777") -> list[str]:
    return ["--perms", mode, "--size", str(size), "--tmpfs", target]


def _in_order(mounts: Sequence[Mount]) -> list[Mount]:
    """Parents before children, all that is writable last; raises where something would lie below a writable folder."""
    for writable in (mount for mount in mounts if mount.writable):
        for other in mounts:
            if other is not writable and _plain(other.target).is_relative_to(_plain(writable.target)):
                raise IsolationError(
                    f"{other.source} must be seen at {other.target} in the sandbox, which lies below {writable.target}, "
                    "a folder the agent can write: move it (an interpreter or environment) to another path"
                )
    return sorted(mounts, key=lambda mount: (mount.writable, len(PurePosixPath(mount.target).parts)))


def _plain(target: str) -> PurePosixPath:
    """A place without dots and doubled slashes."""
    return PurePosixPath("/" + os.path.normpath(target).lstrip("/"))
