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
from mlgym_lite.isolation.mechanisms import try_command, try_mechanism
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
        _finding("bubblewrap", _version),
        _finding("sandbox", lambda: _needing_bubblewrap(try_sandbox)),
        _finding("python in the sandbox", lambda: _needing_bubblewrap(try_interpreter)),
        _finding("system call filter", _filter, needed=False),
        _finding("limits", _limits, needed=False),
        _finding("cache folder", lambda: _writable(cache), needed=not (cache / "environments").is_dir()),
        _finding("uv", _uv),
    ]


def _finding(name: str, look: Callable[[], str], *, needed: bool = True) -> Finding:
    try:
        return Finding(name=name, works=True, needed=needed, detail=look())
    except (MLGymLiteError, OSError) as error:
        return Finding(name=name, works=False, needed=needed, detail=str(error))


def _version() -> str:
    result = run_program([find_bubblewrap(), "--version"], timeout_seconds=30)
    if result.status != 0:
        raise MLGymLiteError(f"`bwrap --version` ended with exit status {result.status}: {result.output.strip()}")
    return result.output.strip()


def _needing_bubblewrap(look: Callable[[], str]) -> str:
    if shutil.which("bwrap") is None:
        raise MLGymLiteError("not tried: there is no bubblewrap")
    return look()


def try_sandbox() -> str:
    """Put up a sandbox and run `true` in it; raises IsolationError with what to do."""
    try_mechanism(BubblewrapMechanism(find_bubblewrap()))
    return "a sandbox starts" + (" as an ordinary user, dropped to from root" if os.geteuid() == 0 else "")


def try_interpreter() -> str:
    """Run this interpreter in a sandbox."""
    interpreter = find_interpreter()
    command = (str(interpreter.program), "-I", "-c", "import json")
    mounts = bare_environment(interpreter).mounts()
    ended = try_command(BubblewrapMechanism(find_bubblewrap()), command, mounts)
    if ended.status != 0:
        raise MLGymLiteError(f"{' '.join(command)} ended with exit status {ended.status} in a sandbox: {ended.output}")
    return f"{interpreter.program} runs"


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
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise MLGymLiteError(
            f"{cache}: cannot be written: {reason}. What is prepared there can be run; to build more, name another folder with "
            "MLGYM_LITE_CACHE"
        ) from error
    free = shutil.disk_usage(cache).free
    if free < _LEAST_FREE_BYTES:
        raise MLGymLiteError(f"{cache}: only {free >> 20} MiB are free; set MLGYM_LITE_CACHE to a folder with more room")
    return f"{cache} ({free >> 30} GiB free)"


def _uv() -> str:
    import uv

    return uv.find_uv_bin()
