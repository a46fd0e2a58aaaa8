"""Sandbox profiles: what a sandbox may see and use, from sandboxes/*.toml or a file of the user's."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from mlgym_lite.config.allowed_hosts import NetworkMode
from mlgym_lite.config.harbor import Count, HostEntry, Table
from mlgym_lite.config.toml_errors import TomlProblems, parse, read_toml
from mlgym_lite.errors import ProfileError
from mlgym_lite.shipped_files import profiles_folder


class SandboxProfile(Table):
    """One profile; a key that is absent from the file has the value shown here."""

    description: str = ""
    network: NetworkMode = "no-network"
    allowed_hosts: list[HostEntry] = Field(default_factory=list)
    """The hosts of the network `allowlist`, here or where a person chooses that mode without naming hosts."""
    wheelhouse: str | None = None
    read_only: list[str] = Field(default_factory=list)
    processes: Count = 512
    open_files: Count = 4096
    memory_mb: Count = 4096
    temporary_mb: Count = 1024
    home_mb: Count = 256
    shared_memory_mb: Count = 64
    gpu_memory_mb: Count | None = None
    storage_mb: Count = 10240
    storage_files: Count = 200_000
    output_mb: Count = 2048
    shown_output_bytes: Count = 30000
    env: dict[str, str] = Field(default_factory=dict)


def load_profile(reference: str | Path) -> SandboxProfile:
    """Read a profile by its file or a shipped name; raises ProfileError with every mistake found."""
    path = Path(reference)
    if not path.is_file():
        shipped = profiles_folder() / f"{reference}.toml"
        if not shipped.is_file():
            names = ", ".join(sorted(file.stem for file in profiles_folder().glob("*.toml")))
            raise ProfileError(f"{reference}: no such sandbox profile; expected a file or one of: {names}")
        path = shipped
    try:
        profile = parse(SandboxProfile, read_toml(path), str(path))
    except TomlProblems as error:
        raise ProfileError(f"{path} cannot be used:\n  " + "\n  ".join(error.problems)) from error
    missing = [name for name in profile.read_only if not Path(name).is_absolute() or not Path(name).exists()]
    if missing:
        raise ProfileError(f"{path}: read_only: expected absolute paths that exist, not {', '.join(missing)}")
    if profile.network == "allowlist" and not profile.allowed_hosts:
        raise ProfileError(f'{path}: network = "allowlist" needs allowed_hosts, a list of hosts')
    return profile
