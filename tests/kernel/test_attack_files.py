"""Code run as the agent looks for the host's files, keys, other episodes and the task's own, and writes where it must not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from attack_harness import SECRET, OpenEpisode, run_python
from tiny_task import TASK_TOML

from mlgym_lite import Episode

pytestmark = pytest.mark.kernel

DATA_TOML = TASK_TOML + '\n[metadata.mlgym_lite.data]\nmini = "data"\n'

READING = """\
names = [path, "/proc/self/root" + path, "/proc/1/root" + path, "/proc/1/cwd" + path, "/oldroot" + path, ROOT + path,
         ROOT + "/workspace" + "/.." * 12 + path, "/" * 3 + path]
for process in filter(str.isdigit, os.listdir("/proc")):
    names += [f"/proc/{process}/root{path}", f"/proc/{process}/cwd{path}", f"/proc/{process}/cwd/../../..{path}"]
    try:
        for number in os.listdir(f"/proc/{process}/fd"):
            names += [f"/proc/{process}/fd/{number}/{path}", f"/proc/{process}/fd/{number}/" + "../" * 12 + path]
    except OSError:
        pass
os.chdir(ROOT + "/workspace")
def with_open(name):
    return open(name, "rb").read(100)
def with_a_link(name):
    tried(os.unlink, "link"); os.symlink(name, "link"); return open("link", "rb").read(100)
def with_a_hard_link(name):
    os.link(name, "hard"); return open("hard", "rb").read(100)
def with_a_path_descriptor(name):
    return open(f"/proc/self/fd/{os.open(name, os.O_PATH)}", "rb").read(100)
def by_moving(name):
    os.rename(name, "moved"); return open("moved", "rb").read(100)
def by_listing(name):
    return " ".join(os.listdir(name)) + " ".join(os.listdir(os.path.dirname(name)))
for name in names:
    for attack in (with_open, with_a_link, with_a_hard_link, with_a_path_descriptor, by_moving, by_listing):
        got = tried(attack, name)
        if got not in ("ENOENT", "EACCES", "ENOTDIR", "ELOOP", "EXDEV", "EPERM", "EBADF", "EINVAL", "EROFS", "ESRCH", "ENXIO"):
            print(attack.__name__, name, got)
"""


@pytest.fixture
def planted() -> Iterator[list[Path]]:
    """Keys as people keep them, planted in a folder of this user's real home and readable by all where that is."""
    home = Path.home() / f".mlgym-lite-attack-{os.getpid()}"
    paths = [
        home / name for name in (".ssh/id_ed25519", ".aws/credentials", ".config/gcloud/credentials.db", ".netrc", ".cache/token")
    ]
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SECRET, encoding="utf-8")
            path.chmod(0o644)
        yield paths
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_keys_in_the_hosts_home_cannot_be_read(episode: Episode, planted: list[Path]) -> None:
    """Keys planted in the home of the engine's user are reached by no path, link, hard link, descriptor or move."""
    for path in planted:
        assert run_python(episode, READING, path=str(path)) == "", path
        assert path.read_text(encoding="utf-8") == SECRET


def test_readable_files_of_the_hosts_temporary_folder_cannot_be_read(episode: Episode, tmp_path: Path) -> None:
    """A file anyone may read in the host's own /tmp is not in the sandbox's, by whatever path."""
    secret = tmp_path / "open-to-all"
    secret.write_text(SECRET, encoding="utf-8")
    secret.chmod(0o666)
    assert run_python(episode, READING, path=str(secret)) == ""
    assert secret.read_text(encoding="utf-8") == SECRET


def test_host_files_are_not_there(episode: Episode) -> None:
    """Passwords, homes, the run directory, and the task's folder cannot be read, listed or guessed."""
    run, task = episode.run_directory, episode.task.folder
    paths = [
        "/etc/shadow", "/etc/sudoers", "/etc/hostname", "/etc/machine-id", "/root/.bashrc", "/root/.ssh", "/var", "/run", "/boot",
        str(Path.home() / ".ssh"), str(Path.home() / ".aws"), str(Path.home() / ".config"),
        "/home/" + os.environ.get("USER", "x"), str(run), str(run / "run.json"), str(run / ".state"), str(task),
        str(task / "tests/test.sh"),
        str(task / "solution"), "/tests", "/hidden", "/logs", "/submission", "/solution", "/sys", "/proc/kcore", "/dev/mem",
        "/proc/1/root/etc/shadow", "/proc/self/root/etc/shadow", "/proc/1/cwd/../etc/shadow", "/workspace/../../etc/shadow",
        "/dev/vda", "/dev/sda", "/dev/kmsg", "/dev/fuse", "/dev/kvm", "/dev/net/tun", "/var/run/docker.sock", "/dev/userfaultfd",
    ]  # fmt: skip
    found = run_python(
        episode,
        "for path in paths:\n    try:\n        open(path, 'rb').read(1); print('read', path)\n    except "
        "IsADirectoryError:\n        print('seen', path)\n    except OSError:\n        pass",
        paths=paths,
    )
    assert found == ""


@pytest.mark.only_bubblewrap("the host's lists are out of reach there, and so is any other; test_landlock.py reads for them")
def test_etc_holds_nothing_of_the_hosts_users(episode: Episode) -> None:
    """The lists of users and hosts are the sandbox's own."""
    assert (
        episode.step("cut -d: -f1 /etc/passwd | tr '\\n' ' '; wc -l < /etc/hosts; hostname").observation
        == "root agent 2\nsandbox\n"
    )


def test_the_tasks_tests_and_hidden_data_cannot_be_read(open_episode: OpenEpisode) -> None:
    """The agent reads its data, and neither tests nor labels: not by the host's paths, and not around its own data."""
    files = {"data/agent/train.csv": "1\n", "data/judge/labels.csv": SECRET}
    episode = open_episode(toml=DATA_TOML, grader=f"# {SECRET}\nexit 1\n", files=files, chosen={"variant": "mini"})
    folder = episode.task.folder
    assert episode.step('cat "$MLGYM_LITE_ROOT/data/train.csv"').observation == "1\n"
    for path in (
        folder / "data/judge/labels.csv",
        folder / "tests/test.sh",
        Path("/data/../judge/labels.csv"),
        Path("/hidden/labels.csv"),
    ):
        assert run_python(episode, READING, path=str(path)) == "", path
    seen = episode.step('cat "$MLGYM_LITE_ROOT"/{hidden,judge,tests,data/..}/* 2>&1; ls -R "$MLGYM_LITE_ROOT/data"').observation
    assert "labels.csv" not in seen
    assert SECRET not in seen


def test_another_episodes_files_cannot_be_read(open_episode: OpenEpisode) -> None:
    """Of an episode at the same time and of one that is over, neither workspace, environment, record nor submission is read."""
    over, first = open_episode("over"), open_episode("first")
    for other in (over, first):
        other.step(f"echo {SECRET} | tee secret > $MLGYM_LITE_ROOT/venv/secret; chmod -R 777 . ; echo 1 > answer.txt")
    over.submit()
    attacker = open_episode("second")
    for other in (over, first):
        run = other.run_directory
        for name in ("workspace/secret", ".state/venv/secret", "trajectory.jsonl", "submission/answer.txt", "result.json"):
            assert run_python(attacker, READING, path=str(run / name)) == "", name
        assert (run / "workspace/secret").read_text(encoding="utf-8") == f"{SECRET}\n"


@pytest.mark.only_bubblewrap(
    "the folders above the sandbox's places cannot be walked there; test_landlock.py writes where it must not"
)
def test_only_the_agents_places_are_writable(episode: Episode) -> None:
    """Files can be made in /workspace, /venv, /tmp, the home folder and /dev/shm, and nowhere else."""
    program = """\
places = set()
for top, folders, _ in os.walk("/"):
    folders[:] = [f for f in folders if not os.path.islink(os.path.join(top, f)) and (top, f) != ("/", "proc")]
    name = os.path.join(top, ".probe")
    for flags in (os.O_CREAT | os.O_WRONLY, os.O_TMPFILE | os.O_WRONLY):
        try:
            os.close(os.open(top if flags & os.O_TMPFILE == os.O_TMPFILE else name, flags)); places.add(top); os.unlink(name)
        except OSError:
            pass
places = {place.removeprefix(ROOT) for place in places}
print(sorted({"/".join(p.split("/")[:3]) if p.startswith(("/home", "/dev")) else "/" + p.split("/")[1] for p in places}))
"""
    assert run_python(episode, program) == "['/dev/shm', '/home/agent', '/tmp', '/venv', '/workspace']\n"


def test_read_only_places_stay_so(open_episode: OpenEpisode) -> None:
    """Neither content nor rights, times, attributes, links or names change on what is shown read-only, seen from the host too."""
    files = {"data/agent/train.csv": "1\n", "data/judge/labels.csv": "1\n"}
    episode = open_episode(toml=DATA_TOML, files=files, chosen={"variant": "mini"})
    data = episode.task.folder / "data/agent/train.csv"
    data.chmod(0o666)  # so that only the wall keeps anyone from writing
    data.parent.chmod(0o777)
    before = data.stat()
    program = """\
places = ["/data/train.csv", "/opt/mlgym/bin/submit", "/opt/mlgym/lib/arguments.py", "/usr/bin/env", "/etc/passwd", "/etc/hosts",
          os.path.realpath(ROOT + "/venv/bin/python"), os.__file__]
for place in (ROOT + name if os.path.exists(ROOT + name) else name for name in places):
    folder = os.path.dirname(place)
    assert os.path.exists(place), place
    mine = ROOT + "/workspace/answer.txt"
    for what, attack in {
        "write": lambda: os.open(place, os.O_WRONLY), "append": lambda: os.open(place, os.O_RDWR | os.O_APPEND),
        "truncate": lambda: os.truncate(place, 0), "mode": lambda: os.chmod(place, 0o6777),
        "owner": lambda: os.chown(place, 1000, 1000), "folder's mode": lambda: os.chmod(folder, 0o777),
        "times": lambda: os.utime(place, (0, 0)), "now": lambda: os.utime(place), "remove": lambda: os.unlink(place),
        "rename": lambda: os.rename(place, place + ".x"), "move away": lambda: os.rename(place, ROOT + "/tmp/x"),
        "move over": lambda: os.rename(mine, place), "link": lambda: os.link(place, place + ".x"),
        "link away": lambda: os.link(place, ROOT + "/workspace/x"), "attribute": lambda: os.setxattr(place, "user.x", b"x"),
        "folder": lambda: os.mkdir(folder + "/x"), "symlink": lambda: os.symlink("x", folder + "/x"),
        "exchange": lambda: int(call(316, -100, place.encode(), -100, mine.encode(), 2) != "allowed") or None,
        "again": lambda: os.open(f"/proc/self/fd/{os.open(place, os.O_RDONLY)}", os.O_RDWR),
        "by its path": lambda: os.open(f"/proc/self/fd/{os.open(place, os.O_PATH)}", os.O_WRONLY),
    }.items():
        if tried(attack) not in ("EROFS", "EACCES", "EPERM", "EXDEV", "EOPNOTSUPP", 1):
            print(what, place, tried(attack))
"""
    assert run_python(episode, program) == ""
    after = data.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_ctime_ns, after.st_nlink) == (
        before.st_mode, before.st_mtime_ns, before.st_ctime_ns, before.st_nlink
    )  # fmt: skip


def test_the_tops_of_the_agents_places_stay_where_they_are(episode: Episode) -> None:
    """What the engine works with on the host stays a folder of the agent's: it can be neither moved, removed nor exchanged."""
    for place in ("workspace", "venv"):
        episode.step(
            f'cd /; p="$MLGYM_LITE_ROOT/{place}"; mv $p "$MLGYM_LITE_ROOT/tmp/away"; rm -rf $p; rmdir $p; '
            "mv $p $p.old; ln -sfn / $p"
        )
    assert (episode.run_directory / "workspace").lstat().st_mode & 0o170000 == 0o040000
    assert (episode.run_directory / ".state/venv").lstat().st_mode & 0o170000 == 0o040000
    assert list(episode.run_directory.glob("*.old")) == []
    episode.step("cd; echo 0.25 > $MLGYM_LITE_ROOT/workspace/answer.txt")
    assert episode.submit().score == 0.25


def test_kernel_settings_cannot_be_written(episode: Episode) -> None:
    """No file below /proc/sys opens for writing, nor the other switches in /proc."""
    program = """\
names = [os.path.join(t, f) for t, _, fs in os.walk("/proc/sys") for f in fs]
names += ["/proc/sysrq-trigger", "/proc/acpi/wakeup", "/proc/irq/0/smp_affinity", "/proc/mtrr", "/proc/timer_list", "/proc/kmsg"]
names += [os.path.join(t, f) for top in ("/proc/irq", "/proc/fs", "/proc/scsi") for t, _, fs in os.walk(top) for f in fs]
for name in names:
    for flags in (os.O_WRONLY, os.O_RDWR):
        try:
            os.close(os.open(name, flags)); print("opened", name)
        except OSError:
            pass
"""
    assert run_python(episode, program) == ""


def test_only_harmless_devices_are_there(episode: Episode) -> None:
    """The devices are those that hold nothing: no disk, memory, terminal, kernel log, bus or tunnel; and none can be made."""
    program = """\
import stat
found = set()
for top, folders, names in os.walk("/dev"):
    for name in names:
        state = os.stat(os.path.join(top, name), follow_symlinks=False)
        if stat.S_ISCHR(state.st_mode) or stat.S_ISBLK(state.st_mode):
            found.add((os.major(state.st_rdev), os.minor(state.st_rdev)))
print(found - {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)})
for number in [os.makedev(*n) for n in ((8, 0), (254, 0), (259, 0), (1, 1), (1, 2), (1, 11), (10, 200), (7, 0), (5, 1))]:
    for kind in (stat.S_IFCHR, stat.S_IFBLK):
        for place in ("/workspace", "/tmp", "/dev", "/dev/shm", "/venv"):
            if tried(os.mknod, ROOT + place + "/node", kind | 0o666, number) is None:
                print("made", place, number)
"""
    assert run_python(episode, program) == "set()\n"


def test_set_user_id_files_give_nothing(episode: Episode) -> None:
    """The host's set-user-id programs do not raise rights, and one of the agent's own cannot be reached on the host."""
    episode.step("cp /usr/bin/id ./mine; chmod 6755 mine")
    assert episode.step("./mine -u").observation == episode.step("id -u").observation
    assert episode.step("grep -c 'NoNewPrivs:.1' /proc/self/status; su -c id 2>/dev/null; echo").observation == "1\n\n"
    assert episode.run_directory.stat().st_mode & 0o077 == 0


def test_no_file_the_agent_writes_has_another_name_on_the_host(episode: Episode) -> None:
    """Nothing the agent may change is a hard link into a cache or a template that other runs use."""
    tops = (episode.run_directory / "workspace", episode.run_directory / ".state/venv")
    files = [path for top in tops for path in top.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) >= 2
    assert [path for path in files if path.stat().st_nlink != 1] == []


def test_what_an_agent_does_to_its_environment_stays_there(open_episode: OpenEpisode) -> None:
    """Packages and programs an agent changes in /venv change nothing in another episode's, open or to come."""
    first, second = open_episode("first"), open_episode("second")
    first.step(
        "cd $MLGYM_LITE_ROOT/venv; echo 'print(\"poisoned\")' > lib/python3*/site-packages/sitecustomize.py; echo 'import os; "
        'print("poisoned")\' > lib/python3*/site-packages/x.pth; '
        "for f in lib/python3*/site-packages/* bin/*; do echo poison >> $f; done"
    )
    first.step("rm bin/python; printf '#!/bin/sh\\necho poisoned\\n' > bin/python; chmod +x bin/python; cd")
    assert first.step("python").observation == "poisoned\n"
    assert second.step("python -c 'print(1)'").observation == "1\n"
    third = open_episode("third")
    assert third.step("python -c 'print(1)'").observation == "1\n"
