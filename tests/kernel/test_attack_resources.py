"""Code run as the agent takes all it can get: processes, memory, descriptors, space; the host and the next step go on."""

from __future__ import annotations

import os
import shlex
import threading
import time
from pathlib import Path

import pytest
from attack_harness import PRELUDE, OpenEpisode, run_python
from tiny_task import GRADER, TASK_TOML

from mlgym_lite import Episode

pytestmark = pytest.mark.kernel

QUICK_TOML = TASK_TOML.replace("command_timeout_sec = 30", "command_timeout_sec = 1")
SMALL_TOML = TASK_TOML.replace("memory_mb = 512", "memory_mb = 128")


def assert_usable(episode: Episode) -> None:
    """The next steps and the submission go as if nothing had been, in a new shell if need be."""
    episode.step("true")
    assert episode.step("echo usable").observation.endswith("usable\n")
    assert episode.submit().score == 0.5


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param("f() { f | f & }; f; wait; sleep 60", id="fork"),
        pytest.param("while :; do sleep 2020 & done", id="jobs"),
        pytest.param("while :; do setsid -f sleep 2021; done", id="daemons"),
        pytest.param(
            'python3 -c "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,)).start()"',
            id="threads",
        ),
    ],
)
def test_process_bombs_end_with_their_command(open_episode: OpenEpisode, bomb: str) -> None:
    """Processes without end are stopped by their limit, and the next step, the grading and the host start programs as before."""
    episode = open_episode(toml=QUICK_TOML)
    most = 0

    def count() -> None:
        nonlocal most
        while not done.wait(0.05):
            owner = (episode.run_directory / "workspace").stat().st_uid
            mine = [p for p in Path("/proc").iterdir() if p.name.isdigit() and p.exists() and owner != os.getuid()]
            most = max(most, sum(_owner(path) == owner for path in mine))

    done = threading.Event()
    counter = threading.Thread(target=count)
    counter.start()
    try:
        started = time.monotonic()
        episode.step(bomb)
        assert time.monotonic() - started < 20
    finally:
        done.set()
        counter.join()
    assert most < 600
    episode.step("exit")
    assert_usable(episode)


def _owner(path: Path) -> int:
    try:
        return path.stat().st_uid
    except OSError:
        return -1


@pytest.mark.cgroup
@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param("held = []\nwhile True: held.append(bytearray(1 << 20))", id="heap"),
        pytest.param(
            "import mmap\nfor _ in range(8):\n    if os.fork() == 0:\n"
            "        held = mmap.mmap(-1, 1 << 28); held.write(b'x' * (1 << 28))\n        time.sleep(5); os._exit(0)\n"
            "for _ in range(8): os.wait()", id="shared by many"
        ),
        pytest.param("file = os.memfd_create('x')\nwhile True: os.write(file, bytes(1 << 20))", id="memory file"),
        pytest.param("for number in range(10 ** 7): open(f'{ROOT}/tmp/{number}', 'x').close()", id="names in /tmp"),
        pytest.param("for number in range(10 ** 7): os.mkdir(f'{ROOT}/dev/shm/{number}')", id="folders in /dev/shm"),
        pytest.param(
            "held = []\nwhile True:\n    a, b = socket.socketpair(); held.append((a, b)); a.setblocking(False)\n"
            "    a.setsockopt(1, 7, 1 << 30)\n    while tried(a.send, bytes(65536)) != 'EAGAIN': pass", id="socket buffers"
        ),
        pytest.param(
            "libc.shmat.restype = ctypes.c_void_p\nfor number in range(4096):\n"
            "    place = libc.shmat(libc.shmget(0, ctypes.c_size_t(1 << 24), 0o1600), None, 0)\n"
            "    ctypes.memset(place, 1, 1 << 24); libc.shmdt(ctypes.c_void_p(place))", id="System V memory"
        ),
    ],
)  # fmt: skip
def test_memory_bombs_stay_within_the_limit(open_episode: OpenEpisode, bomb: str) -> None:
    """However memory is taken, also by what no process maps, it is the sandbox's own that runs out, and the agent is told."""
    episode = open_episode(toml=SMALL_TOML)
    step = episode.step(f"python3 -c {_quoted(bomb)}")
    peak = step.resources["peak_memory_bytes"]
    assert peak is not None
    assert peak <= 130 << 20
    assert "Killed for memory" in step.observation or "ENOSPC" in step.observation or "Error" in step.observation
    episode.step("exit")
    assert_usable(episode)


def _quoted(program: str) -> str:
    return shlex.quote(PRELUDE + program)


def test_descriptors_run_out_for_the_agent_only(episode: Episode) -> None:
    """Processes that open all the files they may leave the host's table, the engine and the next step as they were."""
    program = """\
opened = []
try:
    while True:
        opened.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    print(errno.errorcode[error.errno], len(opened) < 5000)
for _ in range(50):
    if os.fork() == 0:
        time.sleep(1); os._exit(0)
"""
    assert run_python(episode, program) == "EMFILE True\n"
    assert len(list(Path("/proc/self/fd").iterdir())) < 200
    assert_usable(episode)


@pytest.mark.parametrize("limit", ["n", "f", "c"])
def test_limits_cannot_be_raised(episode: Episode, limit: str) -> None:
    """What a process may open, write and dump at most is a hard limit."""
    step = episode.step(f"ulimit -H{limit}; ulimit -{limit} unlimited && echo raised; ulimit -H{limit} 999999999 && echo raised")
    assert step.observation.split()[0] != "unlimited"
    assert "raised" not in step.observation


@pytest.mark.only_bubblewrap("/dev/shm is not shown without namespaces; RLIMIT_FSIZE is the same")
def test_huge_sparse_files_cannot_be_made(episode: Episode) -> None:
    """A file that pretends to 100 gigabytes can be made at no place, by no call."""
    program = """\
size = 100 << 30
for place in ("/workspace", "/venv", "/tmp", "/home/agent", "/dev/shm"):
    name = ROOT + place + "/huge"
    with open(name, "wb", buffering=0) as file:
        os.chmod(name, 0o600)
        attacks = (
            lambda: os.ftruncate(file.fileno(), size), lambda: os.pwrite(file.fileno(), b"x", size),
            lambda: os.posix_fallocate(file.fileno(), 0, size), lambda: (file.seek(size), file.write(b"x")),
        )
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        print({tried(attack) for attack in attacks} <= {"EFBIG", "ENOSPC"}, os.path.getsize(name) < 1 << 20)
    os.unlink(name)
"""
    assert set(run_python(episode, program).splitlines()) == {"True True"}


@pytest.mark.only_bubblewrap("without mounts they count as storage; test_landlock.py fills them")
def test_temporary_places_are_of_limited_size(episode: Episode) -> None:
    """/tmp, the home folder and /dev/shm are full at their size, and the sandbox lives on."""
    program = """\
for place in ("/tmp", "/home/agent", "/dev/shm"):
    state = os.statvfs(ROOT + place)
    print(place, state.f_blocks * state.f_frsize <= 1 << 30)
name, written = ROOT + "/dev/shm/x", 0
try:
    for number in range(40):
        with open(f"{name}{number}", "wb") as file:
            written += file.write(bytes(4 << 20))
except OSError as error:
    print(errno.errorcode[error.errno], written <= 64 << 20)
"""
    assert run_python(episode, program) == "/tmp True\n/home/agent True\n/dev/shm True\nENOSPC True\n"
    assert_usable(episode)


def test_output_without_end_does_not_fill_the_host(episode: Episode) -> None:
    """Of a command that prints gigabytes the record keeps a bounded part, and the engine's memory holds none of it."""
    step = episode.step("head -c 400M /dev/zero")
    assert len(step.observation) < 40_000
    assert sum(path.stat().st_size for path in (episode.run_directory / "outputs").iterdir()) <= 256 << 20


def test_what_judged_code_prints_does_not_fill_the_host(open_episode: OpenEpisode) -> None:
    """Code that is played for the judge and prints without end fills a log of bounded size, and the verdict comes in its time."""
    episode = open_episode(
        toml=TASK_TOML.replace("timeout_sec = 20.0", "timeout_sec = 10.0")
        + '\n[metadata.mlgym_lite.player]\nprogram = "tests/player.py"\n',
        grader=GRADER,
        files={"tests/player.py": "import os\nwhile True:\n    os.write(2, b'x' * 65536)\n"},
    )
    assert episode.submit().score == 0.5
    logs = list(episode.run_directory.glob("grading/*/player.log"))
    assert len(logs) == 1
    assert logs[0].stat().st_size <= 64 << 20
