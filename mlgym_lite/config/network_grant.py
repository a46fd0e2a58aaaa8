"""The rule that decides an episode's network: what the person running it grants, and what the task asks for.

The person's `--network` decides where it is given, else the profile. A task cannot widen that: one that asks for more is
refused. A task that states less than the profile grants gets what it states.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from mlgym_lite.config.allowed_hosts import AllowedHost, NetworkMode, parse_allowed_host
from mlgym_lite.errors import LimitError


@dataclass(frozen=True, kw_only=True)
class Network:
    """What a sandbox may reach."""

    mode: NetworkMode = "no-network"
    allowed_hosts: tuple[str, ...] = ()
    """Entries as they were written; they count in the mode `allowlist` only."""

    @property
    def hosts(self) -> tuple[AllowedHost, ...]:
        """The entries, read."""
        return tuple(map(parse_allowed_host, self.allowed_hosts))

    @property
    def weakened(self) -> tuple[str, ...]:
        """Promises of the default sandbox that do not hold with this network."""
        if self.mode != "public":
            return ()
        return ("the agent has the host's network", "the host's loopback and abstract sockets are within the agent's reach")

    def __str__(self) -> str:
        """The mode, with its hosts in the mode `allowlist`."""
        return f"allowlist ({', '.join(self.allowed_hosts) or 'no host'})" if self.mode == "allowlist" else self.mode


def granted_network(task: str, *, asked: Network | None, chosen: Network | None, profile: Network) -> Network:
    """The network of an episode; raises LimitError where a task asks for more than is granted, with the option that grants it.

    `asked` is the task's, `chosen` the person's; None where they state nothing.
    """
    granted = chosen or profile
    if granted.mode == "allowlist" and not granted.allowed_hosts:
        granted = Network(mode="allowlist", allowed_hosts=profile.allowed_hosts)
    _check(granted)
    if asked is not None and (missing := _missing(asked, granted)):
        raise LimitError(
            f"{task}: asks for the network {asked}; granted is {granted} (by {'--network' if chosen else 'the profile'}). "
            f"If the agent may have it, add {missing}"
        )
    if granted.mode == "allowlist" and not granted.allowed_hosts:
        raise LimitError("--network allowlist lists no host: add --allow-host HOST, or allowed_hosts in the profile")
    return granted if chosen or asked is None else asked


def _check(granted: Network) -> None:
    try:
        assert granted.hosts is not None
    except ValueError as error:
        raise LimitError(f"allowed_hosts: {error}") from error


def _missing(asked: Network, granted: Network) -> str:
    """The options that would grant what is asked for; empty where it is granted."""
    if asked.mode == "no-network" or granted.mode == "public":
        return ""
    if asked.mode == "public":
        return "--network public"
    allowed = granted.hosts if granted.mode == "allowlist" else ()
    lacking = [text for text in asked.allowed_hosts if not any(host.covers(parse_allowed_host(text)) for host in allowed)]
    if not lacking:
        return ""
    hosts = dict.fromkeys((*(granted.allowed_hosts if allowed else ()), *asked.allowed_hosts))
    return "--network allowlist " + " ".join(f"--allow-host {shlex.quote(text)}" for text in hosts)
