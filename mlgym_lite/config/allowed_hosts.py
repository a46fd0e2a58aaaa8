"""Which hosts a sandbox may reach: the entries of an allow-list, and the addresses that a listed name may stand for.

An entry is a host name, `*.suffix` for every name below one, or an address written exactly. Without a port it means port 80
for plain HTTP and port 443 for HTTPS; with `:port` it means that port for both. A name must stand for a public address; with
`local:` before it, it may stand for one of the site's own (private or loopback). Link-local addresses and those of a
cloud's metadata service are reached only where the address itself is listed; multicast and reserved ones never.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

NetworkMode = Literal["no-network", "allowlist", "public"]
"""What the agent's sandbox may reach: nothing, the listed hosts through the proxy, or all that the host reaches."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Reach = Literal["public", "local", "link", "never"]

_LOCAL = "local:"
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:@/?#\[\]\\%]+)(?::([0-9]{1,5}))?")
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_SHARED_PREFIX = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses seen from a network that has IPv6 only (RFC 6052)."""
_METADATA = tuple(map(ipaddress.ip_address, ("169.254.169.254", "100.100.100.200", "fd00:ec2::254")))


@dataclass(frozen=True, kw_only=True)
class AllowedHost:
    """One entry of an allow-list."""

    name: str
    """Lower-case ASCII without a dot at the end, or an address in its usual spelling."""
    is_suffix: bool = False
    is_address: bool = False
    port: int | None = None
    is_local: bool = False

    def matches(self, host: str, port: int, default_port: int) -> bool:
        """Whether a host, as `canonical_host` gives it, is meant; `default_port` is that of the kind of connection."""
        if port != (default_port if self.port is None else self.port):
            return False
        return host.endswith(f".{self.name}") if self.is_suffix else host == self.name

    def allows(self, address: Address) -> bool:
        """Whether a host that is meant may stand for this address."""
        reach = _reach(address)
        if reach == "local":
            return self.is_local or self.is_address
        return reach == "public" or (reach == "link" and self.is_address)

    def covers(self, other: AllowedHost) -> bool:
        """Whether everything that the other entry allows is allowed by this one."""
        same = self.name == other.name and self.is_suffix == other.is_suffix
        below = self.is_suffix and other.name.endswith(f".{self.name}")
        return (same or below) and self.port == other.port and (self.is_local or self.is_address or not other.is_local)


def parse_allowed_host(text: str) -> AllowedHost:
    """Read an entry; raises ValueError with what was expected."""
    is_local = text.startswith(_LOCAL)
    rest = text.removeprefix(_LOCAL)
    is_suffix = rest.startswith("*.")
    rest = rest.removeprefix("*.")
    try:
        host, port = split_authority(f"[{rest}]" if rest.count(":") > 1 and not rest.startswith("[") else rest)
        name = canonical_host(host)
        address = _address(name)
        if address is not None and (is_suffix or _reach(address) == "never"):
            raise ValueError("is no address of one host")
    except ValueError as error:
        raise ValueError(
            f"{text!r}: {error}; expected a host such as 'pypi.org', '*.pythonhosted.org', 'pypi.org:8080', '192.0.2.7:80', or "
            "'local:mirror.cluster' for one that has an address of the site's own"
        ) from error
    return AllowedHost(name=name, is_suffix=is_suffix, is_address=address is not None, port=port, is_local=is_local)


def split_authority(text: str) -> tuple[str, int | None]:
    """The host and the port of `host`, `host:port` or `[address]:port`; raises ValueError."""
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise ValueError("is no host with or without a port")
    port = None if found[2] is None else int(found[2])
    if port is not None and not 1 <= port <= 65535:
        raise ValueError("is no port from 1 to 65535")
    return found[1], port


def canonical_host(text: str) -> str:
    """The one spelling of a host name or address by which hosts are compared; raises ValueError."""
    if text.startswith("["):
        return str(ipaddress.IPv6Address(text.strip("[]")))
    address = _address(text)
    if address is not None:
        return str(address)
    name = text if text.isascii() else text.encode("idna").decode("ascii")
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)) or _NUMBER.fullmatch(labels[-1]):
        raise ValueError("is no host name")
    return name


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet."""
    return _reach(address) == "public"


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _reach(address: Address) -> _Reach:
    """How far away an address is; one that wraps an IPv4 address counts as that, or not at all."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _SHARED_PREFIX:
            return _reach(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.is_site_local or any((address.ipv4_mapped, address.sixtofour, address.teredo)):
            return "never"
    if address.is_link_local or address in _METADATA:
        return "link"
    if address.is_loopback:
        return "local"
    if address.is_unspecified or address.is_multicast or address.is_reserved or address in _THIS_NETWORK:
        return "never"
    return "public" if address.is_global else "local"
