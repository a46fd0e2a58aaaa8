"""Choosing the mechanism for sandboxes; the one place that knows which there are."""

from __future__ import annotations

import functools
import os

from mlgym_lite.errors import IsolationError, SandboxError
from mlgym_lite.isolation.bubblewrap import BubblewrapMechanism, find_bubblewrap
from mlgym_lite.isolation.protocol import Limits, Mechanism, SandboxRequest


def choose_mechanism(choice: str) -> Mechanism:
    """The mechanism for a choice (`auto` or a name); raises IsolationError with what is missing."""
    assert choice in ("auto", "bubblewrap"), choice
    return _bubblewrap(find_bubblewrap(), os.getpid())


@functools.cache
def _bubblewrap(program: str, process_id: int) -> Mechanism:
    """One mechanism for a process, tried once: limits are looked for anew in a forked child."""
    mechanism = BubblewrapMechanism(program)
    try_mechanism(mechanism)
    return mechanism


def try_mechanism(mechanism: Mechanism) -> None:
    """Run `true` in a sandbox; raises IsolationError with what to do where none can be put up."""
    identity = mechanism.identity()
    log = os.memfd_create("mlgym-lite-try")
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    request = SandboxRequest(
        command=("/bin/true",), mounts=(), environment={}, working_directory="/tmp", limits=Limits(), standard_input=nothing,
        standard_output=log, standard_error=log,
    )  # fmt: skip
    try:
        sandbox = mechanism.start(request, identity)
        try:
            sandbox.exit_status()
        finally:
            sandbox.close()
    except SandboxError as error:
        raise IsolationError(
            f"{error}\n  This host puts up no sandbox. Where user namespaces are off, an administrator can switch them on: an "
            "AppArmor profile for bwrap or kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), "
            "user.max_user_namespaces above 0 (RHEL), kernel.unprivileged_userns_clone=1 (older Debian).\n"
            "  `mlgym-lite doctor` tries each part and says what is missing."
        ) from error
    finally:
        os.close(log)
        os.close(nothing)
        identity.close()
