"""Virtual environments: a base built once, and a fresh layer over it for each run, made in a millisecond.

The base holds the packages of one requirements file for one interpreter. uv builds it into the cache, after which it is
only ever shown read-only, at /opt/mlgym/base. A run's own environment at /venv is a pyvenv.cfg, links to the interpreter
and one .pth line that adds the base's packages behind its own (https://docs.python.org/3/library/site.html); what the agent
installs there goes with the run. Scripts of the base start the run's interpreter, so that `pip` there installs into /venv.
With `--python PATH` the base is that interpreter's own environment, shown read-only where it lies.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlgym_lite.errors import EnvironmentBuildError
from mlgym_lite.isolation.marked_folders import aside_folder, one_at_a_time
from mlgym_lite.isolation.protocol import Mount
from mlgym_lite.isolation.toolkit import INSIDE
from mlgym_lite.isolation.torch_builds import Accelerator, needs_torch, torch_variables, with_pip_settings
from mlgym_lite.processes import ProgramResult, run_program

logger = logging.getLogger(__name__)

INSIDE_VENV = "/venv"
INSIDE_BASE = f"{INSIDE}/base"
_LAYOUT = 3
_PROBE = (
    "import json,sys,sysconfig;print(json.dumps([sys.prefix,sys.base_prefix,sys._base_executable,"
    "'%d.%d'%sys.version_info[:2],sysconfig.get_path('purelib'),sysconfig.get_path('platlib')]))"
)


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A Python interpreter on this host and the environment it belongs to."""

    program: Path
    """The interpreter proper, no link and in no virtual environment."""
    prefix: Path
    """Where its installation lies."""
    version: str
    """Such as 3.12."""
    environment: Path
    """The environment it was named through; its prefix where that is no virtual environment."""
    package_folders: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class BaseEnvironment:
    """Packages shared read-only by runs."""

    interpreter: Interpreter
    folder: Path | None
    """The built environment; None for an interpreter's own environment, or for no packages at all."""
    package_folders: tuple[str, ...]
    """As they are seen inside."""
    program_folders: tuple[str, ...]
    """Folders for PATH, as they are seen inside."""

    def mounts(self) -> tuple[Mount, ...]:
        """What a sandbox must show for it."""
        needed = [self.interpreter.prefix, self.interpreter.environment]
        shown = [path for path in dict.fromkeys(needed) if not path.is_relative_to("/usr")]
        mounts = [Mount(source=path, target=str(path)) for path in shown if not _is_below_other(path, shown)]
        if self.folder is not None:
            mounts.append(Mount(source=self.folder, target=INSIDE_BASE))
        return tuple(mounts)


def _is_below_other(path: Path, paths: list[Path]) -> bool:
    return any(path != other and path.is_relative_to(other) for other in paths)


@functools.cache
def find_interpreter(python: Path | None = None) -> Interpreter:
    """The interpreter that `python` names (default: the one this runs on)."""
    command = str(python or sys.executable)
    try:
        result = run_program([command, "-I", "-c", _PROBE], timeout_seconds=60)
        prefix, base_prefix, program, version, *packages = json.loads(result.output)
    except ValueError as error:
        raise EnvironmentBuildError(f"{command}: is not a Python interpreter that runs here (it gave no answer)") from error
    except (OSError, TimeoutError) as error:
        raise EnvironmentBuildError(f"{command}: is not a Python interpreter that runs here ({error})") from error
    if tuple(int(part) for part in version.split(".")) < (3, 10):
        raise EnvironmentBuildError(f"{command}: is Python {version}; expected 3.10 or newer")
    return Interpreter(
        program=Path(os.path.realpath(program)),
        prefix=Path(os.path.realpath(base_prefix)),
        version=version,
        environment=Path(os.path.realpath(prefix)),
        package_folders=tuple(dict.fromkeys(Path(os.path.realpath(path)) for path in packages)),
    )


def bare_environment(interpreter: Interpreter) -> BaseEnvironment:
    """No packages but the standard library."""
    plain = Interpreter(
        program=interpreter.program,
        prefix=interpreter.prefix,
        version=interpreter.version,
        environment=interpreter.prefix,
        package_folders=(),
    )
    return BaseEnvironment(interpreter=plain, folder=None, package_folders=(), program_folders=())


def existing_environment(interpreter: Interpreter) -> BaseEnvironment:
    """The environment that an interpreter of the user's belongs to, as it is."""
    return BaseEnvironment(
        interpreter=interpreter,
        folder=None,
        package_folders=tuple(str(path) for path in interpreter.package_folders if path.is_dir()),
        program_folders=(str(interpreter.environment / "bin"),),
    )


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What a base environment is built from, and how."""

    requirements: Path
    interpreter: Interpreter
    cache: Path
    environment: Mapping[str, str]
    """uv's; its settings (index, find-links, offline, cache) are honoured."""
    timeout_seconds: float
    task_reference: str
    on_progress: Callable[[str], None] | None = None
    accelerators: tuple[Accelerator, ...] = ("cpu", "gpu")
    """The builds of PyTorch that will do, where one is asked for; the first is made where none is there."""


def built_environment(request: BuildRequest) -> BaseEnvironment:
    """The base for a requirements file, built with uv at the first call on this host."""
    interpreter = request.interpreter
    folder = next((place for place in _places(request) if (place / "complete").is_file()), None)
    if folder is None:
        folder = next(_places(request))
        _build(folder, request)
    return BaseEnvironment(
        interpreter=bare_environment(interpreter).interpreter,
        folder=folder,
        package_folders=(f"{INSIDE_BASE}/lib/python{interpreter.version}/site-packages",),
        program_folders=(f"{INSIDE_BASE}/bin",),
    )


def _places(request: BuildRequest) -> Iterator[Path]:
    """Where the builds that will do are kept, worked out one after the other."""
    return (request.cache / "environments" / _key(request, accelerator) for accelerator in request.accelerators)


def _key(request: BuildRequest, accelerator: Accelerator) -> str:
    text, interpreter = request.requirements.read_text(encoding="utf-8"), request.interpreter
    lines = sorted(line.strip() for line in text.splitlines() if line.strip())
    build = (accelerator,) if needs_torch(text) else ()
    parts = (*lines, *build, str(interpreter.program), interpreter.version, platform.system(), platform.machine(), str(_LAYOUT))
    return hashlib.sha256("\n".join(parts).encode("utf-8")).hexdigest()[:24]


def _build(folder: Path, request: BuildRequest) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        with one_at_a_time(Path(f"{folder}.lock")):
            if (folder / "complete").is_file():
                return
            if request.on_progress:
                request.on_progress(f"building the environment of {request.requirements} (once for this host)")
            with aside_folder(folder) as aside:
                _build_aside(aside, request)
                _put_in_place(aside, folder)
    except OSError as error:
        raise EnvironmentBuildError(
            f"the environment of {request.requirements} cannot be kept in {folder.parent}: {error.strerror or error}. Make "
            "room or rights there, or name another folder with MLGYM_LITE_CACHE"
        ) from error


def _put_in_place(aside: Path, folder: Path) -> None:
    """Where locks are refused, another process may have built the same meanwhile: the first stays, as runs may use it."""
    if (folder / "complete").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    try:
        os.replace(aside, folder)
    except OSError:
        if not (folder / "complete").is_file():
            raise


def _build_aside(aside: Path, request: BuildRequest) -> None:
    import uv

    program = uv.find_uv_bin()
    aside.chmod(0o755)
    steps: tuple[list[str | Path], ...] = (
        [program, "venv", "--quiet", "--allow-existing", "--python", request.interpreter.program, aside],
        [program, "pip", "install", "--quiet", "--compile-bytecode", "--python", aside / "bin" / "python",
         "--requirement", request.requirements, "pip"],
    )  # fmt: skip
    variables = _uv_variables(request)
    for step in steps:
        result = _run_uv(step, request, variables)
        if result.status != 0:
            raise EnvironmentBuildError(
                f"the environment of {request.requirements} could not be built:\n{result.output.strip()}\n"
                + _advice(result, request)
            )
    _redirect_scripts(aside)
    (aside / "complete").write_text(request.requirements.read_text(encoding="utf-8"), encoding="utf-8")


def _uv_variables(request: BuildRequest) -> dict[str, str]:
    """The user's environment, pip's settings where uv's are silent, and which build of PyTorch to take."""
    variables = with_pip_settings(_without_virtual_environment(request.environment))
    if needs_torch(request.requirements.read_text(encoding="utf-8")):
        variables.update(torch_variables(request.accelerators[0], request.interpreter.version, variables))
    return variables


def _advice(result: ProgramResult, request: BuildRequest) -> str:
    if "No space left" in result.output:
        return "Make room, or name another folder with MLGYM_LITE_CACHE (uv's own cache: UV_CACHE_DIR)."
    if "download.pytorch.org" in result.output:
        return (
            "PyTorch's build for the CPU comes from download.pytorch.org, which cannot be reached from here. Build the "
            f"environment where it can be (mlgym-lite prepare {request.task_reference}) and share the cache folder "
            "(MLGYM_LITE_CACHE); or name a folder with its wheel with UV_FIND_LINKS; or take the much larger build for GPUs "
            "with --accelerator gpu; or use an environment you already have with --python PATH"
        )
    return (
        "Without a package index here, build it on a machine that has one and share the cache folder:\n"
        f"  mlgym-lite prepare {request.task_reference}\n"
        "(MLGYM_LITE_CACHE names the folder; uv's own settings, such as UV_FIND_LINKS and UV_INDEX_URL, are "
        "honoured; --python PATH uses an environment you already have)"
    )


def _run_uv(step: list[str | Path], request: BuildRequest, variables: dict[str, str]) -> ProgramResult:
    """Run uv, and again with the system's certificates where its own do not know the index (a site with a CA of its own),
    or without its cache where that lies on a file system that refuses locks."""
    try:
        result = run_program(step, environment=variables, timeout_seconds=request.timeout_seconds)
        if result.status != 0 and "certificate" in result.output:
            variables = {**variables, "UV_NATIVE_TLS": "1", "UV_SYSTEM_CERTS": "1"}
            result = run_program(step, environment=variables, timeout_seconds=request.timeout_seconds)
        if result.status != 0 and "acquire lock" in result.output:
            variables = {**variables, "UV_NO_CACHE": "1"}
            result = run_program(step, environment=variables, timeout_seconds=request.timeout_seconds)
    except TimeoutError as error:
        raise EnvironmentBuildError(
            f"the environment of {request.requirements} was not built within {request.timeout_seconds:g} s "
            "([environment].build_timeout_sec)"
        ) from error
    if request.on_progress and result.status == 0:  # else the error tells it
        for line in result.output.splitlines():
            request.on_progress(line)
    return result


def _without_virtual_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in {"VIRTUAL_ENV", "CONDA_PREFIX"}}


_SCRIPT_START = b"#!/bin/sh\n'''exec' \"${MLGYM_LITE_ROOT}/venv/bin/python\" \"$0\" \"$@\"\n' '''\n"
"""A shell script that hands itself to the run's own interpreter, and to Python a text without effect."""


def _redirect_scripts(environment: Path) -> None:
    """Have the scripts start the run's own interpreter, wherever the sandbox shows it, not the base's."""
    old = f"{environment}/bin/python".encode()
    for script in (environment / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        rest = _without_start(script.read_bytes(), old)
        if rest is not None:
            mode = script.stat().st_mode
            script.unlink()  # uv may share the file with its cache
            script.write_bytes(_SCRIPT_START + rest)
            script.chmod(mode)


def _without_start(content: bytes, interpreter: bytes) -> bytes | None:
    """What follows the lines of a script that start an interpreter; None for what starts something else.

    Where a path has a space or is long, installers write a shell script of three lines in the place of `#!`.
    """
    first, _, rest = content.partition(b"\n")
    if first.startswith(b"#!" + interpreter):
        return rest
    second, _, further = rest.partition(b"\n")
    if first == b"#!/bin/sh" and second.startswith(b"'''exec'") and interpreter in second:
        return further.partition(b"\n")[2]
    return None


def make_layer(folder: Path, base: BaseEnvironment, further_packages: tuple[str, ...] = ()) -> None:
    """Make a run's own environment in an empty folder; `further_packages` are folders as seen inside."""
    interpreter = base.interpreter
    packages = folder / "lib" / f"python{interpreter.version}" / "site-packages"
    packages.mkdir(parents=True)
    programs = folder / "bin"
    programs.mkdir()
    (folder / "lib64").symlink_to("lib")
    (programs / "python").symlink_to(interpreter.program)
    for name in ("python3", f"python{interpreter.version}"):
        (programs / name).symlink_to("python")
    home = f"home = {interpreter.program.parent}\ninclude-system-site-packages = false\nversion = {interpreter.version}\n"
    (folder / "pyvenv.cfg").write_text(home, encoding="utf-8")
    added = (*base.package_folders, *further_packages)
    if added:
        line = "import os, site; root = os.environ.get('MLGYM_LITE_ROOT', ''); "
        line += "; ".join(f"site.addsitedir({_as_seen(path)})" for path in added)
        (packages / "_mlgym_lite_base.pth").write_text(line + "\n", encoding="utf-8")


def _as_seen(path: str) -> str:
    """A folder as Python text: the sandbox's own places lie below its root, the host's where they are."""
    return f"root + {path!r}" if path.startswith(f"{INSIDE}/") else repr(path)


def search_path(base: BaseEnvironment, *, tools: str | None = None) -> str:
    """PATH for a sandbox with a layer over this base."""
    folders = [tools] if tools else []
    folders += [f"{INSIDE_VENV}/bin", *base.program_folders, "/usr/local/bin", "/usr/bin", "/bin"]
    return ":".join(folders)
