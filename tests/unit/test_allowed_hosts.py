"""Entries of an allow-list: what they mean, what they never mean, and which are no entries."""

from __future__ import annotations

import ipaddress
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgym_lite.config.allowed_hosts import canonical_host, parse_allowed_host, split_authority

LABELS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12).filter(lambda text: not text.isdigit())
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join).filter(lambda name: not name.rpartition(".")[2].startswith("0x"))


def meant(entry: str, host: str, port: int = 443, default_port: int = 443) -> bool:
    """Whether an entry means a host as a client writes it."""
    return parse_allowed_host(entry).matches(canonical_host(host), port, default_port)


def stands_for(entry: str, address: str) -> bool:
    """Whether a host that an entry means may stand for an address."""
    return parse_allowed_host(entry).allows(ipaddress.ip_address(address))


@given(NAMES, st.data())
def test_case_and_a_dot_at_the_end_make_no_difference(name: str, data: st.DataObject) -> None:
    """A name means the same however its letters are written and with the root's dot."""
    written = "".join(data.draw(st.sampled_from([letter, letter.upper()])) for letter in name)
    assert meant(name, written + data.draw(st.sampled_from(["", "."])))
    assert meant(written, name)


@given(NAMES, NAMES)
def test_a_name_means_itself_only(entry: str, host: str) -> None:
    """An entry without a star means exactly one name."""
    assert meant(entry, host) == (entry == host)
    assert not meant(entry, f"a.{entry}") and not meant(entry, f"a{entry}") and not meant(entry, f"{entry}.a")


@given(NAMES, NAMES)
def test_a_star_means_every_name_below(suffix: str, host: str) -> None:
    """`*.suffix` means what ends with the suffix behind a dot, and not the suffix itself."""
    assert meant(f"*.{suffix}", f"{host}.{suffix}")
    assert not meant(f"*.{suffix}", suffix) and not meant(f"*.{suffix}", f"x{suffix}")


@pytest.mark.parametrize(
    ("entry", "plain", "tunnelled"), [("a.org", {80}, {443}), ("a.org:443", {443}, {443}), ("a.org:8080", {8080}, {8080})]
)
def test_ports(entry: str, plain: set[int], tunnelled: set[int]) -> None:
    """Without a port an entry means 80 for plain HTTP and 443 for tunnels; with one, that one for both."""
    tried = (1, 22, 80, 443, 8080, 65535)
    assert {port for port in tried if meant(entry, "a.org", port, 80)} == plain
    assert {port for port in tried if meant(entry, "a.org", port, 443)} == tunnelled


def test_international_names_are_compared_in_their_ascii_form() -> None:
    """A name with other letters means what DNS calls it."""
    assert meant("Bücher.example", "xn--bcher-kva.example")


@pytest.mark.parametrize(
    "text",
    [
        "", "*", "*.", ".", "a..b", "-a.org", "a-.org", "a b", "a.org/path", "http://a.org", "user@a.org", "a.org:0",
        "a.org:65536", "a.org:x", "a.org:", "a.org:80:80",
        "*.1.2.3.4", "1.2.3", "127.1", "2130706433", "0x7f.1", "a.0x7f", "0.0.0.0", "::",
        "224.0.0.1", "255.255.255.255", "::ffff:127.0.0.1", "2002:7f00:1::", "fe80::1%eth0", "a*.org", "*.*.org", "a\n.org",
        "a" * 64 + ".org", ("a." * 128) + "org", "local:", "local:*", "a.org\x00",
    ],
)  # fmt: skip
def test_what_is_no_entry_is_refused(text: str) -> None:
    """What means no host, all hosts, or a number in disguise is no entry."""
    with pytest.raises(ValueError, match="expected a host such as"):
        parse_allowed_host(text)


@given(st.text(max_size=40))
def test_any_text_is_an_entry_or_a_value_error(text: str) -> None:
    """No text makes reading fail otherwise."""
    try:
        entry = parse_allowed_host(text)
    except ValueError:
        return
    assert entry.name == canonical_host(entry.name)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd00::1", "64:ff9b::7f00:1",
     "64:ff9b::a00:1"],
)  # fmt: skip
def test_a_name_stands_for_a_private_address_only_where_it_is_the_sites_own(address: str) -> None:
    """Loopback and private addresses, also seen through NAT64, need `local:` or the address itself."""
    assert not stands_for("a.org", address) and not stands_for("*.org", address)
    assert stands_for("local:a.org", address) and stands_for("local:*.org", address)


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254", "100.100.100.200"])
def test_link_local_addresses_are_reached_by_address_only(address: str) -> None:
    """No name stands for a cloud's metadata service or a link-local address; the address may be listed."""
    assert not stands_for("a.org", address) and not stands_for("local:a.org", address)
    assert stands_for(address, address)
    assert meant(address, f"[{address}]" if ":" in address else address)


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "240.0.0.1", "255.255.255.255", "::ffff:127.0.0.1", "::ffff:8.8.8.8",
     "::127.0.0.1", "2002:7f00:1::", "2001:0:7f00:1::", "64:ff9b:1::7f00:1", "64:ff9b::", "fec0::1"],
)  # fmt: skip
def test_some_addresses_are_never_reached(address: str) -> None:
    """Unspecified, multicast, reserved and wrapped addresses are reached through no entry."""
    assert not any(stands_for(entry, address) for entry in ("a.org", "local:a.org", "local:*.org", "8.8.8.8"))


def test_public_addresses() -> None:
    """Every entry may stand for a public address, also through NAT64."""
    assert all(stands_for("a.org", address) for address in ("8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"))


@pytest.mark.parametrize(
    "host", ["127.1", "0x7f000001", "2130706433", "017700000001", "0", "[::1", "::1]", "[fe80::1%25eth0]", ""]
)
def test_numbers_in_disguise_are_no_host(host: str) -> None:
    """The forms that the C library would take for an address are no names."""
    with pytest.raises(ValueError):
        canonical_host(split_authority(host)[0])


@pytest.mark.parametrize(
    ("granted", "asked", "covered"),
    [
        ("a.org", "A.ORG.", True), ("a.org", "b.org", False), ("*.a.org", "x.a.org", True), ("*.a.org", "*.x.a.org", True),
        ("*.a.org", "a.org", False), ("x.a.org", "*.a.org", False), ("*.x.a.org", "*.a.org", False), ("a.org:80", "a.org", False),
        ("a.org", "a.org:80", False), ("a.org:80", "a.org:80", True), ("a.org", "local:a.org", False),
        ("local:a.org", "a.org", True), ("10.0.0.1", "10.0.0.1", True), ("10.0.0.1", "local:10.0.0.1", True),
    ],
)  # fmt: skip
def test_what_one_entry_grants_of_another(granted: str, asked: str, covered: bool) -> None:
    """An entry covers another where everything the other means is meant by it."""
    assert parse_allowed_host(granted).covers(parse_allowed_host(asked)) is covered
