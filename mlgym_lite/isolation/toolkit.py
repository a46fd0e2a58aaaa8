"""The programs and libraries that a sandbox shows at /opt/mlgym, put together once for each version in the cache.

agent/   bin and lib (with pyflakes, for linting) of the agent's tools, compiled, and network/, the way to the proxy
judge/   the library of graders        player/   the library of programs that play an agent's code

They are copied rather than shown from the package, so that any user can read them whatever rights the checkout has, and so
that one mount serves. `readable_folder` gives the same service to small folders of a task.
"""

from __future__ import annotations

import compileall
import functools
import hashlib
import importlib.util
import os
import py_compile
import shutil
from collections.abc import Callable
from pathlib import Path

from mlgym_lite.errors import OutputError
from mlgym_lite.isolation.marked_folders import aside_folder
from mlgym_lite.isolation.root_start import first_unreadable
from mlgym_lite.shipped_files import tools_folder

INSIDE = "/opt/mlgym"
_GRADING = (("mlgym_judge.py", "judge"), ("mlgym_player.py", "player"))


@functools.cache
def toolkit(cache: Path, version: str) -> Path:
    """The folder with agent/, judge/ and player/ for interpreters of a version such as 3.12."""
    source = tools_folder()
    pyflakes = importlib.util.find_spec("pyflakes")
    assert pyflakes is not None and pyflakes.origin is not None
    linter = Path(pyflakes.origin).parent
    key = _digest((source, linter), version)
    return _kept(cache / "toolkits" / key, lambda folder: _assemble(folder, source, linter))


def _assemble(folder: Path, source: Path, linter: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "test", "*.pyc")
    for name in ("bin", "lib", "network", "gpu"):
        shutil.copytree(source / name, folder / "agent" / name, ignore=ignored, copy_function=shutil.copyfile)
    shutil.copytree(linter, folder / "agent" / "lib" / "pyflakes", ignore=ignored, copy_function=shutil.copyfile)
    for name, place in _GRADING:
        (folder / place).mkdir()
        shutil.copyfile(source / "grading" / name, folder / place / name)
    compileall.compile_dir(folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    open_to_all(folder)
    for program in (folder / "agent" / "bin").iterdir():
        program.chmod(0o755)


@functools.cache
def readable_folder(folder: Path, cache: Path) -> Path:
    """The folder itself, or for a root engine a copy any user can read, where something in it is root's alone."""
    if os.geteuid() != 0 or first_unreadable(folder) is None:
        return folder

    def copy(target: Path) -> None:
        shutil.copytree(folder, target, dirs_exist_ok=True, symlinks=True)
        open_to_all(target)

    return _kept(cache / "readable" / _digest((folder,), "copy"), copy)


def open_to_all(folder: Path) -> None:
    """Let every user read a tree of ours, whatever the umask it was made with."""
    for parent, _, files in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in files:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def reason_of(error: OSError) -> str:
    """What went wrong, once; shutil.Error lists (source, target, reason) for every file."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        return str(error.args[0][0][-1])
    return error.strerror or str(error)


def _digest(folders: tuple[Path, ...], salt: str) -> str:
    total = hashlib.sha256(salt.encode("utf-8"))
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                total.update(os.fsencode(path.relative_to(folder)) + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:24]


def _kept(folder: Path, make: Callable[[Path], None]) -> Path:
    """A folder of the cache, made aside at the first call and moved into place."""
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        with aside_folder(folder) as aside:
            make(aside)
            try:
                os.rename(aside, folder)
            except OSError:
                if not folder.is_dir():  # another run was quicker otherwise
                    raise
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made in the cache: {reason_of(error)}. Make room or rights there, or name another "
            "folder with MLGYM_LITE_CACHE"
        ) from error
    return folder
