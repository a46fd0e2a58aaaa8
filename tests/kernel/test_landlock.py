"""Attacks on the landlock mechanism under every ABI it serves: what the kernel lacks there, the filter and supervisor keep.

A lower ABI is had on a newer kernel by handling only the rights it knows, which is what an older kernel does.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from attack_harness import wait_until
from tiny_task import TASK_TOML

import mlgym_lite
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.episode.located import without_roots
from mlgym_lite.isolation.confinement import landlock_abi
from mlgym_lite.isolation.landlock import LandlockMechanism
from mlgym_lite.isolation.landlock_plan import weakened
from mlgym_lite.isolation.mechanisms import try_command
from mlgym_lite.isolation.protocol import Mount
from mlgym_lite.isolation.virtual_environments import bare_environment, find_interpreter

pytestmark = pytest.mark.landlock
ABIS = range(1, 8)
WAIT_SECONDS = 20.0
TRY = """\
import ctypes, errno, os, resource, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
root, target, victim = os.environ["MLGYM_LITE_ROOT"], os.environ["TARGET"], int(os.environ["VICTIM"])
def attempt(name, act):
    try:
        act()
    except OSError as error:
        return
    except AttributeError:
        return
    print("done:", name, flush=True)
def call(number, *arguments):
    if libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)) < 0:
        raise OSError(ctypes.get_errno(), "")
"""


@pytest.fixture(params=ABIS)
def confined(request: pytest.FixtureRequest) -> LandlockMechanism:
    """The mechanism under each ABI that this kernel has."""
    if request.param > landlock_abi():
        pytest.skip(f"this kernel's landlock ABI is {landlock_abi()}")
    return LandlockMechanism(newest_abi=request.param)


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the user's outside of the sandbox, in a process group of its own."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


@pytest.fixture
def attack(confined: LandlockMechanism, victim: subprocess.Popen[bytes], tmp_path: Path) -> Callable[..., str]:
    """Runs a program as the agent, beside a folder of the user's that it must not change; gives what it printed."""
    target = tmp_path / "home of the user"
    target.mkdir()
    (target / "secret").write_text("sk-secret", encoding="utf-8")
    (target / "shown").mkdir()
    (target / "shown" / "data").write_text("data", encoding="utf-8")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    interpreter = find_interpreter()
    mounts = (
        *bare_environment(interpreter).mounts(),
        Mount(source=target / "shown", target="/data"),
        Mount(source=workspace, target="/workspace", writable=True),
    )

    def run(program: str, statuses: tuple[int, ...] = (0,)) -> str:
        script = workspace / "attack.py"
        script.write_text(TRY.replace('os.environ["TARGET"]', repr(str(target))).replace(
            'os.environ["VICTIM"]', repr(str(victim.pid))) + program, encoding="utf-8")  # fmt: skip
        ended = try_command(confined, (str(interpreter.program), "-I", "/workspace/attack.py"), mounts)
        assert ended.status in statuses, ended.output
        return ended.output

    return run


def test_files_outside_cannot_be_read_or_listed(attack: Callable[..., str]) -> None:
    """Neither the user's files, nor the system's secrets, nor another process's are read, by whatever path."""
    program = """\
paths = [f"{target}/secret", target, "/etc/passwd", "/etc/shadow", "/etc/hostname", "/etc/ssh",
         "/etc/group", "/root", "/home", "/tmp", "/var", "/dev/shm",
         "/dev/tty", "/dev/ptmx", "/dev/fuse", "/run", f"/proc/{victim}/environ", f"/proc/{victim}/mem",
         f"/proc/{os.getppid()}/environ",
         f"/proc/{os.getppid()}/mem", f"/proc/{victim}/root/etc/passwd", f"/proc/{victim}/cwd", f"/proc/{victim}/fd/0",
         f"/proc/self/root{target}/secret", f"{root}/workspace/../home of the user/secret", f"{root}/lock",
         f"{root}/data/../secret"]
for path in paths:
    attempt(f"read {path}", lambda: os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK)))
    attempt(f"list {path}", lambda: os.listdir(path))
for path in (f"{target}/secret", target):
    attempt(f"attributes of {path}", lambda: os.listxattr(path))
    attempt(f"watch {path}", lambda: call(254, libc.inotify_init1(0), path.encode(), 0xFFF))
os.symlink(f"{target}/secret", f"{root}/workspace/link")
attempt("follow a link", lambda: open(f"{root}/workspace/link").read())
attempt("hard link", lambda: os.link(f"{target}/secret", f"{root}/workspace/hard"))
attempt("rename", lambda: os.rename(f"{target}/secret", f"{root}/workspace/moved"))
"""
    assert attack(program) == ""


def test_files_outside_cannot_be_changed(attack: Callable[..., str], tmp_path: Path) -> None:
    """No file beyond the sandbox's own is written, emptied, made, removed, or given other rights, owners, times or attributes."""
    target = tmp_path / "home of the user"
    program = """\
secret, data, folder = f"{target}/secret", f"{root}/data/data", f"{target}/shown"
for path in (secret, data):
    attempt(f"write {path}", lambda: open(path, "a").close())
    attempt(f"empty {path}", lambda: os.truncate(path, 0))
    attempt(f"empty by opening {path}", lambda: os.close(os.open(path, os.O_RDONLY | os.O_TRUNC)))
    attempt(f"empty by openat2 {path}", lambda: call(437, -100, path.encode(), struct.pack("QQQ", os.O_TRUNC, 0, 0), 24))
    attempt(f"remove {path}", lambda: os.unlink(path))
    attempt(f"chmod {path}", lambda: os.chmod(path, 0o777))
    attempt(f"fchmodat2 {path}", lambda: call(452, -100, path.encode(), 0o777, 0))
    attempt(f"chown {path}", lambda: os.chown(path, os.getuid(), os.getgid()))
    attempt(f"utime {path}", lambda: os.utime(path, (1, 1)))
    attempt(f"utimes {path}", lambda: call(235, path.encode(), None))
    attempt(f"attribute {path}", lambda: os.setxattr(path, "user.x", b"x"))
    attempt(f"rename {path}", lambda: os.rename(path, path + "2"))
attempt("make", lambda: open(f"{folder}/new", "w").close())
attempt("make folder", lambda: os.mkdir(f"{folder}/new"))
attempt("link into", lambda: os.symlink("x", f"{folder}/new"))
opened = os.open(data, os.O_RDONLY)
attempt("fchmod", lambda: os.fchmod(opened, 0o777))
attempt("futimens", lambda: os.utime(opened, (1, 1)))
attempt("fsetxattr", lambda: os.setxattr(opened, "user.x", b"x"))
attempt("chmod by /proc", lambda: os.chmod(f"/proc/self/fd/{opened}", 0o777))
attempt("chmod by a folder's descriptor", lambda: os.chmod("data", 0o777, dir_fd=os.open(f"{root}/data", os.O_PATH)))
path = os.open(secret, os.O_PATH)
attempt("chmod by O_PATH", lambda: os.chmod(f"/proc/self/fd/{path}", 0o777))
attempt("empty path", lambda: call(452, path, b"", 0o777, 0x1000))
for kind in (secret, data, folder):
    attempt(f"open for requests {kind}", lambda: os.close(os.open(kind, 3)))
    attempt(f"empty for requests {kind}", lambda: os.close(os.open(kind, 3 | os.O_TRUNC)))
    attempt(f"open for requests by openat2 {kind}", lambda: call(437, -100, kind.encode(), struct.pack("QQQ", 3, 0, 0), 24))
import fcntl
for name, request in (("flags", 0x40086602), ("version", 0x40087602), ("attributes", 0x401C5820), ("verity", 0x40806685)):
    attempt(f"set {name}", lambda: fcntl.ioctl(opened, request, bytearray(128)))
attempt("memory of the supervisor", lambda: open(f"/proc/{os.getppid()}/mem", "r+b"))
attempt("score for memory kills", lambda: open("/proc/self/oom_score_adj", "w").write("-1"))
"""
    if os.uname().machine != "x86_64":
        program = program.replace("call(235", "call(88")
    before = [(path, path.stat().st_mode, path.stat().st_mtime_ns) for path in sorted(target.rglob("*"))]
    assert attack(program) == ""
    assert [(path, path.stat().st_mode, path.stat().st_mtime_ns) for path in sorted(target.rglob("*"))] == before
    assert (target / "secret").read_text(encoding="utf-8") == "sk-secret"


def test_a_swapped_link_changes_no_file_outside(attack: Callable[..., str], tmp_path: Path) -> None:
    """A path that another thread exchanges while the supervisor changes rights never leads it outside."""
    program = """\
import threading
inside = f"{root}/workspace/file"; open(inside, "w").close()
place, spare = f"{root}/workspace/place", f"{root}/workspace/spare"
stop = False
def swap():
    while not stop:
        for aim in (f"{target}/secret", inside):
            os.symlink(aim, spare); os.rename(spare, place)
os.symlink(inside, place)
thread = threading.Thread(target=swap); thread.start()
for _ in range(300):
    try:
        os.chmod(place, 0o777)
    except OSError:
        pass
stop = True; thread.join()
"""
    secret = tmp_path / "home of the user" / "secret"
    mode = secret.stat().st_mode
    attack(program)
    assert secret.stat().st_mode == mode


def test_own_files_can_be_changed(attack: Callable[..., str]) -> None:
    """In its workspace, /tmp and home the agent changes rights and times as it likes, by every call there is."""
    program = """\
import shutil, tempfile
os.chdir(f"{root}/workspace")
open("a", "w").write("x"); os.chmod("a", 0o700); os.utime("a", (5, 6)); os.truncate("a", 0) if sys.argv[1:] else None
assert (os.stat("a").st_mode & 0o777, os.stat("a").st_atime, os.stat("a").st_mtime) == (0o700, 5, 6)
with open("a") as file:
    os.fchmod(file.fileno(), 0o640); os.utime(file.fileno(), ns=(7, 8))
assert (os.stat("a").st_mode & 0o777, os.stat("a").st_mtime_ns) == (0o640, 8)
os.mkdir("f"); folder = os.open("f", os.O_RDONLY)
open("f/b", "w").close(); os.chmod("b", 0o600, dir_fd=folder); os.utime("b", (1, 2), dir_fd=folder)
assert (os.stat("f/b").st_mode & 0o777, os.stat("f/b").st_mtime) == (0o600, 2)
os.utime("a"); assert abs(os.stat("a").st_mtime - time.time()) < 60
os.symlink("nowhere", "l"); os.utime("l", (3, 4), follow_symlinks=False); assert os.lstat("l").st_mtime == 4
shutil.copy2("a", f"{root}/tmp/a"); shutil.copytree("f", f"{root}/home/agent/f")
for path in ("missing", "a/b"):
    try:
        os.chmod(path, 0); raise SystemExit("missing")
    except (FileNotFoundError, NotADirectoryError):
        pass
print(os.stat(f"{root}/tmp/a").st_mode & 0o777 == 0o640)
"""
    assert attack(program) == "True"


def test_other_processes_cannot_be_touched(attack: Callable[..., str], victim: subprocess.Popen[bytes]) -> None:
    """No signal, limit, priority or affinity reaches a process outside, the supervisor included, by whatever call."""
    before = psutil.Process(victim.pid)
    affinity, nice, engine_files = before.cpu_affinity(), before.nice(), psutil.Process().rlimit(psutil.RLIMIT_NOFILE)
    program = f"""\
engine = {os.getpid()}
supervisor = os.getppid()
class Limits(ctypes.Structure):
    _fields_ = [("soft", ctypes.c_ulong), ("hard", ctypes.c_ulong)]
for process in (victim, engine, supervisor):
    attempt("kill", lambda: os.kill(process, 9))
    attempt("probe", lambda: os.kill(process, 0))
    attempt("killpg", lambda: os.killpg(process, 9))
    attempt("tgkill", lambda: call(234, process, process, 9))
    attempt("tkill", lambda: call(200, process, 9))
    attempt("sigqueue", lambda: call(129, process, 15, struct.pack("iii116x", 15, 0, -1)))
    attempt("pidfd", lambda: signal.pidfd_send_signal(os.pidfd_open(process), 9))
    attempt("prlimit", lambda: resource.prlimit(process, resource.RLIMIT_NOFILE, (3, 3)))
    attempt("setpriority", lambda: os.setpriority(os.PRIO_PROCESS, process, 19))
    attempt("setpriority group", lambda: os.setpriority(os.PRIO_PGRP, process, 19))
    attempt("affinity", lambda: os.sched_setaffinity(process, {{0}}))
    attempt("scheduler", lambda: os.sched_setscheduler(process, os.SCHED_BATCH, os.sched_param(0)))
    attempt("ioprio", lambda: call(251, 1, process, 3 << 13))
    attempt("ptrace", lambda: call(101, 16, process, 0, 0))
    import fcntl
    reading, writing = os.pipe()
    attempt("owner", lambda: fcntl.fcntl(reading, fcntl.F_SETOWN, process))
    attempt("owner by ioctl", lambda: fcntl.ioctl(reading, 0x8901, struct.pack("i", process)))
attempt("setpriority user", lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19))
"""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86-64")
    assert attack(program) == ""
    assert victim.poll() is None
    assert (before.cpu_affinity(), before.nice()) == (affinity, nice)
    assert psutil.Process().rlimit(psutil.RLIMIT_NOFILE) == engine_files


def test_a_signal_to_all_stays_inside(attack: Callable[..., str], victim: subprocess.Popen[bytes]) -> None:
    """A signal to every process there is reaches none outside; whether it reaches those inside depends on the ABI."""
    program = """\
if os.fork() == 0:
    attempt("all", lambda: os.kill(-1, 9))
    os._exit(0)
os.wait()
"""
    assert attack(program, statuses=(0, 137)) in ("", "done: all")
    assert victim.poll() is None


def test_own_processes_can_be_signalled(attack: Callable[..., str]) -> None:
    """Signals, limits and priorities work among the sandbox's own processes."""
    program = """\
import subprocess, threading
child = subprocess.Popen(["sleep", "60"]); os.kill(child.pid, 0); child.terminate(); assert child.wait() == -15
group = subprocess.Popen(["sleep", "60"], start_new_session=True); os.killpg(group.pid, 9); assert group.wait() == -9
orphan = int(subprocess.check_output(["sh", "-c", "setsid sleep 60 >/dev/null & echo $!"])); time.sleep(0.1); os.kill(orphan, 9)
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(1)); signal.raise_signal(signal.SIGUSR1); os.kill(os.getpid(), signal.SIGUSR1)
os.kill(0, signal.SIGCONT); signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
assert len(got) == 3
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); os.nice(1); os.sched_setaffinity(0, os.sched_getaffinity(0))
os.sched_setaffinity(os.getpid(), os.sched_getaffinity(0))
print("worked")
"""
    assert attack(program) == "worked"


def test_nothing_outside_can_be_spoken_to(attack: Callable[..., str]) -> None:
    """No socket of any family connects to a host program, and no queue or shared memory is shared with one."""
    with (
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.create_server(("127.0.0.1", 0)) as internet,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
        tempfile.TemporaryDirectory() as folder,
    ):
        named.bind(f"{folder}/bus")
        named.listen()
        datagrams.bind(f"{folder}/log")
        datagrams.settimeout(0.2)
        abstract.bind(f"\0mlgym-lite-test-{os.getpid()}")
        abstract.listen()
        port = internet.getsockname()[1]
        program = f"""\
for name, family, kind, address in (
    ("path", 1, 1, "{folder}/bus"), ("abstract", 1, 1, "\\0mlgym-lite-test-{os.getpid()}"), ("datagram", 1, 2, "{folder}/log"),
    ("internet", 2, 1, ("127.0.0.1", {port})), ("udp", 2, 2, ("127.0.0.1", {port})), ("mptcp", 2, 1, ("127.0.0.1", {port})),
):
    attempt(name, lambda: socket.socket(family, kind, 262 if name == "mptcp" else 0).connect(address))
for family in range(64):
    for kind in (1, 2, 3, 5):
        attempt(f"family {{family}} {{kind}}", lambda: socket.socket(family, kind).close())
def by_pair(kind):
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    one.sendto(b"x", "{folder}/log")
for kind in (1, 2, 3):
    attempt(f"pair {{kind}}", lambda: by_pair(kind))
attempt("name of a pair", lambda: socket.socketpair()[0].bind("\\0mlgym-lite-squat"))
for family in (2, 16, 17, 38, 40):
    attempt(f"pair of {{family}}", lambda: call(53, family, 1, 0, b"x" * 8))
attempt("shared memory", lambda: call(29, 7, 4096, 0o1666))
attempt("message queue", lambda: call(68, 7, 0o1666))
attempt("semaphores", lambda: call(64, 7, 1, 0o1666))
attempt("posix queue", lambda: call(240, b"mlgym", 0o102, 0o666, None))
attempt("/dev/shm", lambda: open("/dev/shm/mlgym-lite-test", "w").close())
one, other = socket.socketpair(); one.send(b"x"); print(other.recv(1))
"""
        assert attack(program) == "b'x'"
        with pytest.raises(TimeoutError):
            datagrams.recv(1)


def test_kernel_interfaces_stay_refused(attack: Callable[..., str]) -> None:
    """The calls that are refused in namespaces are refused here too."""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86-64")
    program = """\
for number in (101, 310, 438, 250, 248, 249, 321, 298, 323, 425, 165, 272, 308, 435, 161, 155, 304, 303, 430, 428, 175, 246, 169,
               103, 135):
    attempt(f"call {number}", lambda: call(number, 0, 0, 0, 0, 0, 0))
attempt("namespaces", lambda: call(272, 0x10000000))
"""
    assert attack(program) == ""


@pytest.mark.parametrize("abi", ABIS)
def test_what_is_weaker_is_said(abi: int) -> None:
    """Each ABI has a list of what it does not keep, and an older one never a shorter list."""
    assert len(weakened(abi, "watchdog")) >= len(weakened(abi + 1, "watchdog")) > 0
    assert any("signals" in text for text in weakened(abi, "cgroup-v2")) == (abi < 6)


EPISODE = (
    "import sys, mlgym_lite; from pathlib import Path; from mlgym_lite.config.run_settings import RunSettings\n"
    "settings = RunSettings(output=Path(sys.argv[2]), isolation='landlock')\n"
    "e = mlgym_lite.Episode(mlgym_lite.load_task(sys.argv[1]), settings=settings); e.reset()\n"
    'e.step(\'(setsid sleep 3001 &) ; setsid -f bash -c "trap : TERM; while :; do sleep 3002; done"; mkdir -p $TMPDIR/a/b; '
    "chmod 0 $TMPDIR/a')\n"
    "print(e.root, flush=True); e.step('exec sleep 3003')\n"
)


@pytest.mark.parametrize("target", ["engine", "supervisor", "command"])
def test_nothing_outlives_a_kill(
    make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path, target: str
) -> None:
    """When engine or command is killed no process and no folder is left; what a killed supervisor leaves, the engine ends."""
    engine = subprocess.Popen(
        [sys.executable, "-c", EPISODE, str(make_task()), str(tmp_path / "run")],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert engine.stdout is not None
        root = Path(engine.stdout.readline().strip())
        assert root.is_dir()
        children = psutil.Process(engine.pid).children(recursive=True)
        supervisor = next(child for child in children if "supervisor" in " ".join(child.cmdline()))
        inside = supervisor.children(recursive=True)
        assert len(inside) >= 3
        if target == "engine":
            engine.kill()
        elif target == "supervisor":
            supervisor.kill()
        else:
            inside[0].send_signal(signal.SIGKILL)
        if target == "supervisor":
            engine.wait(WAIT_SECONDS)  # its command ended, and so it closes its episode
        _, alive = psutil.wait_procs([supervisor, *inside], timeout=WAIT_SECONDS)
        assert alive == []
        assert not root.exists()
    finally:
        engine.kill()
        engine.wait()
        assert engine.stdout is not None
        engine.stdout.close()


def test_forks_move_to_their_own_root(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """A fork finds its files, working directory, variables and programs below a root of its own."""
    settings = RunSettings(output=tmp_path / "run", isolation="landlock")
    with mlgym_lite.Episode(mlgym_lite.load_task(make_task()), settings=settings, environment=environment) as episode:
        episode.step("mkdir -p sub; cd sub; export mine=$PWD; echo x > file")
        snapshot = episode.snapshot()
        assert snapshot.working_directory == "/workspace/sub"
        assert episode.root in episode.instruction or "/workspace" not in episode.task.instruction
        with mlgym_lite.Episode.fork(snapshot, environment=environment) as fork:
            step = fork.step("cat file; which submit python | sed s#$MLGYM_LITE_ROOT##; [ $mine = $PWD ] && echo moved")
            assert step.observation == "x\n/opt/mlgym/bin/submit\n/venv/bin/python\nmoved\n"
            assert fork.root not in ("", episode.root)


def test_episodes_from_threads(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """Several episodes at once, opened in threads that end, do not meet and leave nothing."""
    task = mlgym_lite.load_task(make_task())
    opened: dict[int, mlgym_lite.Episode] = {}

    def start(number: int) -> None:
        settings = RunSettings(output=tmp_path / f"run {number}", isolation="landlock")
        opened[number] = mlgym_lite.Episode(task, settings=settings, environment=environment)
        opened[number].reset()

    threads = [threading.Thread(target=start, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    roots = [Path(episode.root) for episode in opened.values()]
    try:
        for number, episode in opened.items():
            episode.step(f"echo {number} > $TMPDIR/mark")
        for number, episode in opened.items():
            others = " ".join(str(root / "tmp" / "mark") for root in roots if str(root) != episode.root)
            assert episode.step(f"cat $TMPDIR/mark {others} 2>/dev/null").observation == f"{number}\n"
    finally:
        for episode in opened.values():
            episode.close()
    assert not any(root.exists() for root in roots)


def test_temporary_places_count_as_storage(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """What fills /tmp and the home folder, which lie on the host's disk here, is stopped at the limit on storage."""
    settings = RunSettings(output=tmp_path / "run", isolation="landlock")
    with mlgym_lite.Episode(mlgym_lite.load_task(make_task()), settings=settings, environment=environment) as episode:
        for place in ("$TMPDIR", "$HOME"):
            step = episode.step(f"for i in {{1..40}}; do head -c 20M /dev/zero > {place}/x$i; done")
            assert "the limit is 64 MiB" in step.observation
            held = sum(file.stat().st_size for file in Path(episode.root).rglob("x*"))
            assert held < 400 << 20
            assert episode.step(f"rm {place}/x*; echo usable").observation.startswith("usable\n")


def test_tools_name_places_as_the_agent_knows_them(
    make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path
) -> None:
    """A tool shows a file's path below the sandbox's root and not where it lies on the host; a replay compares without roots."""
    settings = RunSettings(output=tmp_path / "run", isolation="landlock")
    with mlgym_lite.Episode(mlgym_lite.load_task(make_task()), settings=settings, environment=environment) as episode:
        shown = episode.step(
            "open answer.txt; find_file answer.txt; cd $MLGYM_LITE_ROOT/tmp; search_dir 0.5 ../workspace"
        ).observation
        assert f"{episode.root}/workspace/answer.txt" in shown
        assert str(tmp_path) not in shown
        assert episode.root not in without_roots(shown)
        assert "[File: /workspace/answer.txt" in without_roots(shown)


PHOENIX = """\
import mmap, os, signal, time, ctypes
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid(); ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    for chain in range(3):
        if os.fork() == 0:
            for number in range(3):
                os.close(number)
            while True:
                if os.fork():
                    os._exit(0)
                beat = os.open("beat", os.O_CREAT | os.O_WRONLY | os.O_APPEND); os.write(beat, b"x"); os.close(beat)
    signal.pause()
"""


def test_what_is_born_anew_all_the_time_ends(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """Chains of processes that each live for a moment only, taken in by a guard of the agent's, end with the sandbox at once."""
    settings = RunSettings(output=tmp_path / "run", isolation="landlock")
    with mlgym_lite.Episode(mlgym_lite.load_task(make_task()), settings=settings, environment=environment) as episode:
        beat = episode.run_directory / "workspace" / "beat"
        episode.step(f"env -i /usr/bin/python3 - <<'END'\n{PHOENIX}\nEND")
        wait_until(lambda: beat.exists())
        started = time.monotonic()
        episode.close()
        assert time.monotonic() - started < WAIT_SECONDS
        size = beat.stat().st_size
        threading.Event().wait(0.5)
        assert beat.stat().st_size == size


DEEP = "import os\nos.chdir(os.environ['TMPDIR'])\nfor _ in range(3000):\n    os.mkdir('d'); os.chdir('d')\n"


def test_folders_however_deep_are_removed(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """Folders deeper in one another than any path is long end neither the episode nor its clean-up."""
    settings = RunSettings(output=tmp_path / "run", isolation="landlock")
    with mlgym_lite.Episode(mlgym_lite.load_task(make_task()), settings=settings, environment=environment) as episode:
        episode.step(f"python3 - <<'END'\n{DEEP}END")
        root = Path(episode.root)
        assert episode.submit().score == 0.5
    assert not root.exists()


@pytest.mark.parametrize("work", [DEEP, "open(os.environ['TMPDIR'] + '/x', 'wb').truncate(1 << 40)", "os.write(2, b'x')"])
def test_what_played_code_leaves_is_removed(
    make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path, work: str
) -> None:
    """What the player's code leaves in its own /tmp ends no grading and does not stay."""
    toml = TASK_TOML.replace('"answer.txt"', '"work.py"') + '\n[metadata.mlgym_lite.player]\nprogram = "tests/player.py"\n'
    judge = 'cat <&"$MLGYM_LITE_PLAYER_FD" >/dev/null; echo \'{"Score": 1}\' > "$MLGYM_LITE_ROOT/logs/verifier/reward.json"\n'
    player = "import os, runpy; runpy.run_path(os.environ['MLGYM_LITE_ROOT'] + '/submission/work.py')\n"
    task = make_task(toml=toml, grader=judge, files={"tests/player.py": player, "environment/work.py": f"import os\n{work}\n"})
    settings = RunSettings(output=tmp_path / "run", isolation="landlock")
    before = set(Path(tempfile.gettempdir()).glob("mlgym-lite-*"))
    with mlgym_lite.Episode(mlgym_lite.load_task(task), settings=settings, environment=environment) as episode:
        assert episode.submit().score == 1.0
    assert set(Path(tempfile.gettempdir()).glob(f"mlgym-lite-{os.geteuid()}-????????????")) <= before


def test_played_code_cannot_fill_the_disk(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """What the player's code writes into its own /tmp counts as storage and is stopped at its limit."""
    toml = TASK_TOML.replace('"answer.txt"', '"work.py"') + '\n[metadata.mlgym_lite.player]\nprogram = "tests/player.py"\n'
    judge = 'cat <&"$MLGYM_LITE_PLAYER_FD" >/dev/null; echo \'{"Score": 1}\' > "$MLGYM_LITE_ROOT/logs/verifier/reward.json"\n'
    player = "import os, runpy; runpy.run_path(os.environ['MLGYM_LITE_ROOT'] + '/submission/work.py')\n"
    fill = "import os, time\nfor n in range(200):\n    open(f\"{os.environ['TMPDIR']}/{n}\", 'wb').write(bytes(20 << 20))\n"
    fill += "open('/dev/null'); print('filled', flush=True)\n"
    task = make_task(toml=toml, grader=judge, files={"tests/player.py": player, "environment/work.py": fill})
    settings = RunSettings(output=tmp_path / "run", isolation="landlock")
    with mlgym_lite.Episode(mlgym_lite.load_task(task), settings=settings, environment=environment) as episode:
        assert episode.submit().score == 1.0
        log = next(episode.run_directory.glob("grading/*/player.log")).read_text(encoding="utf-8")
        assert "filled" not in log


def test_pip_and_git_work(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """Programs that look at the system's settings find those or nothing, and a package is installed from a wheelhouse."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    name = "tiny_wheel-1.0"
    with zipfile.ZipFile(wheels / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_wheel.py", "value = 42\n")
        wheel.writestr(f"{name}.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-wheel\nVersion: 1.0\n")
        wheel.writestr(
            f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{name}.dist-info/RECORD", "")
    toml = TASK_TOML.replace("domain =", 'requirements = "r.txt"\ndomain =')
    task = make_task(toml=toml, files={"r.txt": "\n"})
    settings = RunSettings(output=tmp_path / "run", isolation="landlock", wheelhouse=wheels)
    with mlgym_lite.Episode(mlgym_lite.load_task(task), settings=settings, environment=environment) as episode:
        installed = episode.step("pip install -q tiny-wheel && python -c 'import tiny_wheel; print(tiny_wheel.value)'")
        assert installed.observation.endswith("42\n")
        made = episode.step("git init -q . && git add -A && git -c user.name=a -c user.email=a@b commit -qm x && echo committed")
        assert made.observation.endswith("committed\n")
