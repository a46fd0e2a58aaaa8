"""kill -9 of each process at each stage of an episode, full disks, refused locks, jumping clocks: nothing is left, and the
next run works."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from fault_harness import WAIT_SECONDS, Engine, ending_of, steps_of
from tiny_task import GRADER, TASK_TOML

import mlgym_lite
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.episode.leftovers import find_leftovers, remove

pytestmark = pytest.mark.kernel

Make = Callable[..., Path]
Start = Callable[..., Engine]

BLOCKING_PLAYER = {"tests/player.py": "import subprocess\nsubprocess.run(['sleep', '3333'])\n"}
PLAYER_TOML = TASK_TOML + '\n[metadata.mlgym_lite.player]\nprogram = "tests/player.py"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where temporary files of the engine under test go."""
    place = tmp_path / "temporary"
    place.mkdir()
    place.chmod(0o755)
    yield place


@pytest.fixture
def start(environment: dict[str, str], folder: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts engines; at the end of the test nothing of them may be left, nor a mount more than before."""
    engines: list[Engine] = []

    def begin(
        task: Path, *, name: str = "run", output: Path | None = None, prefix: tuple[str, ...] = (), **variables: str
    ) -> Engine:
        place = output or tmp_path / name
        engines.append(Engine(task, place, {**environment, "TMPDIR": str(folder)}, prefix, **variables))
        return engines[-1]

    yield begin
    for engine in engines:
        engine.close()
        engine.wait_until_ended()
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    assert str(tmp_path) not in mounts and "/run/mlgym-lite" not in mounts


@pytest.fixture
def next_run_works(make_task: Make, environment: dict[str, str], folder: Path, tmp_path: Path) -> Callable[[], None]:
    """After `gc`, no file of a killed engine is left, and a whole episode runs."""

    def check() -> None:
        places = mlgym_lite.config.places.places(environment)
        saved, tempfile.tempdir = tempfile.tempdir, str(folder)
        try:
            for leftover in find_leftovers(places, [tmp_path]):
                if tmp_path in leftover.path.parents:
                    assert leftover.removable, leftover
                    assert remove(leftover).problem == ""
            assert list(folder.iterdir()) == []
        finally:
            tempfile.tempdir = saved
        task = mlgym_lite.load_task(make_task("next"))
        settings = RunSettings(output=tmp_path / "next-run")
        with mlgym_lite.Episode(task, settings=settings, environment=environment) as episode:
            assert episode.step("echo works").observation == "works\n"
            assert episode.submit().score == 0.5

    return check


# kill -9 at every stage

AGENT_STAGES = ["idle", "command", "validate by the agent"]
GRADING_STAGES = ["validate", "submit"]


def reach(engine: Engine, stage: str) -> str:
    """Bring an engine to a stage; a word in the command line of a process that runs then."""
    assert "error" not in engine.ask("reset")
    assert engine.ask("step", "sleep 2222 & echo first")["told"] == "first\n"
    steps = {"command": "sleep 1111", "validate by the agent": "validate; echo back"}
    if stage in steps:
        engine.call("step", steps[stage])
    elif stage != "idle":
        engine.call(stage)
    return {"idle": "2222", "command": "1111"}.get(stage, "3333")


@pytest.mark.parametrize("stage", [*AGENT_STAGES, *GRADING_STAGES, "close"])
def test_the_engine_is_killed(start: Start, make_task: Make, next_run_works: Callable[[], None], stage: str) -> None:
    """After kill -9 of the engine its sandboxes end, every step it told of is on disk, and its run has no result."""
    engine = start(make_task(grader="sleep 3333\n" + GRADER))
    word = reach(engine, stage)
    if stage != "close":
        engine.wait_until_running(word)
    engine.kill()
    engine.wait_until_ended()
    assert steps_of(engine.output)[:1] == [1]
    if stage != "close":
        assert ending_of(engine.output) == ""
    next_run_works()


@pytest.mark.parametrize("victim", ["bwrap", "first", "shell"])
@pytest.mark.parametrize("stage", ["idle", "command"])
def test_a_part_of_the_agents_sandbox_is_killed(
    start: Start, make_task: Make, next_run_works: Callable[[], None], stage: str, victim: str
) -> None:
    """After kill -9 of bwrap, the sandbox's first process or its shell the agent gets a new shell, and can submit."""
    engine = start(make_task())
    inside = engine.wait_until_running(reach(engine, stage))
    first = engine.first(inside)
    {"bwrap": engine.outermost(inside), "first": first, "shell": first.children()[0]}[victim].kill()
    if stage == "idle":
        psutil.wait_procs([inside], WAIT_SECONDS)
        engine.call("step", "echo lost")
    assert "a new one is running" in engine.answer()["told"]
    assert engine.ask("step", "echo usable")["told"] == "usable\n"
    assert engine.ask("submit")["told"] == "0.5"
    assert ending_of(engine.output) == "submitted"
    next_run_works()


@pytest.mark.parametrize("victim", ["bwrap", "first", "judge"])
@pytest.mark.parametrize("stage", GRADING_STAGES)
def test_a_part_of_the_judge_is_killed(
    start: Start, make_task: Make, next_run_works: Callable[[], None], stage: str, victim: str
) -> None:
    """After kill -9 of a part of the judge's sandbox the episode ends, and not for the agent's doing."""
    engine = start(make_task(grader="sleep 3333\n" + GRADER))
    inside = engine.wait_until_running(reach(engine, stage))
    {"bwrap": engine.outermost(inside), "first": engine.first(inside), "judge": inside.parent()}[victim].kill()  # type: ignore[union-attr]
    answer = engine.answer()
    assert answer["error"] in ("GraderError", "SandboxError"), answer
    assert ending_of(engine.output) in ("grader_error", "sandbox_error")
    next_run_works()


@pytest.mark.parametrize("stage", GRADING_STAGES)
def test_the_player_is_killed(start: Start, make_task: Make, next_run_works: Callable[[], None], stage: str) -> None:
    """After kill -9 of the player the judge sees its end and says what that means."""
    judge = 'cat <&"$MLGYM_LITE_PLAYER_FD" >/dev/null; echo "the player ended" > /logs/verifier/rejection.txt; exit 65\n'
    engine = start(make_task(toml=PLAYER_TOML, grader=judge, files=BLOCKING_PLAYER))
    inside = engine.wait_until_running(reach(engine, stage))
    engine.outermost(inside).kill()
    assert "error" not in engine.answer()
    assert engine.ask("close") is not None
    assert ending_of(engine.output) == ("submitted" if stage == "submit" else "gave_up")
    next_run_works()


@pytest.fixture
def slow_bwrap() -> Iterator[Path]:
    """A folder with a bwrap that, once a file `slow` is there, only waits, and ends with the engine as the real one does."""
    place = Path(tempfile.mkdtemp(prefix="mlgym-lite-test-"))
    place.chmod(0o777)
    wrapper = place / "bwrap"
    slow = f"[ -e {place}/slow ] && exec setpriv --pdeathsig KILL sleep 4444"
    wrapper.write_text(f'#!/bin/bash\n{slow}\nexec {shutil.which("bwrap")} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize("victim", ["engine", "bwrap"])
def test_a_kill_while_the_sandbox_starts(
    start: Start, make_task: Make, slow_bwrap: Path, next_run_works: Callable[[], None], victim: str
) -> None:
    """A sandbox that is killed while it starts is told, an engine that is killed meanwhile leaves none."""
    engine = start(make_task(), name="try", PATH=f"{slow_bwrap}:{os.environ['PATH']}")
    assert "error" not in engine.ask("reset")  # the mechanism is tried at the first reset only
    (slow_bwrap / "slow").touch()
    engine.call("step", "exit")
    inside = engine.wait_until_running("4444")
    if victim == "engine":
        engine.kill()
    else:
        inside.kill()
        answer = engine.answer()
        assert answer["error"] == "SandboxError"
        assert ending_of(engine.output) == "sandbox_error"
    next_run_works()


def test_the_engine_is_killed_while_it_builds(start: Start, make_task: Make, tmp_path: Path) -> None:
    """After kill -9 in the middle of a build, uv ends or is alone with a folder that gc removes, and the next build works."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_SECONDS)
        toml = TASK_TOML.replace("domain =", 'requirements = "r.txt"\ndomain =')
        url = f"http://127.0.0.1:{server.getsockname()[1]}/slow-1.0-py3-none-any.whl"
        task = make_task("slow", toml=toml, files={"r.txt": f"slow @ {url}\n"})
        cache = tmp_path / "own-cache"
        engine = start(task, MLGYM_LITE_CACHE=str(cache), UV_CACHE_DIR=str(tmp_path / "uv"), NO_PROXY="*")
        engine.call("reset")
        connection, _ = server.accept()
        engine.kill()
        connection.close()
    engine.wait_until_ended()
    places = mlgym_lite.config.places.places({"MLGYM_LITE_CACHE": str(cache)})
    left = [leftover for leftover in find_leftovers(places, []) if cache in leftover.path.parents]
    assert {leftover.kind for leftover in left} == {"half-made folder", "lock file"}
    assert [remove(leftover).problem for leftover in left] == ["", ""]
    assert list((cache / "environments").iterdir()) == []


# Full disks

MOUNT = 'mount -t tmpfs -o size="$1",mode=1777 none /mnt && shift && exec "$@"'


def on_a_disk(size: str, program: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a mount namespace of its own, with a file system of a size at /mnt.

    An ordinary user mounts in a user namespace, and is itself again in another one inside that.
    """
    prefix = ["unshare", "--mount", "--propagation", "private"]
    again: list[str] = []
    if os.geteuid() != 0:
        prefix[1:1] = ["--user", "--map-root-user"]
        again = ["unshare", "--user", f"--map-user={os.getuid()}", f"--map-group={os.getgid()}"]
    words = [*prefix, "bash", "-c", MOUNT, "bash", size, *again]
    if subprocess.run([*words, "true"], capture_output=True).returncode != 0:
        pytest.skip("this user may not mount")
    return subprocess.run(
        [*words, sys.executable, "-c", program, *arguments],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


FILLED = """\
import contextlib, os, sys
from pathlib import Path
import psutil
import mlgym_lite
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.errors import MLGymLiteError
task, when = mlgym_lite.load_task(sys.argv[1]), sys.argv[2]
run = Path("/mnt/run")
episode = mlgym_lite.Episode(task, settings=RunSettings(output=run))
def fill():
    with open("/mnt/filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * (1 << 20))
calls = {"step": lambda: episode.step("head -c 20000 /dev/zero | tr '\\\\0' x"), "long": lambda: episode.step("seq 100000"),
         "bytes": lambda: episode.step("head -c 20000 /dev/urandom"), "validate": episode.validate, "submit": episode.submit,
         "snapshot": episode.snapshot, "close": episode.close}
episode.reset()
episode.step("head -c 200000 /dev/zero > answer.txt; echo 0.5 >> answer.txt; sed -i 's/\\\\x00//g' answer.txt; echo one")
fill()
try:
    calls[when]()
    print("no error")
except MLGymLiteError as error:
    print(type(error).__name__, error)
print(len((run / "trajectory.jsonl").read_text().splitlines()), "lines")
os.unlink("/mnt/filler")
with contextlib.suppress(MLGymLiteError):
    episode.close()
print(len([child for child in psutil.Process().children() if "mlgym-lite-keeper" not in child.cmdline()]), "children")
"""


@pytest.mark.parametrize("when", ["step", "long", "bytes", "validate", "submit", "snapshot", "close"])
def test_a_full_disk_at_each_write(make_task: Make, environment: dict[str, str], when: str) -> None:
    """Whatever cannot be written, the error is ours and names the reason, the steps before are whole, and nothing runs on."""
    ended = on_a_disk("530m", FILLED, str(make_task()), when, environment=environment)
    assert "Traceback" not in ended.stderr, ended.stderr
    told, lines, children = ended.stdout.rstrip().rsplit("\n", 2)
    assert told.startswith("OutputError") and "No space left on device" in told, ended.stdout
    assert int(lines.split()[0]) >= 1
    assert children == "0 children"


BUILD = """\
import sys
from pathlib import Path
import mlgym_lite
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.errors import MLGymLiteError
try:
    with mlgym_lite.Episode(mlgym_lite.load_task(sys.argv[1]), settings=RunSettings(output=Path(sys.argv[2]))) as episode:
        print(episode.submit().score)
except MLGymLiteError as error:
    print(type(error).__name__, error)
print(*(path.name for folder in ("environments", "toolkits") for path in Path("/mnt/cache", folder).glob("*.part-*")), "parts")
"""


@pytest.mark.parametrize(("size", "kind"), [("1m", "EnvironmentBuildError"), ("8k", "EnvironmentBuildError")])
def test_a_cache_on_a_full_disk(make_task: Make, environment: dict[str, str], tmp_path: Path, size: str, kind: str) -> None:
    """A build that does not fit is told with the variable that names another place, and leaves no half."""
    task = make_task(toml=TASK_TOML.replace("domain =", 'requirements = "r.txt"\ndomain ='), files={"r.txt": "click\n"})
    ended = on_a_disk(
        size, BUILD, str(task), str(tmp_path / "run"), environment={**environment, "MLGYM_LITE_CACHE": "/mnt/cache"}
    )
    told, parts = ended.stdout.rstrip().rsplit("\n", 1)
    assert told.startswith(kind), ended.stdout + ended.stderr
    assert "MLGYM_LITE_CACHE" in told
    assert parts == " parts" or parts == "parts"


# Locks that are refused

REFUSING = """\
import ctypes, errno, os, struct, sys
def say(code, value, yes=0, no=0): return struct.pack("=HBBI", code, yes, no, value)
LOAD, EQUAL, RETURN, ALLOW, ERRNO = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000
refuse, blocking_only = ERRNO | errno.ENOLCK, "FAULT_BLOCKING_ONLY" in os.environ
commands = (5, 6, 7, 36, 37, 38)  # F_GETLK, F_SETLK, F_SETLKW and those of open file descriptions
program = [say(LOAD, 0), say(EQUAL, 73, 0, 4), say(LOAD, 24), say(EQUAL, 2, 1), say(RETURN, ALLOW if blocking_only else refuse)]
program += [say(RETURN, refuse)]
if blocking_only: commands = ()
program += [say(LOAD, 0), say(EQUAL, 72, 0, len(commands) + 1), say(LOAD, 24)]
program += [say(EQUAL, command, len(commands) - place) for place, command in enumerate(commands)]
program += [say(RETURN, ALLOW), say(RETURN, refuse)]
code = b"".join(program)
filter = ctypes.create_string_buffer(code)
header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(filter))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
buffer = ctypes.create_string_buffer(header)
assert libc.prctl(22, 2, ctypes.byref(buffer), 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def without_locks() -> tuple[str, ...]:
    """Words that run a command where the kernel refuses every file lock, as some network file systems do."""
    if os.uname().machine != "x86_64":
        pytest.skip("the filter's numbers are those of x86-64")
    words = (sys.executable, "-c", REFUSING)
    probe = "import fcntl, sys\ntry: fcntl.flock(0, fcntl.LOCK_EX)\nexcept OSError as error: print(error.errno)"
    done = subprocess.run([*words, sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == f"{errno.ENOLCK}\n"
    return words


def test_environments_are_built_without_locks(
    make_task: Make, environment: dict[str, str], without_locks: tuple[str, ...], tmp_path: Path
) -> None:
    """Two builds of the same at the same time, where locks are refused, both work and leave one environment and a line."""
    task = make_task(toml=TASK_TOML.replace("domain =", 'requirements = "r.txt"\ndomain ='), files={"r.txt": ""})
    program = (
        "import os, sys, logging; logging.basicConfig(level=logging.WARNING)\nfrom pathlib import Path\nimport mlgym_lite\n"
        "from mlgym_lite.config.places import places\nfrom mlgym_lite.episode.preparation import prepare_task\n"
        "prepare_task(mlgym_lite.load_task(sys.argv[1]), places(), os.environ, source=None, with_data=False, on_progress=print)"
    )
    variables = {**environment, "MLGYM_LITE_CACHE": str(tmp_path / "cache"), "FAULT_BLOCKING_ONLY": "uv needs the others"}
    both = [
        subprocess.Popen([*without_locks, sys.executable, "-c", program, str(task)], stderr=subprocess.PIPE, text=True,
                         stdout=subprocess.DEVNULL, env={**variables, "UV_CACHE_DIR": str(tmp_path / f"uv-{number}")})
        for number in range(2)
    ]  # fmt: skip
    for process in both:
        _, errors = process.communicate(timeout=WAIT_SECONDS * 2)
        assert process.returncode == 0, errors
        assert "another process may do the same work at the same time" in errors
    (folder,) = [path for path in (tmp_path / "cache" / "environments").iterdir() if path.is_dir()]
    assert (folder / "complete").is_file()


def test_an_episode_without_locks(start: Start, make_task: Make, without_locks: tuple[str, ...]) -> None:
    """Where locks are refused an ordinary user's episode runs; root's, whose user ids need them, is refused with the reason."""
    engine = start(make_task(), prefix=without_locks)
    answer = engine.ask("reset")
    if os.geteuid() == 0:
        assert answer["error"] == "IsolationError"
        assert "refuses the locks that keep two runs from sharing a user id (No locks available)" in answer["told"]
    else:
        assert "error" not in answer
        assert engine.ask("submit")["told"] == "0.5"


# Clocks and homes


def test_a_clock_that_jumps(start: Start, make_task: Make) -> None:
    """Wall time that jumps by years at every look changes no time-out, no limit and no ending."""
    toml = TASK_TOML.replace("command_timeout_sec = 30", "command_timeout_sec = 1")
    engine = start(make_task(toml=toml), FAULT_CLOCK="jumping")
    assert "error" not in engine.ask("reset")
    assert engine.ask("step", "sleep 0.3; echo in time")["told"] == "in time\n"
    assert "longer than allowed" in engine.ask("step", "sleep 60")["told"]
    assert engine.ask("validate")["told"] == "{'Score': 0.5}"
    assert engine.ask("submit")["told"] == "0.5"
    result = json.loads((engine.output / "result.json").read_text(encoding="utf-8"))
    assert 1 < result["seconds"]["total"] < WAIT_SECONDS


def test_a_home_that_cannot_be_written(start: Start, make_task: Make) -> None:
    """With a home and default cache that are read-only, a run whose cache is named works."""
    engine = start(make_task(), HOME="/proc", XDG_CACHE_HOME="/proc/nowhere", XDG_CONFIG_HOME="/proc/nowhere")
    assert "error" not in engine.ask("reset")
    assert engine.ask("submit")["told"] == "0.5"


def test_two_runs_want_the_same_directory(start: Start, make_task: Make, tmp_path: Path) -> None:
    """Of two runs that name the same output one gets it and the other is told, whoever is first."""
    engines = [start(make_task(), output=tmp_path / "same") for _ in range(2)]
    for engine in engines:
        engine.call("reset")
    errors = [engine.answer().get("error", "") for engine in engines]
    assert sorted(errors) == ["", "OutputError"]
    assert engines[errors.index("")].ask("submit")["told"] == "0.5"
