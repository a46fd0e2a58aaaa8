"""The rule that decides an episode's network."""

from __future__ import annotations

import itertools

import pytest

from mlgym_lite.config.network_grant import Network, granted_network
from mlgym_lite.errors import LimitError

NONE, PUBLIC = Network(), Network(mode="public")


def listed(*hosts: str) -> Network:
    """An allow-list."""
    return Network(mode="allowlist", allowed_hosts=hosts)


@pytest.mark.parametrize(
    ("asked", "chosen", "profile", "expected"),
    [
        (None, None, NONE, NONE),
        (None, None, listed("a.org"), listed("a.org")),
        (None, None, PUBLIC, PUBLIC),
        (None, PUBLIC, NONE, PUBLIC),
        (None, NONE, PUBLIC, NONE),
        (None, listed("a.org"), listed("b.org"), listed("a.org")),
        (None, listed(), listed("b.org"), listed("b.org")),
        (None, listed(), Network(allowed_hosts=("b.org",)), listed("b.org")),
        (NONE, None, PUBLIC, NONE),
        (NONE, PUBLIC, NONE, PUBLIC),
        (listed("a.org"), None, PUBLIC, listed("a.org")),
        (listed("x.a.org"), None, listed("*.a.org"), listed("x.a.org")),
        (listed("x.a.org"), listed("*.a.org"), NONE, listed("*.a.org")),
        (listed("a.org"), PUBLIC, NONE, PUBLIC),
        (PUBLIC, PUBLIC, NONE, PUBLIC),
        (PUBLIC, None, PUBLIC, PUBLIC),
    ],
)
def test_what_is_granted(asked: Network | None, chosen: Network | None, profile: Network, expected: Network) -> None:
    """The person decides, else the profile; a task may ask for less than the profile grants."""
    assert granted_network("task", asked=asked, chosen=chosen, profile=profile) == expected


@pytest.mark.parametrize(
    ("asked", "chosen", "profile", "words"),
    [
        (PUBLIC, None, NONE, ("asks for the network public", "granted is no-network (by the profile)", "add --network public")),
        (PUBLIC, listed("a.org"), NONE, ("allowlist (a.org) (by --network)", "add --network public")),
        (
            listed("a.org", "*.b.org"), None, NONE,
            ("asks for the network allowlist (a.org, *.b.org)", "--network allowlist --allow-host a.org --allow-host '*.b.org'"),
        ),
        (listed("a.org"), NONE, PUBLIC, ("granted is no-network (by --network)", "--network allowlist --allow-host a.org")),
        (listed("a.org"), listed("b.org"), NONE, ("--network allowlist --allow-host b.org --allow-host a.org",)),
        (listed("a.org"), listed(), NONE, ("allowlist (no host)", "--network allowlist --allow-host a.org")),
        (listed("*.org"), listed("a.org"), NONE, ("--allow-host '*.org'",)),
        (listed("local:a.org"), listed("a.org"), NONE, ("--allow-host local:a.org",)),
        (None, listed(), NONE, ("lists no host: add --allow-host HOST",)),
        (None, listed("not a host"), NONE, ("allowed_hosts: 'not a host'",)),
    ],
)  # fmt: skip
def test_what_is_refused(asked: Network | None, chosen: Network | None, profile: Network, words: tuple[str, ...]) -> None:
    """A task that asks for more than is granted is refused with what it asks, what is granted and the option to add."""
    with pytest.raises(LimitError) as refusal:
        granted_network("task", asked=asked, chosen=chosen, profile=profile)
    for part in words:
        assert part in str(refusal.value)


def test_no_task_widens_what_the_person_chose() -> None:
    """Whatever a task asks for, a person's choice is what it runs with, or it does not run."""
    networks = (NONE, listed("a.org"), listed("*.org"), PUBLIC)
    for asked, chosen, profile in itertools.product((None, *networks), networks, networks):
        try:
            assert granted_network("task", asked=asked, chosen=chosen, profile=profile) == chosen
        except LimitError:
            assert asked is not None and asked != NONE


def test_a_public_network_is_told_as_weaker() -> None:
    """Only the host's network weakens the sandbox, and says how."""
    assert NONE.weakened == listed("a.org").weakened == ()
    assert "the agent has the host's network" in PUBLIC.weakened
