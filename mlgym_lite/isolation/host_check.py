"""What this host can do for sandboxes, tried rather than guessed; `mlgym-lite doctor` prints it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlgym_lite.errors import MLGymLiteError
from mlgym_lite.isolation.bubblewrap import BubblewrapMechanism, find_bubblewrap
from mlgym_lite.isolation.limits import choose_limits, refusals
from mlgym_lite.isolation.protocol import Limits, SandboxRequest
from mlgym_lite.isolation.seccomp import filter_program
from mlgym_lite.isolation.virtual_environments import bare_environment, find_interpreter
from mlgym_lite.processes import run_program

_LEAST_FREE_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    works: bool
    needed: bool
    """Whether no episode can run without it."""
    detail: str


def check_host(cache: Path) -> list[Finding]:
    """Look at everything an episode needs."""
    return [
        _finding("kernel", lambda: f"Linux {platform.release()} on {platform.machine()}"),
        _finding("bubblewrap", lambda: run_program([find_bubblewrap(), "--version"], timeout_seconds=30).output.strip()),
        _finding("sandbox", try_sandbox),
        _finding("python in the sandbox", try_interpreter),
        _finding("system call filter", _filter, needed=False),
        _finding("limits", _limits, needed=False),
        _finding("cache folder", lambda: _writable(cache)),
        _finding("uv", _uv),
    ]


def _finding(name: str, look: Callable[[], str], *, needed: bool = True) -> Finding:
    try:
        return Finding(name=name, works=True, needed=needed, detail=look())
    except (MLGymLiteError, OSError) as error:
        return Finding(name=name, works=False, needed=needed, detail=str(error))


def try_sandbox() -> str:
    """Put up a sandbox and run `true` in it; raises SandboxError or IsolationError with what to do."""
    _run_inside(("/bin/true",))
    return "a sandbox starts" + (" as an ordinary user, dropped to from root" if os.geteuid() == 0 else "")


def try_interpreter() -> str:
    """Run this interpreter in a sandbox."""
    program = find_interpreter().program
    _run_inside((str(program), "-I", "-c", "import json"))
    return f"{program} runs"


def _run_inside(command: tuple[str, ...]) -> None:
    mechanism = BubblewrapMechanism(find_bubblewrap())
    identity = mechanism.identity()
    with tempfile.TemporaryFile() as log, open(os.devnull, "rb") as nothing:
        request = SandboxRequest(
            command=command, mounts=bare_environment(find_interpreter()).mounts(), environment={"PATH": "/usr/bin:/bin"},
            working_directory="/tmp", limits=Limits(), standard_input=nothing.fileno(), standard_output=log.fileno(),
            standard_error=log.fileno(),
        )  # fmt: skip
        try:
            sandbox = mechanism.start(request, identity)
            try:
                status = sandbox.exit_status()
            finally:
                sandbox.close()
        finally:
            identity.close()
        if status != 0:
            log.seek(0)
            text = log.read().decode("utf-8", "replace").strip()
            raise MLGymLiteError(f"{' '.join(command)} ended with exit status {status} in a sandbox: {text}")


def _filter() -> str:
    if filter_program() is None:
        raise MLGymLiteError(f"there is none for {platform.machine()}; results record the weaker isolation")
    return "in place"


def _limits() -> str:
    chosen = choose_limits().name
    others = "; ".join(f"{name}: {reason}" for name, reason in refusals().items() if reason)
    if chosen == "watchdog":
        raise MLGymLiteError(
            f"kept by a watching thread, which a quick burst can slip past ({others}). On a systemd host, "
            "`systemd-run --user --scope -p Delegate=yes mlgym-lite ...` gives control groups"
        )
    return f"{chosen}" + (f" ({others})" if others else "")


def _writable(cache: Path) -> str:
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=cache):
        pass
    free = shutil.disk_usage(cache).free
    if free < _LEAST_FREE_BYTES:
        raise MLGymLiteError(f"{cache}: only {free >> 20} MiB are free; set MLGYM_LITE_CACHE to a folder with more room")
    return f"{cache} ({free >> 30} GiB free)"


def _uv() -> str:
    import uv

    return uv.find_uv_bin()
