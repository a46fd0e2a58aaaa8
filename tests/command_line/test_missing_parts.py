"""What a host may lack: bubblewrap, user namespaces, room. Each is one error that says how to get it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from program_harness import DEADLINE_SECONDS, Ended, Program, wait_until

Make = Callable[..., Path]
Write = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]

NO_NAMESPACES = (
    "bwrap: No permissions to create new namespace, likely because the kernel does not allow non-privileged user namespaces. "
    "On e.g. debian this can be enabled with 'sysctl kernel.unprivileged_userns_clone=1'."
)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may read, for programs that run as another one."""
    with tempfile.TemporaryDirectory(prefix="mlgym-lite-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextlib.contextmanager
def mounted_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of a size, where root may mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("this root may not mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    with mounted_disk(tmp_path / "small", "256k") as folder:
        yield folder


@pytest.fixture
def sufficient_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with just enough room for a run to start."""
    with mounted_disk(tmp_path / "sufficient", "520m") as folder:
        yield folder


def fill(folder: Path, size: int = 4096) -> None:
    """Write a file until the file system it is on is full."""
    with (folder / "filler").open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * size)


@pytest.fixture
def without_namespaces(open_folder: Path) -> str:
    """A PATH whose bwrap fails as it does where user namespaces are off."""
    program = open_folder / "bwrap"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.8.0 && exit\necho "{NO_NAMESPACES}" >&2\nexit 1\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    return f"{open_folder}:{os.environ['PATH']}"


def test_without_bubblewrap_it_is_told_how_to_get_it(
    mlgym: Program, make_task: Make, working_folder: Path, tmp_path: Path
) -> None:
    """A missing bwrap ends with status 5 and the commands that install it; no run directory is made."""
    ended = mlgym("run", make_task(), "--agent", "baseline", "--isolation", "bubblewrap", PATH=str(tmp_path))
    ended.told_one_error(5, "bubblewrap is not installed", "apt-get install bubblewrap", "without root", "mlgym-lite doctor")
    assert not list(working_folder.iterdir())


@pytest.mark.landlock
def test_without_bubblewrap_landlock_serves(mlgym: Program, make_task: Make, tmp_path: Path) -> None:
    """Where there is no bwrap an ordinary user's episode runs all the same, and its result says how and what is weaker."""
    ended = mlgym("run", make_task(), "--agent", "baseline", "--json", PATH=str(tmp_path))
    result = json.loads(ended.out)
    assert (ended.status, result["score"]["value"], result["isolation"]["mechanism"]) == (0, 1.0, "landlock")
    assert any("host processes" in text for text in result["isolation"]["weakened"])
    assert "weaker in " in ended.err


@pytest.mark.landlock
def test_doctor_lists_what_landlock_does_not_keep(mlgym: Program, tmp_path: Path) -> None:
    """Without bwrap `doctor` says how to get it, that landlock serves, and each promise it does not keep."""
    ended = mlgym("doctor", PATH=str(tmp_path))
    assert ended.status == 0
    assert "weak bubblewrap: bubblewrap is not installed" in ended.out
    assert "ok   sandbox: landlock puts one up" in ended.out
    findings = {finding["name"]: finding for finding in json.loads(mlgym("doctor", "--json", PATH=str(tmp_path)).out)}
    assert all(f"       - {text}\n" in ended.out for text in findings["landlock"]["lacks"])
    assert findings["landlock"]["works"] and findings["landlock"]["lacks"]


def test_isolation_none_is_said_plainly(mlgym: Program, make_task: Make) -> None:
    """Without any wall an episode runs only when that is asked for by name, and its result says so."""
    ended = mlgym("run", make_task(), "--agent", "baseline", "--isolation", "none", "--json")
    isolation = json.loads(ended.out)["isolation"]
    assert (isolation["mechanism"], isolation["network"]) == ("none", "public")
    assert isolation["weakened"][0] == "nothing keeps the agent from this host"


@pytest.mark.parametrize("command", [("run", "--agent", "baseline"), ("shell",)])
def test_without_user_namespaces_the_reason_is_told(
    mlgym: Program, make_task: Make, without_namespaces: str, command: tuple[str, ...]
) -> None:
    """Where the kernel refuses namespaces, bubblewrap's reason is in the one error."""
    ended = mlgym(*command, make_task(), "--isolation", "bubblewrap", PATH=without_namespaces)
    assert "Traceback" not in ended.err
    assert ended.status in (5, 12)
    assert ended.err.count("mlgym-lite: error: ") == 1
    assert "does not allow non-privileged user namespaces" in ended.err


def test_where_no_mechanism_works_nothing_starts(
    mlgym: Program, make_task: Make, working_folder: Path, without_namespaces: str
) -> None:
    """A host that cannot put up a sandbox is an IsolationError with each mechanism's reason, and no run directory is made."""
    if os.geteuid() != 0:
        pytest.skip("an ordinary user has landlock here")
    ended = mlgym("run", make_task(), "--agent", "baseline", PATH=without_namespaces)
    ended.told_one_error(5, "bubblewrap: ", "landlock: ", "ordinary user", "mlgym-lite doctor")
    assert not list(working_folder.iterdir())


def test_doctor_tells_bubblewraps_reason(mlgym: Program, without_namespaces: str) -> None:
    """`doctor` shows bubblewrap's reason, and ends with status 5 where nothing else puts up a sandbox."""
    ended = mlgym("doctor", PATH=without_namespaces)
    assert "weak bubblewrap: " in ended.out and "non-privileged user namespaces" in ended.out
    works = "ok   sandbox" in ended.out
    assert ended.status == (0 if works else 5)
    assert works or "sandbox" in ended.err


@pytest.mark.kernel
def test_a_disk_that_fills_up_keeps_the_steps_before(
    started: Start, make_task: Make, actions: Write, sufficient_disk: Path
) -> None:
    """Without room for a step, the run ends with status 7; the steps before are whole."""
    big, run = "head -c 20000 /dev/zero | tr '\\0' x", sufficient_disk / "run"
    wait = "until [ -e go ]; do sleep 0.02; done"
    process = started("run", make_task(), "--actions", actions("\n".join(map(json.dumps, ["echo one", wait, wait, *[big] * 10]))),
                      "--output", run, "-q")  # fmt: skip
    wait_until(lambda: (run / "trajectory.jsonl").exists() and (run / "trajectory.jsonl").stat().st_size, "a step is recorded")
    fill(sufficient_disk, 1 << 20)
    (run / "workspace" / "go").touch()
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    ended = Ended(status=process.returncode, out=out, err=err)
    ended.told_one_error(7, "trajectory.jsonl", "cannot be written: No space left on device", "Steps before it are kept")
    lines = (run / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["observation"] == "one\n"
    assert all(json.loads(line) for line in lines)
    assert "[Stopped: the disk under /workspace and /venv is nearly full" in json.loads(lines[1])["observation"]
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["agent"] == "scripted"


@pytest.mark.kernel
def test_a_full_disk_is_told_before_the_first_step(mlgym: Program, make_task: Make, small_disk: Path) -> None:
    """A run does not start on a disk that is nearly full, with status 7 and how much it needs."""
    fill(small_disk)
    ended = mlgym("run", make_task(), "--agent", "baseline", "--output", small_disk / "run")
    ended.told_one_error(7, "only 0 MiB are free", "at least 512 MiB", "--output")


@pytest.mark.kernel
def test_a_cache_without_room_is_told(mlgym: Program, make_task: Make, small_disk: Path) -> None:
    """A cache that cannot hold the tools ends with status 7 and the variable that names another."""
    fill(small_disk)
    ended = mlgym("run", make_task(), "--agent", "baseline", MLGYM_LITE_CACHE=str(small_disk / "cache"))
    ended.told_one_error(7, "No space left on device", "MLGYM_LITE_CACHE")


@pytest.mark.kernel
def test_a_cache_without_room_is_told_in_a_sentence(mlgym: Program, make_task: Make, small_disk: Path) -> None:
    """The reason for a cache that is full is told once."""
    (small_disk / "cache").mkdir()
    fill(small_disk)
    os.truncate(small_disk / "filler", (small_disk / "filler").stat().st_size - 16384)
    ended = mlgym("run", make_task(), "--agent", "baseline", MLGYM_LITE_CACHE=str(small_disk / "cache"))
    assert ended.err.count("No space left on device") == 1


@pytest.mark.kernel
@pytest.mark.parametrize("cache", ["/proc/nowhere", "/dev/null"])
def test_a_cache_that_cannot_be_made_is_told(mlgym: Program, make_task: Make, cache: str) -> None:
    """A cache folder in an impossible place ends with status 7, its path and the variable."""
    ended = mlgym("run", make_task(), "--agent", "baseline", MLGYM_LITE_CACHE=cache)
    ended.told_one_error(7, cache, "MLGYM_LITE_CACHE")


def test_tasks_and_help_need_nothing_of_the_host(mlgym: Program, tmp_path: Path) -> None:
    """Without bubblewrap, cache or data, what only reads still works."""
    assert mlgym("tasks", PATH=str(tmp_path), MLGYM_LITE_CACHE="/proc/nowhere").status == 0
    assert mlgym("--help", PATH="").status == 0
