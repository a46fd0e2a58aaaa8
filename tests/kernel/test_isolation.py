"""Code run as the agent attacks the host, the engine and other episodes, and must be stopped at each wall."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import mlgym_lite
from mlgym_lite import Episode
from mlgym_lite.config.run_settings import RunSettings

pytestmark = pytest.mark.kernel

OpenEpisode = Callable[..., Episode]
WAIT_SECONDS = 20.0
SECRET = "sk-secret-of-the-engine"


@pytest.fixture
def open_episode(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> Iterator[OpenEpisode]:
    """Opens episodes of the tiny task and closes them after the test."""
    with contextlib.ExitStack() as stack:

        def open_one(name: str = "tiny") -> Episode:
            task = mlgym_lite.load_task(make_task(name))
            settings = RunSettings(output=tmp_path / f"run-{name}")
            return stack.enter_context(Episode(task, settings=settings, environment={**environment, "SECRET_KEY": SECRET}))

        yield open_one


@pytest.fixture
def episode(open_episode: OpenEpisode) -> Episode:
    """One open episode."""
    return open_episode()


def run_python(episode: Episode, program: str) -> str:
    """What a Python program prints that the agent runs."""
    return episode.step(f"python3 - <<'END_OF_PROGRAM'\n{program}\nEND_OF_PROGRAM").observation


SYSTEM_CALL = """\
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    value = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    return "allowed" if value >= 0 else errno.errorcode[ctypes.get_errno()]
"""


# Files


def test_host_files_are_not_there(episode: Episode) -> None:
    """Passwords, homes, the run directory, and the task's folder cannot be read, listed or guessed."""
    run, task = episode.run_directory, episode.task.folder
    paths = [
        "/etc/shadow", "/etc/sudoers", "/etc/hostname", "/etc/machine-id", "/root/.bashrc", "/root/.ssh", "/var", "/run", "/boot",
        str(Path.home() / ".ssh"), str(run), str(run / "run.json"), str(run / ".state"), str(task), str(task / "tests/test.sh"),
        str(task / "solution"), "/tests", "/hidden", "/logs", "/submission", "/solution", "/sys", "/proc/kcore", "/dev/mem",
        "/proc/1/root/etc/shadow", "/proc/self/root/etc/shadow", "/proc/1/cwd/../etc/shadow", "/workspace/../../etc/shadow",
        "/dev/vda", "/dev/sda", "/dev/kmsg", "/dev/fuse", "/dev/kvm", "/dev/net/tun", "/var/run/docker.sock",
    ]  # fmt: skip
    found = run_python(
        episode,
        f"for path in {paths!r}:\n    try:\n        open(path, 'rb').read(1); print('read', path)\n    except "
        f"IsADirectoryError:\n        print('seen', path)\n    except OSError:\n        pass",
    )
    assert found == ""


def test_etc_holds_nothing_of_the_hosts_users(episode: Episode) -> None:
    """The lists of users and hosts are the sandbox's own."""
    assert (
        episode.step("cut -d: -f1 /etc/passwd | tr '\\n' ' '; wc -l < /etc/hosts; hostname").observation
        == "root agent 2\nsandbox\n"
    )


def test_only_the_agents_places_are_writable(episode: Episode) -> None:
    """Files can be made in /workspace, /venv, /tmp, the home folder and /dev/shm, and nowhere else."""
    program = """\
import os
places = set()
for top, folders, _ in os.walk("/"):
    folders[:] = [f for f in folders if not os.path.islink(os.path.join(top, f)) and (top, f) != ("/", "proc")]
    name = os.path.join(top, ".probe")
    try:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY)); os.unlink(name); places.add(top)
    except OSError:
        pass
print(sorted({"/".join(p.split("/")[:3]) if p.startswith(("/home", "/dev")) else "/" + p.split("/")[1] for p in places}))
"""
    assert run_python(episode, program) == "['/dev/shm', '/home/agent', '/tmp', '/venv', '/workspace']\n"


def test_read_only_places_stay_so(episode: Episode) -> None:
    """Neither files nor rights nor links change on what is shown read-only."""
    step = episode.step(
        "for c in 'chmod 777 /opt/mlgym/bin/submit' 'rm -f /opt/mlgym/bin/submit' 'touch /usr/x' 'mv "
        "/opt/mlgym/lib /tmp/l' 'ln -s a /etc/l' "
        "'mkdir /x' 'touch /dev/x' 'ln /usr/bin/env /usr/bin/env2' 'touch /opt/mlgym/lib/arguments.py' 'mount -o remount,rw /' "
        "'truncate -s 0 /etc/passwd'; do $c 2>/dev/null && echo \"done: $c\"; done"
    )
    assert step.observation == ""


def test_kernel_settings_cannot_be_written(episode: Episode) -> None:
    """No file below /proc/sys opens for writing, nor the other switches in /proc."""
    program = """\
import os
names = [os.path.join(t, f) for t, _, fs in os.walk("/proc/sys") for f in fs] + ["/proc/sysrq-trigger"]
for name in names:
    for flags in (os.O_WRONLY, os.O_RDWR):
        try:
            os.close(os.open(name, flags)); print("opened", name)
        except OSError:
            pass
"""
    assert run_python(episode, program) == ""


def test_the_first_process_of_the_sandbox_is_no_way_out(episode: Episode) -> None:
    """The process that the agent could take over, the sandbox's first, is as confined as the agent itself."""
    step = episode.step(
        "for p in 1 self; do grep -E '^(Cap...|NoNewPrivs|Seccomp):' /proc/$p/status | md5sum; readlink "
        "/proc/$p/ns/* | md5sum; done | sort -u | wc -l"
    )
    assert step.observation == "2\n"


def test_set_user_id_files_give_nothing(episode: Episode) -> None:
    """The host's set-user-id programs do not raise rights, and one of the agent's own cannot be reached on the host."""
    episode.step("cp /usr/bin/id ./mine; chmod 6755 mine")
    assert episode.step("./mine -u").observation == "1000\n"
    assert episode.step("grep -c 'NoNewPrivs:.1' /proc/self/status; su -c id 2>/dev/null; echo").observation == "1\n\n"
    assert episode.run_directory.stat().st_mode & 0o077 == 0


# The engine


def test_the_engines_environment_is_hidden(episode: Episode, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the engine's environment is seen in any process of the sandbox."""
    assert SECRET not in episode.step("env; cat /proc/*/environ | tr '\\0' '\\n'").observation
    names = set(run_python(episode, "import os; print(*os.environ)").split())
    allowed = {"PATH", "HOME", "USER", "LANG", "TMPDIR", "TERM", "VIRTUAL_ENV", "PWD", "SHLVL", "_", "OLDPWD", "LC_CTYPE"}
    assert {name for name in names - allowed if not name.startswith("MLGYM_LITE_")} == set()


def test_secrets_of_this_process_are_hidden(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """A secret that is really in the engine's process environment shows nowhere either."""
    program = (
        "import sys, mlgym_lite; from pathlib import Path; from mlgym_lite.config.run_settings import RunSettings\n"
        "with mlgym_lite.Episode(mlgym_lite.load_task(sys.argv[1]), settings=RunSettings(output=Path(sys.argv[2]))) as e:\n"
        "    print(e.step(\"cat /proc/*/environ | tr '\\\\0' '\\\\n'; env; cat /proc/*/cmdline\").observation)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(make_task()), str(tmp_path / "run")], env={**environment, "SECRET_KEY": SECRET},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "MLGYM_LITE_SEED" in done.stdout
    assert SECRET not in done.stdout


def test_command_lines_tell_no_host_paths(episode: Episode) -> None:
    """The command lines of all processes in the sandbox name no folder of the host."""
    text = episode.step("cat /proc/*/cmdline | tr '\\0' ' '").observation
    assert str(episode.run_directory.parent) not in text
    assert str(episode.task.folder) not in text


def test_no_further_descriptors(episode: Episode) -> None:
    """A command holds its input, its output and the control socket; no process of the sandbox holds a file of the host."""
    assert "/" not in run_python(
        episode,
        "import os\nfor pid in filter(str.isdigit, os.listdir('/proc')):\n    try:\n        for fd in "
        "os.listdir(f'/proc/{pid}/fd'):\n"
        "            target = os.readlink(f'/proc/{pid}/fd/{fd}')\n"
        "            if not target.startswith(('pipe:', 'socket:', '/dev/null', '/memfd:', '/proc/', "
        "'anon_inode:')):\n                print(pid, fd, target)\n"
        "    except OSError:\n        pass",
    )


def test_a_descriptor_of_the_engine_does_not_leak(open_episode: OpenEpisode, tmp_path: Path) -> None:
    """An inheritable descriptor that the engine's process holds does not reach the agent."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET, encoding="utf-8")
    descriptor = os.open(secret, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        text = (
            open_episode()
            .step("for f in /proc/*/fd/*; do timeout 1 head -c 100 $f 2>/dev/null < /dev/null; done; ls -l /proc/*/fd")
            .observation
        )
    finally:
        os.close(descriptor)
    assert SECRET not in text
    assert "secret" not in text


# Processes


def test_host_processes_are_not_seen(episode: Episode) -> None:
    """The sandbox sees its own processes only, and none of them is the engine's."""
    numbers = [int(n) for n in run_python(episode, "import os; print(*filter(str.isdigit, os.listdir('/proc')))").split()]
    assert len(numbers) <= 5
    assert max(numbers) < 1000


def test_host_processes_cannot_be_signalled(episode: Episode) -> None:
    """A signal to every process reaches nothing outside."""
    victim = subprocess.Popen(["sleep", "60"])
    try:
        episode.step(f"kill -9 {victim.pid} {os.getpid()}; kill -9 -- -{os.getpgid(0)}; kill -9 1")
        episode.step("(sleep 0.1; true); python3 -c 'import os; os.kill(-1, 9)'; true")
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
    assert episode.step("echo here").observation.startswith("here\n")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ptrace traceme", "101, 0, 0, 0, 0"),
        ("ptrace attach", "101, 16, 1, 0, 0"),
        ("process_vm_readv", "310, 1, 0, 0, 0, 0, 0"),
        ("pidfd_getfd", "438, 0, 0, 0"),
        ("keyctl", "250, 0, 0, 0, 0, 0"),
        ("add_key", "248, b'user', b'x', b'y', 1, -3"),
        ("request_key", "249, b'user', b'x', 0, 0"),
        ("bpf", "321, 0, 0, 0"),
        ("perf_event_open", "298, 0, 0, 0, 0, 0"),
        ("userfaultfd", "323, 0"),
        ("io_uring_setup", "425, 1, 0"),
        ("mount", "165, b'none', b'/tmp', b'tmpfs', 0, 0"),
        ("umount2", "166, b'/tmp', 2"),
        ("unshare user", "272, 0x10000000"),
        ("unshare mount", "272, 0x20000"),
        ("setns", "308, 0, 0"),
        ("clone user", "56, 0x10000011, 0, 0, 0, 0"),
        ("clone mount", "56, 0x20011, 0, 0, 0, 0"),
        ("clone3", "435, 0, 0"),
        ("chroot", "161, b'/tmp'"),
        ("pivot_root", "155, b'/tmp', b'/tmp'"),
        ("open_by_handle_at", "304, 0, 0, 0"),
        ("name_to_handle_at", "303, -100, b'/tmp', 0, 0, 0"),
        ("fsopen", "430, b'tmpfs', 0"),
        ("open_tree", "428, -100, b'/', 1"),
        ("init_module", "175, 0, 0, 0"),
        ("kexec_load", "246, 0, 0, 0, 0"),
        ("reboot", "169, 0, 0, 0, 0"),
        ("syslog", "103, 3, 0, 0"),
        ("personality", "135, 0x0040000"),
        ("settimeofday", "164, 0, 0"),
        ("quotactl", "179, 0, 0, 0, 0"),
        ("swapon", "167, 0, 0"),
        ("iopl", "172, 3"),
        ("acct", "163, 0"),
        ("x32 getpid", "0x40000027"),
    ],
)
def test_system_calls_are_refused(episode: Episode, name: str, arguments: str) -> None:
    """What namespaces do not contain is refused by the system call filter, not by luck of the arguments."""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86-64")
    assert run_python(episode, f"{SYSTEM_CALL}print(call({arguments}))") in ("EPERM\n", "ENOSYS\n"), name


def test_foreign_system_calls_kill(episode: Episode) -> None:
    """The 32-bit entry to the kernel, which numbers calls otherwise, kills the caller."""
    if os.uname().machine != "x86_64":
        pytest.skip("the machine code is x86-64's")
    step = episode.step(
        "python3 - <<'END'\nimport ctypes, mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(bytes.fromhex('b814000000cd80c3'))\n"
        "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\nprint('survived', f())\nEND"
    )
    assert "survived" not in step.observation
    assert step.exit_status == 128 + signal.SIGSYS


def test_nested_namespaces_are_refused(episode: Episode) -> None:
    """No program makes a namespace in which it would be root."""
    step = episode.step(
        "for f in -U -r -m -n -p; do unshare $f true 2>/dev/null && echo got $f; done; bwrap --ro-bind / / true "
        "2>/dev/null && echo got"
    )
    assert step.observation == ""


def test_terminal_injection_is_refused(episode: Episode) -> None:
    """Typing into a terminal and selecting on a console are refused, whatever the upper half of the request's number."""
    program = """\
import ctypes, errno, os, pty
libc = ctypes.CDLL(None, use_errno=True)
master, slave = pty.openpty()
for request in (0x5412, 0x541C, 0x5412 | 1 << 32, 0x541C | 1 << 32):
    value = libc.syscall(ctypes.c_long(16), ctypes.c_long(slave), ctypes.c_ulong(request), b"x")
    print(value, errno.errorcode[ctypes.get_errno()])
"""
    assert run_python(episode, program) == "-1 EPERM\n" * 4


def test_file_leases_are_refused(episode: Episode) -> None:
    """A lease, with which a reader of a file could hold up whoever opens it, is refused; ordinary locks are not."""
    program = """\
import errno, fcntl
file = open("answer.txt")
fcntl.flock(file, fcntl.LOCK_SH)
try:
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
except OSError as error:
    print(errno.errorcode[error.errno])
"""
    assert run_python(episode, program) == "EPERM\n"


def test_no_capabilities(episode: Episode) -> None:
    """The agent holds no capability, can gain none, and makes no device node."""
    step = episode.step(
        "grep Cap /proc/self/status | cut -f2 | sort -u; mknod x c 1 3 2>/dev/null && echo node; mknod y b 254 0 "
        "2>/dev/null && echo node"
    )
    assert step.observation == "0000000000000000\n"


# Network and sockets


def test_no_network(episode: Episode) -> None:
    """There is a loopback device only, and no address outside is reachable."""
    program = """\
import socket
print([name for _, name in socket.if_nameindex()])
for target in (("192.0.2.1", 80), ("8.8.8.8", 53), ("169.254.169.254", 80)):
    try:
        socket.create_connection(target, timeout=2); print("connected", target)
    except OSError:
        pass
try:
    socket.getaddrinfo("example.org", 80); print("resolved")
except OSError:
    pass
"""
    assert run_python(episode, program) == "['lo']\n"


def test_the_hosts_loopback_and_abstract_sockets_are_out_of_reach(episode: Episode) -> None:
    """What listens on the host's loopback addresses or in its abstract socket namespace is not reached."""
    name = f"\0mlgym-lite-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(name)
        abstract.listen()
        program = f"""\
import socket
for family, address in ((socket.AF_INET, ("127.0.0.1", {tcp.getsockname()[1]})), (socket.AF_UNIX, {name!r})):
    try:
        socket.socket(family).connect(address); print("connected", address)
    except ConnectionRefusedError:
        print("refused")
"""
        assert run_python(episode, program) == "refused\nrefused\n"


def test_other_socket_families_are_refused(episode: Episode) -> None:
    """Families that no network namespace contains, vsock first, cannot be opened, nor raw sockets."""
    program = """\
import socket
for family in range(46):
    if family in (1, 2, 10, 16):
        continue
    for kind in (1, 2, 3, 5):
        try:
            socket.socket(family, kind); print("opened", family, kind)
        except OSError:
            pass
for family in (2, 10):
    try:
        socket.socket(family, socket.SOCK_RAW, 1); print("raw", family)
    except OSError:
        pass
"""
    assert run_python(episode, program) == ""


# Links for the setting up


def test_links_left_for_a_new_shell_write_nothing_on_the_host(episode: Episode, tmp_path: Path) -> None:
    """Links an agent leaves where a sandbox is put up are not followed to the host when its shell is started again."""
    victim = tmp_path / "victim"
    victim.mkdir()
    victim.chmod(0o777)
    before = set(Path("/").iterdir()), {*episode.run_directory.iterdir(), episode.run_directory / "result.json"}
    for top in ("/workspace", "/venv"):
        episode.step(
            f"cd {top}; rm -rf bin lib lib64 pyvenv.cfg data; for n in bin lib lib64 data link .state pyvenv.cfg "
            f"tmp; do ln -sfn /oldroot{victim} $n; done"
        )
        episode.step("exit")
        assert "usable" in episode.step("echo usable").observation
    episode.step(f"cd /; rm -rf /workspace/* /venv/*; ln -s /oldroot{victim} /workspace/bin")
    episode.step("exit")
    episode.validate()
    episode.submit()
    assert list(victim.iterdir()) == []
    assert (set(Path("/").iterdir()), set(episode.run_directory.iterdir())) == before


def test_a_link_in_the_place_of_the_working_directory(episode: Episode) -> None:
    """A link to the host's root as working directory shows the sandbox's root, also in a fork."""
    episode.step("ln -s / root; ln -s /proc/1/root other; cd root")
    assert "tests" not in episode.step("ls").observation.split()


# Lives and deaths


def test_killed_engine_leaves_nothing(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """When the engine is killed, its processes, control groups, mounts and user ids are gone a moment later."""
    program = (
        "import sys, mlgym_lite; from pathlib import Path; from mlgym_lite.config.run_settings import RunSettings\n"
        "e = mlgym_lite.Episode(mlgym_lite.load_task(sys.argv[1]), settings=RunSettings(output=Path(sys.argv[2]))); e.reset()\n"
        "print('first', flush=True); e.step('sleep 2001 & setsid -f sleep 2002; (sleep 2003 &)'); print('ready', flush=True)\n"
        "e.step('exec sleep 2004')\n"
    )
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    engine = subprocess.Popen(
        [sys.executable, "-c", program, str(make_task()), str(tmp_path / "run")],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert engine.stdout is not None
        while engine.stdout.readline() != "ready\n":
            assert engine.poll() is None
        children = psutil.Process(engine.pid).children(recursive=True)
        assert len([child for child in children if child.name() == "sleep"]) >= 3
    finally:
        engine.kill()
        engine.wait()
        assert engine.stdout is not None
        engine.stdout.close()
    wait_until(lambda: not groups_of(engine.pid))
    _, alive = psutil.wait_procs(children, timeout=WAIT_SECONDS)
    assert alive == []
    assert Path("/proc/self/mounts").read_text(encoding="utf-8") == mounts


def groups_of(process_id: int) -> list[Path]:
    """The control groups that an engine made."""
    return list(Path("/sys/fs/cgroup").glob(f"**/mlgym-lite-{process_id}-*"))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something holds, and fail when it does not in time."""
    deadline = time.monotonic() + WAIT_SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.02)


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


def test_two_episodes_do_not_meet(open_episode: OpenEpisode) -> None:
    """Two episodes at once see nothing of each other: no files, processes, memory, sockets or messages."""
    first, second = open_episode("first"), open_episode("second")
    first.step("echo a > /tmp/mark; echo a > /dev/shm/mark; echo a > ~/mark; echo a > mark; sleep 2001 &")
    run_python(
        first,
        "import socket, os, time\ns = socket.socket(socket.AF_UNIX); s.bind('\\0mark'); "
        "s.listen()\nt = socket.create_server(('127.0.0.1', 7777))\nif os.fork() == 0:\n    os.setsid(); "
        "os.close(1); os.close(2); time.sleep(60)",
    )
    first.step("ipcmk -M 100 -p 666; ipcmk -Q -p 666")
    assert (
        second.step("ls /tmp/mark /dev/shm/mark ~/mark mark 2>/dev/null; pgrep sleep; ipcs -m -q | grep -c 666").observation
        == "0\n"
    )
    program = (
        "import socket\nfor family, address in ((socket.AF_UNIX, '\\0mark'), (socket.AF_INET, ('127.0.0.1', 7777))):\n    try:\n"
        "        socket.socket(family).connect(address); print('met')\n    except OSError:\n        pass"
    )
    assert run_python(second, program) == ""
    assert run_python(first, program) == "met\nmet\n"


def test_what_an_agent_does_to_its_environment_stays_there(open_episode: OpenEpisode) -> None:
    """Packages and programs an agent changes in /venv change nothing in another episode's."""
    first, second = open_episode("first"), open_episode("second")
    first.step(
        "echo 'print(\"poisoned\")' > /venv/lib/python3*/site-packages/sitecustomize.py; echo 'import os; "
        'print("poisoned")\' > /venv/lib/python3*/site-packages/x.pth'
    )
    first.step("rm /venv/bin/python; printf '#!/bin/sh\\necho poisoned\\n' > /venv/bin/python; chmod +x /venv/bin/python")
    assert first.step("python").observation == "poisoned\n"
    assert second.step("python -c 'print(1)'").observation == "1\n"
    third = open_episode("third")
    assert third.step("python -c 'print(1)'").observation == "1\n"


def test_the_workspace_cannot_take_more_than_its_storage(episode: Episode) -> None:
    """An agent cannot put more into its workspace than the task's storage_mb, but for what a disk takes until it is seen."""
    episode.step("for i in $(seq 30); do head -c 40M /dev/zero > big$i; done; rm answer.txt")
    used = sum(path.stat().st_blocks * 512 for path in (episode.run_directory / "workspace").iterdir())
    assert used <= 400 << 20
