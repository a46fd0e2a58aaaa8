"""The arguments of bubblewrap, a pure function: what the agent may see, in the order that keeps it safe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgym_lite.config.allowed_hosts import NetworkMode
from mlgym_lite.errors import IsolationError
from mlgym_lite.isolation.bubblewrap_arguments import Descriptors, arguments, etc_files
from mlgym_lite.isolation.protocol import Limits, Mount, SandboxRequest

BINDS = (
    "--bind",
    "--ro-bind",
    "--ro-bind-try",
    "--ro-bind-data",
    "--bind-data",
    "--tmpfs",
    "--dev",
    "--proc",
    "--symlink",
    "--dir",
)


def request(*mounts: Mount, **parts: Any) -> SandboxRequest:
    """A request with these mounts."""
    values: dict[str, Any] = {
        "command": ("true",), "environment": {}, "working_directory": "/workspace", "limits": Limits(),
        "standard_input": 0, "standard_output": 1, "standard_error": 2,
    }  # fmt: skip
    return SandboxRequest(mounts=mounts, **{**values, **parts})


def words(made: SandboxRequest, places: dict[Path, Path] | None = None, filter_descriptor: int | None = 9) -> list[str]:
    """The arguments for a request."""
    return arguments(made, Descriptors(etc={"passwd": 5}, filter=filter_descriptor, status=7, block=8), places or {})


def writable(target: str) -> Mount:
    """A folder the agent can write."""
    return Mount(source=Path("/source") / target.strip("/"), target=target, writable=True)


def shown(target: str) -> Mount:
    """A folder the agent can read."""
    return Mount(source=Path("/source") / target.strip("/"), target=target)


def targets(made: list[str]) -> list[tuple[str, str]]:
    """Each argument that makes something at a place, with the place."""
    counts = {"--tmpfs": 1, "--dev": 1, "--proc": 1, "--dir": 1}
    return [(word, made[at + counts.get(word, 2)]) for at, word in enumerate(made) if word in BINDS]


def after(made: list[str], option: str) -> str:
    """The argument behind an option."""
    return made[made.index(option) + 1]


def test_the_sandbox_is_cut_off_from_the_host() -> None:
    """Every namespace is its own, nested ones are off, no capability and no variable stays, and it ends with the engine."""
    made = words(request(writable("/workspace")))
    for name in ("user", "ipc", "pid", "net", "uts", "cgroup"):
        assert f"--unshare-{name}" in made
    for option in ("--disable-userns", "--die-with-parent", "--new-session", "--clearenv"):
        assert option in made
    assert after(made, "--cap-drop") == "ALL"
    assert made.index("--clearenv") < len(made)
    assert not any(option in made for option in ("--share-net", "--cap-add", "--dev-bind", "--dev-bind-try"))


def test_the_first_process_is_sealed() -> None:
    """What would let the agent write the first process's memory is covered, behind /proc and before anything of the request."""
    made = words(request(writable("/workspace")))
    for name in ("/proc/1/mem", "/proc/1/task/1/mem"):
        at = made.index(name)
        assert made[at - 2 : at] == ["--ro-bind", "/dev/null"]
        assert made.index("--proc") < at < made.index("/workspace")


def test_the_environment_is_exactly_what_was_asked_for() -> None:
    """Variables are set after the environment is cleared, with their values as they are."""
    made = words(request(writable("/workspace"), environment={"A": "b c", "EMPTY": "", "DASH": "--bind"}))
    names = [made[at + 1 : at + 3] for at, word in enumerate(made) if word == "--setenv"]
    assert names == [["A", "b c"], ["EMPTY", ""], ["DASH", "--bind"]]
    assert made.index("--clearenv") < made.index("--setenv")


def test_what_the_agent_can_write_is_bound_last() -> None:
    """Nothing is mounted behind a writable folder, in whatever order the request names them."""
    made = words(request(writable("/workspace"), shown("/data"), writable("/venv"), shown("/opt/x/bin"), shown("/opt/x")))
    places = targets(made)
    first = next(number for number, (option, _) in enumerate(places) if option == "--bind")
    assert [place for option, place in places[first:]] == ["/workspace", "/venv"]
    assert {option for option, _ in places[first:]} == {"--bind"}


def test_parents_are_mounted_before_what_lies_below_them() -> None:
    """A folder within a folder that is shown stays visible."""
    places = [place for _, place in targets(words(request(writable("/workspace"), shown("/opt/x/bin"), shown("/opt/x"))))]
    assert places.index("/opt/x") < places.index("/opt/x/bin")


@pytest.mark.parametrize("other", [shown("/workspace/data"), writable("/workspace/inner"), shown("/workspace")])
def test_nothing_may_lie_below_a_writable_folder(other: Mount) -> None:
    """A mount below a folder the agent can write is refused, with both places and what to do."""
    with pytest.raises(IsolationError, match=rf"{other.target}.*below /workspace.*move it"):
        words(request(writable("/workspace"), other))


def test_a_name_that_only_begins_alike_is_not_below() -> None:
    """/workspace2 is not in /workspace."""
    words(request(writable("/workspace"), shown("/workspace2")))


@pytest.mark.parametrize("target", ["/opt/../workspace/data", "//workspace/data", "/workspace/./data"])
def test_other_spellings_of_a_place_below_are_refused_too(target: str) -> None:
    """Dots in a place do not hide that it lies below a writable folder."""
    with pytest.raises(IsolationError):
        words(request(writable("/workspace"), shown(target)))


@given(st.permutations(["/workspace", "/venv", "/data", "/opt", "/opt/a", "/opt/a/b", "/player/player.py"]))
def test_the_order_of_the_request_does_not_matter(order: list[str]) -> None:
    """Whatever the order of mounts, parents come first and everything writable last."""
    mounts = [writable(place) if place in ("/workspace", "/venv") else shown(place) for place in order]
    places = [place for option, place in targets(words(request(*mounts))) if place in order]
    assert set(places[-2:]) == {"/workspace", "/venv"}
    assert places.index("/opt") < places.index("/opt/a") < places.index("/opt/a/b")


def test_everything_but_what_is_writable_is_read_only() -> None:
    """The root is made read-only behind all mounts, and no shown folder is bound writable."""
    made = words(request(writable("/workspace"), shown("/data")))
    assert ("--ro-bind", "/data") in targets(made)
    assert [place for option, place in targets(made) if option == "--bind"] == ["/workspace"]
    last_mount = max(at for at, word in enumerate(made) if word in BINDS)
    root = [at for at, word in enumerate(made) if word == "--remount-ro" and made[at + 1] == "/"]
    assert root and root[-1] > last_mount
    assert ("--ro-bind", "/proc/sys") in targets(made)


def test_private_folders_have_the_sizes_of_the_limits() -> None:
    """/tmp, the home folder and /dev/shm hold as much as the limits say."""
    limits = Limits(temporary_bytes=111, home_bytes=222, shared_memory_bytes=333)
    made = words(request(writable("/workspace"), limits=limits))
    sizes = {made[at + 3]: made[at + 1] for at, word in enumerate(made) if word == "--size"}
    assert sizes == {"/tmp": "111", "/home/agent": "222", "/dev/shm": "333"}


def test_a_source_is_bound_from_where_it_can_be_reached() -> None:
    """Where a source is staged elsewhere, that place is bound; the target stays."""
    made = words(request(writable("/workspace")), {Path("/source/workspace"): Path("/staged/0")})
    at = made.index("--bind")
    assert made[at + 1 : at + 3] == ["/staged/0", "/workspace"]


def test_descriptors_are_passed_by_number() -> None:
    """The filter, the status and the block descriptor are named; without a filter there is none."""
    made = words(request(writable("/workspace")))
    assert (after(made, "--seccomp"), after(made, "--json-status-fd"), after(made, "--block-fd")) == ("9", "7", "8")
    assert "--seccomp" not in words(request(writable("/workspace")), filter_descriptor=None)


def test_it_is_a_pure_function() -> None:
    """The same request gives the same arguments, and the request is left as it was."""
    made = request(writable("/workspace"), shown("/data"))
    assert words(made) == words(made)
    assert made == request(writable("/workspace"), shown("/data"))


@pytest.mark.parametrize("network", ["no-network", "allowlist"])
def test_only_a_public_network_is_the_hosts(network: NetworkMode) -> None:
    """The network namespace is the sandbox's own unless the host's network was asked for by name, which alone shows its names."""
    assert "--unshare-net" in words(request(writable("/workspace"), network=network))
    assert etc_files(network)["nsswitch.conf"].endswith("hosts: files\n") and "resolv.conf" not in etc_files(network)
    made = words(request(writable("/workspace"), network="public"))
    assert "--unshare-net" not in made
    assert {f"--unshare-{name}" for name in ("user", "ipc", "pid", "uts", "cgroup")} <= set(made)
    assert "hosts: files dns" in etc_files("public")["nsswitch.conf"]
