"""Code run as the agent goes for processes: the host's, the sandbox's first, other episodes', and its own life after the end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from attack_harness import WAIT_SECONDS, OpenEpisode, groups_of, run_python, wait_until
from tiny_task import TASK_TOML

from mlgym_lite import Episode

pytestmark = pytest.mark.kernel

QUICK_TOML = TASK_TOML.replace("command_timeout_sec = 30", "command_timeout_sec = 1")


@pytest.mark.only_bubblewrap("without a process namespace /proc lists the host's processes by name")
def test_host_processes_are_not_seen(episode: Episode) -> None:
    """The sandbox sees its own processes only, and none of them is the engine's."""
    numbers = [int(n) for n in run_python(episode, "print(*filter(str.isdigit, os.listdir('/proc')))").split()]
    assert len(numbers) <= 5
    assert max(numbers) < 1000


def test_host_processes_cannot_be_signalled(episode: Episode) -> None:
    """No way to signal, to every process or to one by its number, reaches anything outside."""
    victim = subprocess.Popen(["sleep", "60"])
    program = """\
import fcntl, signal
for process in (victim, engine):
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGHUP):
        tried(os.kill, process, number); tried(os.kill, -process, number); tried(os.killpg, process, number)
        call(200, process, int(number)); call(234, process, process, int(number))
        info = ctypes.create_string_buffer(struct.pack("iii", number, 0, -1), 128)
        call(129, process, int(number), info); call(297, process, process, int(number), info)
    descriptor = tried(os.pidfd_open, process)
    if isinstance(descriptor, int):
        tried(signal.pidfd_send_signal, descriptor, signal.SIGKILL)
    reading, writing = os.pipe()
    for owner in (process, -process):
        tried(fcntl.fcntl, reading, fcntl.F_SETOWN, owner); tried(fcntl.fcntl, reading, 10, signal.SIGKILL)
        tried(fcntl.fcntl, reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK); os.write(writing, b"x")
"""
    try:
        group = os.getpgid(0)
        run_python(episode, program, victim=victim.pid, engine=os.getpid())
        episode.step(f"kill -9 {victim.pid} {os.getpid()}; kill -9 -- -{group}; kill -9 1; kill -STOP {victim.pid} {os.getpid()}")
        episode.step("(sleep 0.1; true); python3 -c 'import os; os.kill(-1, 9)'; true")
        assert victim.poll() is None
        assert psutil.Process(victim.pid).status() != psutil.STATUS_STOPPED
    finally:
        victim.kill()
        victim.wait()
    assert episode.step("echo here").observation.startswith("here\n")


@pytest.mark.only_bubblewrap(
    "without a process namespace their files in /proc open, and only reading them is refused; test_landlock.py has the rest"
)
def test_host_processes_cannot_be_slowed_looked_into_or_limited(episode: Episode) -> None:
    """Priority, processors, limits, memory and files of a process outside stay as they are and stay unread."""
    victim = subprocess.Popen(["sleep", "60"], env={"SECRET": "of-the-victim"})
    watched = psutil.Process(victim.pid)
    before = (watched.nice(), watched.cpu_affinity(), watched.rlimit(psutil.RLIMIT_NOFILE), watched.ionice())
    program = """\
import resource
for process in (victim, engine):
    tried(os.setpriority, os.PRIO_PROCESS, process, 19); tried(os.setpriority, os.PRIO_PGRP, process, 19)
    tried(os.sched_setaffinity, process, {0}); tried(resource.prlimit, process, resource.RLIMIT_NOFILE, (3, 3))
    call(251, 1, process, 3 << 13)
    for name in ("mem", "environ", "maps", "auxv", "stack", "syscall", "io", "oom_score_adj", "clear_refs", "fd/0"):
        for flags in (os.O_RDONLY, os.O_WRONLY):
            if isinstance(tried(os.open, f"/proc/{process}/{name}", flags), int):
                print("opened", name, flags)
    for name in ("cwd", "root", "task", "ns", "fd", "map_files"):
        if isinstance(tried(os.listdir, f"/proc/{process}/{name}"), list):
            print("listed", name)
"""
    try:
        assert run_python(episode, program, victim=victim.pid, engine=os.getpid()) == ""
        assert (watched.nice(), watched.cpu_affinity(), watched.rlimit(psutil.RLIMIT_NOFILE), watched.ionice()) == before
    finally:
        victim.kill()
        victim.wait()


@pytest.mark.only_bubblewrap("other mechanisms have no first process inside")
def test_the_first_process_of_the_sandbox_is_no_way_out(episode: Episode) -> None:
    """The process that the agent could take over, the sandbox's first, is as confined as the agent itself."""
    step = episode.step(
        "for p in 1 self; do grep -E '^(Cap...|NoNewPrivs|Seccomp):' /proc/$p/status | md5sum; readlink "
        "/proc/$p/ns/* | md5sum; done | sort -u | wc -l"
    )
    assert step.observation == "2\n"


def test_a_first_process_that_is_stopped_or_overwritten_ends_with_the_episode(episode: Episode) -> None:
    """The sandbox's first process, stopped or made to spin by writing over its code, holds up neither a step nor the end."""
    program = """\
import re, signal
tried(os.kill, 1, signal.SIGSTOP)
for line in open("/proc/1/maps"):
    start, end, rights = re.match("([0-9a-f]+)-([0-9a-f]+) (....)", line).groups()
    if "x" in rights and "[" not in line:
        descriptor = tried(os.open, "/proc/1/mem", os.O_RDWR)
        if isinstance(descriptor, int):
            tried(os.pwrite, descriptor, b"\\xeb\\xfe" * ((int(end, 16) - int(start, 16)) // 2), int(start, 16))
"""
    known = {child.pid for child in psutil.Process().children() if child.name() == "bash"}  # the engine's own
    run_python(episode, program)
    inside = [child for child in psutil.Process().children(recursive=True) if child.pid not in known]
    assert episode.step("echo usable").observation == "usable\n"
    started = time.monotonic()
    assert episode.submit().score == 0.5
    assert time.monotonic() - started < WAIT_SECONDS
    _, alive = psutil.wait_procs(inside, timeout=WAIT_SECONDS)
    assert alive == []


TAKE_OVER = """\
import re, subprocess
# prctl(PR_SET_PDEATHSIG, 0), write(4, one, 8), then pause() for ever: bwrap outside takes the write for the end of the sandbox
code = bytes.fromhex("b89d000000bf0100000031f631d24d31d24d31c00f05" "b801000000bf04000000488d3510000000ba080000000f05"
                     "b8220000000f05ebf7")
code += struct.pack("Q", 1)
if os.fork() == 0:
    os.setsid()
    for number in range(3):
        os.close(number)
    beat = os.open(ROOT + "/workspace/beat", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    while True:
        os.write(beat, b"x"); time.sleep(0.01)
time.sleep(0.3)
for name in ("/proc/1/mem", "/proc/1/task/1/mem"):
    memory = tried(os.open, name, os.O_RDWR)
    print(memory, tried(os.open, name, os.O_RDONLY))
    for line in open("/proc/1/maps"):
        start, end, rights = re.match("([0-9a-f]+)-([0-9a-f]+) (....)", line).groups()
        length = int(end, 16) - int(start, 16) - len(code)
        if "x" in rights and "libc.so" in line and isinstance(memory, int):
            os.pwrite(memory, b"\\x90" * length + code, int(start, 16))
subprocess.run(["setsid", "-f", "true"])  # an orphan that ends wakes the first process
time.sleep(1)
"""


@pytest.mark.only_bubblewrap("other mechanisms have no first process to take over")
def test_the_first_process_cannot_be_taken_over(episode: Episode) -> None:
    """Its memory does not open, so no code written there lets it outlive bubblewrap, the episode and the engine."""
    opened = run_python(episode, TAKE_OVER)
    beat = episode.run_directory / "workspace" / "beat"
    inside = [process for process in psutil.process_iter() if _sees(process.pid, episode.run_directory)]
    try:
        assert is_beating(episode)
        episode.submit()
        assert not is_beating(episode)
    finally:
        for process in inside:
            with contextlib.suppress(psutil.Error):
                process.kill()
    assert opened == "EACCES EACCES\n" * 2
    assert beat.exists()


def _sees(process_id: int, folder: Path) -> bool:
    """Whether a process in another mount namespace than ours shows a folder."""
    try:
        mounts = Path(f"/proc/{process_id}/mountinfo").read_text(encoding="utf-8")
        return folder.name in mounts and os.readlink(f"/proc/{process_id}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    except OSError:
        return False


# Lives and deaths


DAEMON = """\
import os, signal, time
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        try:
            open("/proc/self/comm", "w").write("kworker/0:0")
        except OSError:  # nothing in /proc is written without a process namespace
            pass
        for number in range(3):
            os.close(number)
        beat = os.open(ROOT + "/workspace/beat", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        while True:
            os.write(beat, b"x"); time.sleep(0.01)
    os._exit(0)
"""


def is_beating(episode: Episode) -> bool:
    """Whether the daemon still writes."""
    beat = episode.run_directory / "workspace" / "beat"
    size = beat.stat().st_size
    threading.Event().wait(0.3)
    return beat.stat().st_size > size


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda episode: episode.step("exit"), id="the shell's end"),
        pytest.param(lambda episode: episode.step("kill -9 $$"), id="the shell's death"),
        pytest.param(lambda episode: episode.submit(), id="submit"),
        pytest.param(lambda episode: episode.step("submit"), id="submit from inside"),
        pytest.param(lambda episode: episode.give_up(), id="giving up"),
        pytest.param(lambda episode: episode.close(), id="close"),
    ],
)
def test_a_daemon_does_not_outlive_its_sandbox(episode: Episode, end: Callable[[Episode], object]) -> None:
    """A daemon that left its session, ignores every signal and took another name ends with its shell or its episode."""
    run_python(episode, DAEMON)
    wait_until(lambda: (episode.run_directory / "workspace" / "beat").exists())
    assert is_beating(episode)
    end(episode)
    assert not is_beating(episode)


def test_a_daemon_does_not_outlive_the_time_out_of_its_command(open_episode: OpenEpisode) -> None:
    """A daemon started by a command that runs too long ends with that command, while jobs of earlier commands go on."""
    episode = open_episode(toml=QUICK_TOML)
    episode.step("sleep 2010 &")
    run_python(episode, DAEMON + "time.sleep(60)\n")
    assert not is_beating(episode)
    assert episode.step("pgrep -c -s 0 sleep").observation == "1\n"


def _named(processes: list[psutil.Process], name: str) -> list[psutil.Process]:
    """Those of a name; one that has ended has none."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [process] if process.name() == name else []
    return found


def test_killed_engine_leaves_nothing(
    make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path, mechanism: str
) -> None:
    """When the engine is killed, its processes, control groups, mounts and user ids are gone a moment later."""
    program = (
        "import sys, mlgym_lite; from pathlib import Path; from mlgym_lite.config.run_settings import RunSettings\n"
        "e = mlgym_lite.Episode(mlgym_lite.load_task(sys.argv[1]), settings=RunSettings(output=Path(sys.argv[2]), "
        "isolation=sys.argv[3])); e.reset()\n"
        "print('first', flush=True); e.step('sleep 2001 & setsid -f sleep 2002; (sleep 2003 &)'); print('ready', flush=True)\n"
        "e.step('exec sleep 2004')\n"
    )
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    engine = subprocess.Popen(
        [sys.executable, "-c", program, str(make_task()), str(tmp_path / "run"), mechanism],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert engine.stdout is not None
        while engine.stdout.readline() != "ready\n":
            assert engine.poll() is None
        deadline = time.monotonic() + 30
        while len(_named(children := psutil.Process(engine.pid).children(recursive=True), "sleep")) < 3:
            assert time.monotonic() < deadline, children  # a child is a bash until it has become what it runs
    finally:
        engine.kill()
        engine.wait()
        assert engine.stdout is not None
        engine.stdout.close()
    wait_until(lambda: not groups_of(engine.pid))
    _, alive = psutil.wait_procs(children, timeout=WAIT_SECONDS)
    assert alive == []
    assert Path("/proc/self/mounts").read_text(encoding="utf-8") == mounts


def test_closed_episode_leaves_nothing(open_episode: OpenEpisode) -> None:
    """After an episode is closed none of its processes, control groups and descriptors is left."""
    open_episode("first").close()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    known = {child.pid for child in psutil.Process().children(recursive=True)}
    episode = open_episode("second")
    episode.step("sleep 2001 & setsid -f sleep 2002; exec 5</dev/null")
    episode.step("exit")
    episode.step("sleep 2003 &")
    episode.validate()
    episode.close()
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= known
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
    assert groups_of(os.getpid()) == []


def test_sandbox_outlives_the_thread_that_opened_it(open_episode: OpenEpisode) -> None:
    """An episode opened in a thread that has ended goes on."""
    opened: list[Episode] = []
    thread = threading.Thread(target=lambda: opened.append(open_episode()))
    thread.start()
    thread.join()
    assert opened[0].step("echo here").observation == "here\n"
    assert opened[0].step("sleep 0.2; echo still here").observation == "still here\n"


@pytest.mark.only_bubblewrap(
    "it begins with sockets and queues, which are refused altogether without namespaces; test_landlock.py has the rest"
)
def test_two_episodes_do_not_meet(open_episode: OpenEpisode) -> None:
    """Two episodes at once see nothing of each other: no files, processes, memory, sockets or messages."""
    first, second = open_episode("first"), open_episode("second")
    first.step("echo a > /tmp/mark; echo a > /dev/shm/mark; echo a > ~/mark; echo a > mark; sleep 2001 &")
    run_python(
        first,
        "s = socket.socket(socket.AF_UNIX); s.bind('\\0mark'); "
        "s.listen()\nt = socket.create_server(('127.0.0.1', 7777))\nif os.fork() == 0:\n    os.setsid(); "
        "os.close(1); os.close(2); time.sleep(60)",
    )
    first.step("ipcmk -M 100 -p 666; ipcmk -Q -p 666")
    assert (
        second.step("ls /tmp/mark /dev/shm/mark ~/mark mark 2>/dev/null; pgrep sleep; ipcs -m -q | grep -c 666").observation
        == "0\n"
    )
    program = (
        "for family, address in ((socket.AF_UNIX, '\\0mark'), (socket.AF_INET, ('127.0.0.1', 7777))):\n    try:\n"
        "        socket.socket(family).connect(address); print('met')\n    except OSError:\n        pass"
    )
    assert run_python(second, program) == ""
    assert run_python(first, program) == "met\nmet\n"
