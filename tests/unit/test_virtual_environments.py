"""Virtual environments: layers that are made in a millisecond, over bases that no run can change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlgym_lite.errors import EnvironmentBuildError
from mlgym_lite.isolation.virtual_environments import (
    BaseEnvironment,
    BuildRequest,
    Interpreter,
    _key,
    _redirect_scripts,
    bare_environment,
    built_environment,
    existing_environment,
    find_interpreter,
    make_layer,
    search_path,
)


def _request(folder: Path, environment: dict[str, str]) -> BuildRequest:
    return BuildRequest(
        requirements=folder / "requirements.txt", interpreter=find_interpreter(), cache=folder / "cache",
        environment=environment, timeout_seconds=60.0, task_reference="tiny",
    )  # fmt: skip


def run_in(layer: Path, code: str) -> str:
    """What code prints in the environment of a layer."""
    command = [layer / "bin" / "python", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/", env={"PATH": "/usr/bin"}).stdout.strip()


def test_the_default_is_the_interpreter_this_runs_on() -> None:
    """Without a name, the interpreter proper of this process is found, not the virtual environment's link."""
    found = find_interpreter()
    assert found.version == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert not found.program.is_symlink()
    assert found.program.is_relative_to(found.prefix)
    assert found.environment == Path(sys.prefix).resolve()


@pytest.mark.parametrize("name", ["/bin/true", "/nowhere/python", "/", "/etc/passwd"])
def test_what_is_no_interpreter_is_told(name: str) -> None:
    """A program that is not Python, is not there or cannot run is told by its path."""
    with pytest.raises(EnvironmentBuildError, match=rf"{name}: is not a Python interpreter that runs here"):
        find_interpreter(Path(name))


def test_an_old_interpreter_is_told_with_what_is_expected(tmp_path: Path) -> None:
    """A Python older than 3.10 is refused with both versions."""
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\necho \'["/usr", "/usr", "/usr/bin/python3.8", "3.8", "/a", "/b"]\'\n', encoding="utf-8")
    old.chmod(0o755)
    with pytest.raises(EnvironmentBuildError, match=r"is Python 3\.8; expected 3\.10 or newer"):
        find_interpreter(old)


def test_a_layer_is_a_working_environment_of_its_own(tmp_path: Path) -> None:
    """A layer has its own prefix and site-packages, and the interpreter's standard library."""
    make_layer(tmp_path, bare_environment(find_interpreter()))
    prefix, here = run_in(tmp_path, "import sys, json, site; print(sys.prefix, site.getsitepackages()[0])").split()
    assert Path(prefix) == tmp_path
    assert Path(here).is_relative_to(tmp_path)


def test_a_bare_layer_sees_no_packages_of_this_environment(tmp_path: Path) -> None:
    """What the engine runs with is nothing to the agent."""
    make_layer(tmp_path, bare_environment(find_interpreter()))
    code = "import importlib.util as u; print([n for n in ('pydantic', 'click', 'pytest', 'mlgym_lite') if u.find_spec(n)])"
    assert run_in(tmp_path, code) == "[]"


def test_a_layer_shows_the_packages_of_its_base_behind_its_own(tmp_path: Path) -> None:
    """Packages of the base are importable, .pth files of theirs included; the layer's own come first."""
    for name in ("base", "base/elsewhere", "layer"):
        (tmp_path / name).mkdir()
    (tmp_path / "base" / "one.py").write_text("where = 'base'", encoding="utf-8")
    (tmp_path / "base" / "two.py").write_text("where = 'base'", encoding="utf-8")
    (tmp_path / "base" / "more.pth").write_text(str(tmp_path / "base" / "elsewhere") + "\n", encoding="utf-8")
    (tmp_path / "base" / "elsewhere" / "three.py").write_text("where = 'pth'", encoding="utf-8")
    plain = bare_environment(find_interpreter()).interpreter
    base = BaseEnvironment(interpreter=plain, folder=None, package_folders=(str(tmp_path / "base"),), program_folders=())
    make_layer(tmp_path / "layer", base)
    (packages,) = (tmp_path / "layer" / "lib").glob("python3*/site-packages")
    (packages / "two.py").write_text("where = 'layer'", encoding="utf-8")
    assert run_in(tmp_path / "layer", "import one, two, three; print(one.where, two.where, three.where)") == "base layer pth"


@pytest.mark.parametrize("name", ["with space", "quo'te", 'double"', "new\nline", "üñí"])
def test_the_base_may_lie_anywhere(tmp_path: Path, name: str) -> None:
    """Quotes, spaces and line ends in the path of a base are no code of the layer's."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "one.py").write_text("", encoding="utf-8")
    (tmp_path / "layer").mkdir()
    plain = bare_environment(find_interpreter()).interpreter
    make_layer(tmp_path / "layer", BaseEnvironment(
        interpreter=plain, folder=None, package_folders=(str(tmp_path / name),), program_folders=(),
    ))  # fmt: skip
    assert run_in(tmp_path / "layer", "import one; print('found')") == "found"


def test_an_environment_in_use_is_shown_as_it_is(tmp_path: Path) -> None:
    """With --python, the environment's own folders are shown and its programs are on PATH."""
    (tmp_path / "site-packages").mkdir()
    interpreter = Interpreter(
        program=Path("/opt/python/bin/python3.12"), prefix=Path("/opt/python"), version="3.12", environment=tmp_path,
        package_folders=(tmp_path / "site-packages", tmp_path / "gone"),
    )  # fmt: skip
    base = existing_environment(interpreter)
    assert base.package_folders == (str(tmp_path / "site-packages"),)
    assert {mount.target for mount in base.mounts()} == {"/opt/python", str(tmp_path)}
    assert not any(mount.writable for mount in base.mounts())
    assert search_path(base).split(":")[:2] == ["/venv/bin", f"{tmp_path}/bin"]


def test_what_the_host_shows_anyway_is_not_mounted_again() -> None:
    """An interpreter below /usr needs no mount, and a folder within another is mounted once."""
    for prefix, environment, shown in (("/usr", "/usr", set()), ("/opt/a", "/opt/a/venv", {"/opt/a"})):
        interpreter = Interpreter(
            program=Path(prefix, "bin/python3"), prefix=Path(prefix), version="3.12", environment=Path(environment),
            package_folders=(),
        )  # fmt: skip
        base = BaseEnvironment(interpreter=interpreter, folder=None, package_folders=(), program_folders=())
        assert {mount.target for mount in base.mounts()} == shown


def test_tools_come_first_on_the_path() -> None:
    """The sandbox's tools come before the environment's programs, which come before the system's."""
    path = search_path(bare_environment(find_interpreter()), tools="/opt/mlgym/bin").split(":")
    assert path[:2] == ["/opt/mlgym/bin", "/venv/bin"]
    assert path[-2:] == ["/usr/bin", "/bin"]


def test_the_order_of_requirements_does_not_matter(tmp_path: Path) -> None:
    """The same packages in another order, or with blank lines, are the same environment; others are not."""
    keys = []
    for text in ("a\nb\n", "b\n\n a\n", "a\nb\nc\n"):
        (tmp_path / "requirements.txt").write_text(text, encoding="utf-8")
        keys.append(_key(_request(tmp_path, {}), "cpu"))
    assert keys[0] == keys[1] != keys[2]


def test_the_build_of_torch_makes_another_environment(tmp_path: Path) -> None:
    """Requirements with torch have one environment for the CPU and one for GPUs; others have one for both."""
    distinct = []
    for text in ("numpy\n", "torchmetrics\n", "torch==2.13.0\n", "numpy\ntorch\n"):
        (tmp_path / "requirements.txt").write_text(text, encoding="utf-8")
        request = _request(tmp_path, {})
        distinct.append(_key(request, "cpu") != _key(request, "gpu"))
    assert distinct == [False, False, True, True]


def test_an_environment_for_gpus_serves_an_episode_without_one(tmp_path: Path) -> None:
    """What is there already is used, and nothing is built."""
    (tmp_path / "requirements.txt").write_text("torch\n", encoding="utf-8")
    request = _request(tmp_path, {"PATH": "/nowhere"})
    there = request.cache / "environments" / _key(request, "gpu")
    there.mkdir(parents=True)
    (there / "complete").touch()
    assert built_environment(request).folder == there


def test_scripts_of_a_base_start_the_runs_own_interpreter(tmp_path: Path) -> None:
    """Scripts of the base that start its Python start /venv's; other files and shared ones are left alone."""
    (tmp_path / "bin").mkdir()
    shared = tmp_path / "shared"
    shared.write_text(f"#!{tmp_path}/bin/python\nprint()\n", encoding="utf-8")
    (tmp_path / "bin" / "pip").hardlink_to(shared)
    (tmp_path / "bin" / "other").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "bin" / "link").symlink_to("pip")
    spaced = tmp_path / "bin" / "spaced"
    spaced.write_text(f"#!/bin/sh\n'''exec' '{tmp_path}/bin/python' \"$0\" \"$@\"\n' '''\nprint()\n", encoding="utf-8")
    _redirect_scripts(tmp_path)
    start = tmp_path / "venv" / "bin"
    start.mkdir(parents=True)
    (start / "python").write_text('#!/bin/sh\necho run "$@"\n', encoding="utf-8")
    (start / "python").chmod(0o755)
    script = tmp_path / "bin" / "pip"
    script.chmod(0o755)
    done = subprocess.run([script, "a b"], env={"MLGYM_LITE_ROOT": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert done.stdout == f"run {script} a b\n"
    assert subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout == "\n"
    assert spaced.read_text(encoding="utf-8") == script.read_text(encoding="utf-8")
    assert shared.read_text(encoding="utf-8").startswith(f"#!{tmp_path}")
    assert (tmp_path / "bin" / "other").read_text(encoding="utf-8") == "#!/bin/sh\n"


def test_an_environment_that_cannot_be_built_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """Without a package index, the error names the requirements and the command for a machine that has one."""
    (tmp_path / "requirements.txt").write_text("no-such-package-of-ours==9\n", encoding="utf-8")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "uv")}
    with pytest.raises(EnvironmentBuildError) as caught:
        built_environment(_request(tmp_path, environment))
    for words in ("requirements.txt", "mlgym-lite prepare tiny", "MLGYM_LITE_CACHE", "--python PATH", "no-such-package-of-ours"):
        assert words in str(caught.value)
    assert not [path for path in (tmp_path / "cache" / "environments").iterdir() if path.is_dir()]


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A cache folder that cannot be made is told with the variable that names another."""
    (tmp_path / "requirements.txt").write_text("", encoding="utf-8")
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(EnvironmentBuildError, match=r"cannot be kept in .*cache/environments: Not a directory.*MLGYM_LITE_CACHE"):
        built_environment(_request(tmp_path, {}))
