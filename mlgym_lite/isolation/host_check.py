"""What this host can do for sandboxes, tried rather than guessed; `mlgym-lite doctor` prints it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlgym_lite.errors import IsolationError, MLGymLiteError
from mlgym_lite.isolation.bubblewrap import BubblewrapMechanism, find_bubblewrap
from mlgym_lite.isolation.gpu_access import grantable_gpus
from mlgym_lite.isolation.gpu_discovery import GpuHost, find_gpus
from mlgym_lite.isolation.gpu_leases import is_free, lease_folder
from mlgym_lite.isolation.host_files import can_overlay, can_reflink
from mlgym_lite.isolation.landlock import LandlockMechanism, usable_abi
from mlgym_lite.isolation.limits import choose_limits, refusals
from mlgym_lite.isolation.mechanisms import choose_mechanism, try_command, try_mechanism
from mlgym_lite.isolation.protocol import Mechanism
from mlgym_lite.isolation.seccomp import filter_program
from mlgym_lite.isolation.virtual_environments import bare_environment, find_interpreter
from mlgym_lite.processes import run_program

_LEAST_FREE_BYTES = 1 << 30
_JOB = ("SLURM_CPUS_PER_TASK", "SLURM_MEM_PER_NODE", "SLURM_JOB_GPUS", "SLURM_RESTART_COUNT")
_DELEGATE = "systemd-run --user --scope -p Delegate=yes mlgym-lite ..."


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    works: bool
    needed: bool
    """Whether no episode can run without it."""
    detail: str
    fix: str = ""
    """How to get what is missing; empty where nothing is."""
    lacks: tuple[str, ...] = ()
    """For a mechanism: promises of SECURITY.md that it does not keep here."""


class Missing(MLGymLiteError):
    """What was looked at is not there; `fix` says how to get it."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.fix = fix


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look found where it went well."""

    detail: str
    lacks: tuple[str, ...] = ()


def check_host(cache: Path, environment: Mapping[str, str], runs: Path) -> list[Finding]:
    """Look at everything an episode needs, and at what it can use; `runs` is where runs would be kept."""
    return [
        _finding("kernel", lambda: f"Linux {platform.release()} on {platform.machine()}"),
        _finding("bubblewrap", _bubblewrap, needed=False),
        _finding("landlock", _landlock, needed=False),
        _finding("sandbox", try_sandbox),
        _finding("python in the sandbox", try_interpreter),
        _finding("system call filter", _filter, needed=False),
        _finding("limits", _limits, needed=False),
        _finding("gpus", lambda: _gpus(environment), needed=False),
        _finding("cache folder", lambda: _writable(cache), needed=not (cache / "environments").is_dir()),
        _finding("room for runs", lambda: _room(runs), needed=False),
        _finding("temporary files", lambda: _room(Path(tempfile.gettempdir())), needed=False),
        _finding("quick copies", lambda: _copies(cache), needed=False),
        _finding("uv", _uv),
        _finding("slurm", lambda: _slurm(environment), needed=False),
    ]


def _finding(name: str, look: Callable[[], str | Look], *, needed: bool = True) -> Finding:
    try:
        found = look()
    except (MLGymLiteError, OSError) as error:
        return Finding(name=name, works=False, needed=needed, detail=str(error), fix=getattr(error, "fix", ""))
    seen = Look(detail=found) if isinstance(found, str) else found
    return Finding(name=name, works=True, needed=needed, detail=seen.detail, lacks=seen.lacks)


def _bubblewrap() -> Look:
    program = find_bubblewrap()
    result = run_program([program, "--version"], timeout_seconds=30)
    if result.status != 0:
        raise MLGymLiteError(f"`bwrap --version` ended with exit status {result.status}: {result.output.strip()}")
    return _kept(BubblewrapMechanism(program), result.output.strip())


def _landlock() -> Look:
    abi = usable_abi()
    return _kept(LandlockMechanism(), f"ABI {abi}")


def _kept(mechanism: Mechanism, what: str) -> Look:
    """Try a mechanism and tell what it keeps."""
    try_mechanism(mechanism)
    keeps = "keeps what SECURITY.md promises, but for" if mechanism.weakened else "keeps every promise of SECURITY.md"
    return Look(detail=f"{what}; {keeps}" + (":" if mechanism.weakened else ""), lacks=mechanism.weakened)


def try_sandbox(name: str = "auto") -> str:
    """Put up a sandbox and run `true` in it; raises IsolationError with what to do."""
    mechanism = choose_mechanism(name)
    return f"{mechanism.name} puts one up" + (" as an ordinary user, dropped to from root" if os.geteuid() == 0 else "")


def try_interpreter() -> str:
    """Run this interpreter in a sandbox."""
    try:
        mechanism = choose_mechanism("auto")
    except IsolationError as error:
        raise MLGymLiteError("not tried: there is no sandbox") from error
    interpreter = find_interpreter()
    command = (str(interpreter.program), "-I", "-c", "import json")
    ended = try_command(mechanism, command, bare_environment(interpreter).mounts())
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
        raise Missing(
            f"memory, CPUs and processes are kept by a watching thread, which a quick burst can slip past ({others})",
            f"on a systemd host, `{_DELEGATE}` gives control groups; in a Slurm job the job's own limit holds besides",
        )
    return f"memory, CPUs and processes by {chosen}" + (f" ({others})" if others else "")


def _gpus(environment: Mapping[str, str]) -> str:
    """The GPUs of this host: which may be used from here, and which are lent to a run."""
    host = GpuHost()
    granted = grantable_gpus(environment, host)
    folder = lease_folder(environment)
    lines = []
    for gpu in find_gpus(host):
        state = "not granted to this process" if gpu not in granted else ("free" if is_free(gpu, folder) else "lent to a run")
        lines.append(f"{gpu.name} {gpu.uuid} ({gpu.memory_bytes >> 20} MiB): {state}")
    return "; ".join(lines)


def _writable(cache: Path) -> str:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise Missing(
            f"{cache}: cannot be written: {reason}. What is prepared there can be run",
            "to build more, name another folder with MLGYM_LITE_CACHE",
        ) from error
    return _room(cache, "MLGYM_LITE_CACHE")


def _room(folder: Path, variable: str = "") -> str:
    """How much is free where a folder is or would be."""
    place = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    if free < _LEAST_FREE_BYTES:
        way = f"name another folder with {variable}" if variable else "name another folder with --output (runs) or TMPDIR"
        raise Missing(f"{folder}: only {free >> 20} MiB are free", f"make room, or {way}")
    return f"{folder} ({free >> 30} GiB free)"


def _copies(cache: Path) -> str:
    """What forks cost on the file system of the cache; a snapshot and going back to one cost what has changed everywhere."""
    place = next(path for path in (cache, *cache.parents) if path.is_dir())
    reflink, overlay = can_reflink(place), can_overlay()
    found = f"reflink: {'yes' if reflink else 'no'}; overlay for ordinary users: {'yes' if overlay else 'no'} ({place})"
    if not reflink:
        raise Missing(
            f"{found}; snapshots copy what has changed, forks every file",
            "put runs on btrfs, or on xfs made with reflink=1, where large workspaces are forked often",
        )
    return found


def _uv() -> str:
    import uv

    return uv.find_uv_bin()


def _slurm(environment: Mapping[str, str]) -> str:
    if job := environment.get("SLURM_JOB_ID"):
        given = ", ".join(f"{name.removeprefix('SLURM_').lower()}={environment[name]}" for name in _JOB if environment.get(name))
        return f"in job {job} ({given})" if given else f"in job {job}"
    program = shutil.which("sinfo", path=environment.get("PATH"))
    if program is None:
        return "not used on this host"
    result = run_program([program, "--version"], timeout_seconds=30)
    if result.status != 0:
        why = (result.output.strip().splitlines() or ["it tells nothing"])[-1]
        raise Missing(f"installed, but without a cluster: {why}", "set SLURM_CONF, or run where Slurm is set up, to use it")
    return f"{result.output.strip()}; not in a job"
