"""What the engine asks of a sandbox, whichever mechanism puts it up.

A `SandboxRequest` is everything a sandbox may see and use, complete before anything starts. A `Mechanism` turns it into a
running `Sandbox`: a tree of processes that ends as one, whose end can be waited for on a descriptor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlgym_lite.config.allowed_hosts import NetworkMode

OWN_PLACES = ("/tmp", "/home/agent")
"""Folders that every sandbox has of its own, besides what its request shows."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A host file or folder as it appears in the sandbox."""

    source: Path
    target: str
    """Absolute path inside."""
    writable: bool = False


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a sandbox may use at most; None is no limit of ours."""

    memory_bytes: int | None = None
    cpus: float | None = None
    processes: int | None = None
    open_files: int | None = None
    file_bytes: int | None = None
    """Size of one file."""
    storage_bytes: int | None = None
    """What the writable folders may hold together."""
    storage_files: int | None = None
    temporary_bytes: int = 1 << 30
    """/tmp, which also counts as memory."""
    home_bytes: int = 256 << 20
    shared_memory_bytes: int = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a sandbox has used so far; None where the host cannot tell."""

    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    memory_kills: int = 0
    """How many processes were killed for the memory limit."""
    temporary_files: int = 0
    """Files in its /tmp, /dev/shm and home folder, where no control group counts what they cost."""


@dataclass(frozen=True, kw_only=True)
class SandboxRequest:
    """Everything one sandbox may see and use."""

    command: tuple[str, ...]
    mounts: tuple[Mount, ...]
    environment: Mapping[str, str]
    working_directory: str
    limits: Limits
    standard_input: int
    standard_output: int
    standard_error: int
    passed_descriptors: tuple[int, ...] = ()
    """Kept open in the command under the same numbers; nothing else is."""
    devices: tuple[Mount, ...] = ()
    """Device nodes that are shown besides the usual ones."""
    held_descriptor: int | None = None
    """Kept open by what stands above the command, as long as anything of the sandbox lives; the command never has it."""
    network: NetworkMode = "no-network"
    """With `allowlist` the sandbox has no network of its own either: what it may reach is among its mounts."""


class Identity(Protocol):
    """The user a sandbox runs as on the host; held as long as anything of it may run."""

    user_id: int
    """Who owns the files the sandbox may write."""

    def close(self) -> None:
        """Give the user id back."""


class Sandbox(Protocol):
    """A running tree of processes that ends as one."""

    ended_descriptor: int
    """Readable (end of file) once every process of it is gone."""
    root: str
    """The folder below which the places of its request lie (MLGYM_LITE_ROOT inside); empty where they are at the top."""

    def is_running(self) -> bool:
        """Whether it still runs, without waiting."""

    def process_ids(self) -> list[int]:
        """Host process ids of everything inside but its first process, oldest first."""

    def usage(self) -> Usage:
        """What it used so far."""

    def exit_status(self) -> int:
        """Wait for its end and give the exit status of its command."""

    def kill(self) -> None:
        """Kill everything inside but its first process, from any thread, without waiting; it is still to be closed."""

    def close(self) -> None:
        """End every process of it, wait until they are gone and give everything back; twice is harmless."""


class Mechanism(Protocol):
    """A way to put up sandboxes."""

    name: str
    limits_name: str
    weakened: tuple[str, ...]
    """Promises of the default sandbox that this mechanism cannot keep on this host."""
    networks: tuple[NetworkMode, ...]
    """The networks it can give."""

    def identity(self) -> Identity:
        """A host user for one episode's sandboxes."""

    def start(self, request: SandboxRequest, identity: Identity) -> Sandbox:
        """Put up a sandbox; raises SandboxError with the reason where it cannot."""
