"""What a sandbox without namespaces may see and use, as a pure function of the request.

There are no mounts, so the places that a request names (/workspace, /data, …) lie below a folder of the sandbox's own, the
root, as links to the host's folders; MLGYM_LITE_ROOT names it inside, and paths in the command and the environment are moved
below it. What a request shows at its own path on the host stays there. Every file beyond the rules is out of reach.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mlgym_lite.isolation.marked_folders import LOCK_NAME
from mlgym_lite.isolation.protocol import OWN_PLACES, Limits, Mount, SandboxRequest

ROOT_VARIABLE = "MLGYM_LITE_ROOT"

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_IOCTL_DEV = 1 << 15
_ALL_FROM = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_READ = _READ_FILE | _READ_DIR
_USE = _READ | _EXECUTE
_DEVICE = _READ_FILE | _WRITE_FILE | _IOCTL_DEV

_SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl/certs", "localtime", "mime.types")
_HARMLESS_ETC = (
    "debian_version", "redhat-release", "os-release", "lsb-release", "hosts", "host.conf", "nsswitch.conf", "gai.conf",
    "services", "protocols", "gitconfig", "pip.conf", "inputrc", "terminfo", "magic", "fonts", "ssl/openssl.cnf", "pki/tls",
    "crypto-policies",
)  # fmt: skip
"""What programs want to look at and end without where it is refused rather than not there."""
_NETWORK_ETC = ("resolv.conf",)
_DEVICES = ("null", "zero", "full", "random", "urandom")
_READABLE = ("/proc", "/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """Which walls are put up."""

    abi: int
    """The landlock ABI whose rights are used; 0 for none at all."""
    filter: bytes | None
    deputised: Mapping[int, str]


def handled_rights(abi: int, *, network: bool) -> dict[str, int]:
    """Everything that a landlock ABI can deny, as masks; TCP is not denied with `network`."""
    handled = {"files": _ALL_FROM[max(version for version in _ALL_FROM if version <= abi)]}
    if abi >= 4:
        handled["network"] = 0 if network else 3
    if abi >= 6:
        handled["scoped"] = 3
    return handled


def weakened(abi: int, limits_name: str) -> tuple[str, ...]:
    """Promises of the default sandbox that this one cannot keep."""
    lost = [
        "host processes, their names, command lines and network connections are seen in /proc",
        "that a host file exists, its size, its times and where a link leads can be seen",
        "the host's name, mounts and user ids are seen",
        "processes are ended by a supervising process, not by the kernel",
        "/tmp and the home folder are on the host's disk",
    ]
    if limits_name == "watchdog":
        lost.append("the limit on processes counts every process of this user")
    if abi < 6:
        lost.append("signals to other processes are held back by a supervising process, not by the kernel")
    return tuple(lost)


def rooted(path: str, request: SandboxRequest, root: str) -> str:
    """Where a path of the request lies: below the root for the sandbox's own places, else where it is.

    What is shown at its own path stays there, with the folders that lead to it, also where that is in the host's /tmp.
    """
    plain = PurePosixPath(path)
    places = [PurePosixPath(place) for place in OWN_PLACES]
    places += [PurePosixPath(mount.target) for mount in request.mounts if not is_in_place(mount)]
    shown = [PurePosixPath(mount.target) for mount in request.mounts if is_in_place(mount)]
    if plain not in places and any(plain.is_relative_to(other) or other.is_relative_to(plain) for other in shown):
        return path
    return root + path if any(plain.is_relative_to(place) for place in places) else path


def is_in_place(mount: Mount) -> bool:
    """Whether something is shown at its own path on the host."""
    return mount.target == str(mount.source)


def command_of(request: SandboxRequest, root: str) -> list[str]:
    """The command with the sandbox's own places below the root."""
    return [rooted(word, request, root) if word.startswith("/") else word for word in request.command]


def environment_of(request: SandboxRequest, root: str) -> dict[str, str]:
    """The environment likewise; lists of paths (PATH) are moved entry by entry."""

    def moved(value: str) -> str:
        return ":".join(rooted(entry, request, root) if entry.startswith("/") else entry for entry in value.split(":"))

    return {**{name: moved(value) for name, value in request.environment.items()}, ROOT_VARIABLE: root}


def writable_folders(request: SandboxRequest, root: str) -> list[str]:
    """The real paths of what the agent may write."""
    own = [root + place for place in OWN_PLACES]
    shown = [str(mount.source) for mount in request.mounts if mount.writable]
    return [os.path.realpath(path) for path in (*own, *shown)]


def rules(request: SandboxRequest, root: str, abi: int) -> list[tuple[str, int]]:
    """Every path with the rights below it."""
    write = handled_rights(abi, network=False)["files"] & ~(_MAKE_CHAR | _MAKE_BLOCK | _MAKE_SOCK | _IOCTL_DEV)
    etc = (*_ETC, *_HARMLESS_ETC, *(_NETWORK_ETC if request.network == "public" else ()))
    found = [
        *_with(_USE, _SYSTEM_FOLDERS),
        *_with(_READ, (f"/etc/{name}" for name in etc)),
        *_with(_READ, _READABLE),
        *_with(_DEVICE, (f"/dev/{name}" for name in _DEVICES)),
        (root, _READ_DIR),
    ]
    found += [(str(mount.source), write if mount.writable else _USE) for mount in request.mounts]
    found += [(str(device.source), _DEVICE) for device in request.devices]
    return found + [(root + place, write) for place in OWN_PLACES]


def _with(rights: int, paths: Iterable[str]) -> list[tuple[str, int]]:
    return [(path, rights) for path in paths]


def resource_limits(limits: Limits, processes: int | None) -> dict[str, int]:
    """What the processes of the sandbox are limited to by the kernel's resource limits."""
    wanted = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": limits.open_files, "RLIMIT_FSIZE": limits.file_bytes, "RLIMIT_NPROC": processes}
    return {name: value for name, value in wanted.items() if value is not None}


def plan(
    request: SandboxRequest, root: Path, confinement: Confinement, descriptors: Mapping[str, int], processes: int | None
) -> dict[str, Any]:
    """The whole plan for the supervisor, as it is written in JSON; `processes` is the limit on processes, if it is ours."""
    top = str(root)
    abi = confinement.abi
    landlock = (
        {"handled": handled_rights(abi, network=request.network == "public"), "rules": rules(request, top, abi)} if abi else None
    )
    return {
        "command": command_of(request, top),
        "environment": environment_of(request, top),
        "working_directory": rooted(request.working_directory, request, top),
        "limits": resource_limits(request.limits, processes),
        "descriptors": dict(descriptors),
        "passed_descriptors": list(request.passed_descriptors),
        "root": top,
        "lock": f"{top}/{LOCK_NAME}",
        "own_folders": [top + place for place in OWN_PLACES],
        "links": {top + mount.target: str(mount.source) for mount in request.mounts if not is_in_place(mount)},
        "landlock": landlock,
        "filter": confinement.filter.hex() if confinement.filter else None,
        "deputised": {str(number): name for number, name in confinement.deputised.items()},
        "writable": writable_folders(request, top),
    }
