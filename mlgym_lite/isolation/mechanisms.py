"""Choosing the mechanism for sandboxes; the one place that knows which there are."""

from __future__ import annotations

import contextlib
import functools
import logging
import os

from mlgym_lite.errors import IsolationError, SandboxError
from mlgym_lite.isolation.bubblewrap import BubblewrapMechanism, find_bubblewrap
from mlgym_lite.isolation.landlock import LandlockMechanism
from mlgym_lite.isolation.protocol import Limits, Mechanism, Mount, SandboxRequest
from mlgym_lite.processes import ProgramResult

logger = logging.getLogger(__name__)


def choose_mechanism(choice: str) -> Mechanism:
    """The mechanism for a choice (`auto` or a name); raises IsolationError with what is missing.

    `auto` takes bubblewrap where it works, else landlock, and never less.
    """
    try:
        return _automatic(os.getpid()) if choice == "auto" else _tried(choice, os.getpid())
    except IsolationError as error:
        raise IsolationError(f"{error}\n`mlgym-lite doctor` tries each part and says what is missing.") from error


def forget_mechanisms() -> None:
    """Try mechanisms anew at the next choice, because what they depend on has changed."""
    _automatic.cache_clear()
    _tried.cache_clear()


@functools.cache
def _automatic(process_id: int) -> Mechanism:
    reasons = []
    for name in ("bubblewrap", "landlock"):
        try:
            mechanism = _tried(name, process_id)
        except IsolationError as error:
            reasons.append(f"{name}: {error}")
            continue
        if reasons:
            logger.info("the sandbox is put up by %s, because %s", name, reasons[0])
        return mechanism
    raise IsolationError("no sandbox can be put up here, and no episode runs without one.\n" + "\n".join(reasons))


@functools.cache
def _tried(name: str, process_id: int) -> Mechanism:
    """One mechanism for a process, tried once: limits are looked for anew in a forked child."""
    mechanism = make_mechanism(name)
    try_mechanism(mechanism)
    return mechanism


def make_mechanism(name: str) -> Mechanism:
    """A mechanism by its name, not tried yet; raises IsolationError where something it needs is not there."""
    if name == "bubblewrap":
        return BubblewrapMechanism(find_bubblewrap())
    assert name in ("landlock", "none"), name
    return LandlockMechanism(confined=name == "landlock")


def try_mechanism(mechanism: Mechanism) -> None:
    """Run `true` in a sandbox; raises IsolationError with what to do where none can be put up."""
    try:
        try_command(mechanism, ("/bin/true",))
    except SandboxError as error:
        if mechanism.name != "bubblewrap":
            raise IsolationError(f"{error}\n  This host puts up no sandbox by {mechanism.name}.") from error
        raise IsolationError(
            f"{error}\n  This host puts up no sandbox with bubblewrap. Where user namespaces are off, an administrator "
            "can switch them on: an AppArmor profile for bwrap or kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), "
            "user.max_user_namespaces above 0 (RHEL), kernel.unprivileged_userns_clone=1 (older Debian)."
        ) from error


def try_command(mechanism: Mechanism, command: tuple[str, ...], mounts: tuple[Mount, ...] = ()) -> ProgramResult:
    """Run a command in a sandbox of its own; raises SandboxError where none can be put up."""
    with contextlib.ExitStack() as stack:
        log = os.memfd_create("mlgym-lite-try")
        stack.callback(os.close, log)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, nothing)
        identity = mechanism.identity()
        stack.callback(identity.close)
        request = SandboxRequest(
            command=command, mounts=mounts, environment={"PATH": os.defpath}, working_directory="/tmp", limits=Limits(),
            standard_input=nothing, standard_output=log, standard_error=log,
        )  # fmt: skip
        sandbox = mechanism.start(request, identity)
        stack.callback(sandbox.close)
        status = sandbox.exit_status()
        return ProgramResult(status=status, output=os.pread(log, 2000, 0).decode("utf-8", "replace").strip())
