"""What surrounds the agent from the start: the setting up of its sandbox, its user, environment, arguments and descriptors."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from attack_harness import SECRET, OpenEpisode, run_python
from tiny_task import GRADER, TASK_TOML

from mlgym_lite import Episode
from mlgym_lite.config.run_settings import RunSettings

pytestmark = pytest.mark.kernel


# The engine's own


def test_the_engines_environment_is_hidden(episode: Episode) -> None:
    """No variable of the engine's environment is seen in any process of the sandbox."""
    assert SECRET not in episode.step("env; cat /proc/*/environ | tr '\\0' '\\n'").observation
    names = set(run_python(episode, "print(*os.environ)").split())
    allowed = {"PATH", "HOME", "USER", "LANG", "TMPDIR", "TERM", "VIRTUAL_ENV", "PWD", "SHLVL", "_", "OLDPWD", "LC_CTYPE"}
    allowed |= {"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMP_WAIT_POLICY"}
    assert {name for name in names - allowed if not name.startswith("MLGYM_LITE_")} == set()


def test_secrets_of_this_process_are_hidden(
    make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path, mechanism: str
) -> None:
    """A secret that is really in the engine's process environment shows nowhere either."""
    program = (
        "import sys, mlgym_lite; from pathlib import Path; from mlgym_lite.config.run_settings import RunSettings\n"
        "with mlgym_lite.Episode(mlgym_lite.load_task(sys.argv[1]), settings=RunSettings(output=Path(sys.argv[2]), "
        "isolation=sys.argv[3])) as e:\n"
        "    print(e.step(\"cat /proc/[0-9]*/environ | tr '\\\\0' '\\\\n'; env; cat /proc/[0-9]*/cmdline\").observation)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(make_task()), str(tmp_path / "run"), mechanism],
        env={**environment, "SECRET_KEY": SECRET},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "MLGYM_LITE_SEED" in done.stdout
    assert SECRET not in done.stdout


def test_command_lines_tell_no_host_paths(episode: Episode) -> None:
    """The command lines of all processes in the sandbox name no folder of the host."""
    text = episode.step("cat /proc/*/cmdline | tr '\\0' ' '").observation
    assert str(episode.run_directory.parent) not in text
    assert str(episode.task.folder) not in text
    assert "--bind" not in text


def test_no_further_descriptors(episode: Episode) -> None:
    """A command holds its input, its output and the control socket; no process of the sandbox holds a file of the host."""
    assert "/" not in run_python(
        episode,
        "for pid in filter(str.isdigit, os.listdir('/proc')):\n    try:\n        for fd in "
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


def test_a_folder_the_engine_holds_open_is_no_way_out(open_episode: OpenEpisode, tmp_path: Path) -> None:
    """Through no descriptor in the sandbox, opened again or walked up from, a folder of the host is reached."""
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(descriptor, True)
    program = """\
for process in filter(str.isdigit, os.listdir("/proc")):
    for number in tried(os.listdir, f"/proc/{process}/fd") if os.access(f"/proc/{process}/fd", os.R_OK) else ():
        for way in ("", "/secret", "/..", "/../secret"):
            got = tried(os.open, f"/proc/{process}/fd/{number}{way}", os.O_RDONLY | os.O_NONBLOCK)
            place = os.readlink(f"/proc/self/fd/{got}") if isinstance(got, int) else "/proc/"
            if os.path.isdir(f"/proc/self/fd/{got}") and not place.startswith("/proc/"):
                print(process, number, way, place)
"""
    try:
        assert run_python(open_episode(), program) == ""
    finally:
        os.close(descriptor)


# The user


def _users_of_sandboxes() -> set[tuple[str, int, bool]]:
    """Name, effective user and whether in groups, of every bubblewrap this process started and of what runs below it."""
    found: set[tuple[str, int, bool]] = set()
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error, OSError):
            if process.name() != "bwrap":
                continue
            for one in (process, *process.children(recursive=True)):
                groups = Path(f"/proc/{one.pid}/status").read_text(encoding="ascii").partition("Groups:")[2].partition("\n")[0]
                found |= {(one.name(), user, bool(groups.strip())) for user in one.uids()}
    return found


@pytest.mark.only_bubblewrap("it looks for bwrap's processes")
def test_no_process_of_a_sandbox_runs_as_root(open_episode: OpenEpisode) -> None:
    """On the host every process of agent and judge, bubblewrap's too, is an ordinary user's; a root engine's are in no group."""
    episode = open_episode(grader="sleep 0.5\n" + GRADER)
    episode.step("sleep 2030 &")
    seen = set()
    judging = threading.Thread(target=episode.validate)
    judging.start()
    while judging.is_alive():
        seen |= _users_of_sandboxes()
        judging.join(0.02)
    assert {name for name, _, _ in seen} >= {"bwrap", "bash", "sleep"}
    assert 0 not in {user for _, user, _ in seen}
    assert os.geteuid() != 0 or not any(in_groups for _, _, in_groups in seen)


def test_sandboxes_of_a_root_engine_have_users_of_their_own(open_episode: OpenEpisode) -> None:
    """A root engine runs each episode, and the judge of each grading, as a user that owns nothing else on the host."""
    if os.geteuid() != 0:
        pytest.skip("an ordinary user's engine has one user id for everything")
    first, second = open_episode("first"), open_episode("second")
    owners = [(episode.run_directory / "workspace").stat().st_uid for episode in (first, second)]
    first.validate()
    owners += [path.stat().st_uid for path in first.run_directory.glob("grading/*/verifier/reward.json")]
    assert len(set(owners)) == 3
    assert min(owners) > 1000


def test_a_set_user_id_file_of_the_agents_is_not_roots(episode: Episode) -> None:
    """A set-user-id program that an agent leaves belongs on the host to an ordinary user, and lies where others cannot go."""
    episode.step("cp /bin/bash shell; chmod 6777 shell; chown 0:0 shell; chown 1:1 shell")
    state = (episode.run_directory / "workspace" / "shell").stat()
    assert state.st_uid != 0
    assert state.st_gid != 0
    assert episode.run_directory.stat().st_mode & 0o077 == 0


def test_what_root_stages_does_not_show_on_the_host(open_episode: OpenEpisode) -> None:
    """What is put in place for a root engine's sandbox is seen neither in the host's mounts nor by another sandbox."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    first = open_episode("first")
    second = open_episode("second")
    assert Path("/proc/self/mounts").read_text(encoding="utf-8") == mounts
    stage = Path("/run/mlgym-lite/stage")
    assert not stage.exists() or list(stage.iterdir()) == []
    assert second.step("ls /run /run/mlgym-lite/stage 2>/dev/null; echo").observation == "\n"
    first.close()


# Arguments


@pytest.mark.parametrize("name", ["--bind / mnt", "new\nline", "\"q'$(id)", "\x1b[2J", "-", "--"])
def test_a_run_directorys_name_is_no_argument(open_episode: OpenEpisode, tmp_path: Path, name: str) -> None:
    """Whatever the run directory and the task's folder are called, the sandbox shows what it shows otherwise."""
    odd = tmp_path / name
    odd.mkdir(parents=True)
    episode = open_episode(chosen={"output": odd / "run"})
    assert episode.step("cat answer.txt; ls /mnt /host 2>/dev/null; ls | wc -l").observation == "0.5\n1\n"
    assert episode.submit().score == 0.5


def test_values_of_variables_are_no_arguments(open_episode: OpenEpisode) -> None:
    """A task's variable whose value looks like arguments of the sandbox, or like code, is only a value."""
    values = {
        "FIRST": "--bind",
        "SECOND": "-- /bin/sh",
        "THIRD": "$(touch /workspace/ran)`id`",
        "FOURTH": "a b\n--share-net\n--",
        "FIFTH": "() { :; }; echo ran",
    }
    table = "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items())
    episode = open_episode(toml=f"{TASK_TOML}\n[environment.env]\n{table}\n")
    found = run_python(
        episode,
        "print({name: os.environ[name] for name in names} == values, os.listdir(ROOT + '/workspace'))",
        names=list(values),
        values=values,
    )
    assert found == "True ['answer.txt']\n"


# Links for the setting up


LINKS = "bin lib lib64 data link .state pyvenv.cfg tmp etc home usr proc"


@pytest.mark.parametrize("root", ["", "/oldroot"])
def test_links_left_for_a_new_shell_write_nothing_on_the_host(episode: Episode, open_folder: Path, root: str) -> None:
    """Links an agent leaves where a sandbox is put up are not followed to the host when its shell or a judge is started."""
    before = set(Path("/").iterdir()), {*episode.run_directory.iterdir(), episode.run_directory / "result.json"}
    for top in ("workspace", "venv"):
        episode.step(
            f'cd "$MLGYM_LITE_ROOT/{top}" && rm -rf ./* .state; for n in {LINKS}; do ln -sfn {root}{open_folder} $n; done; ls -A'
        )
        episode.step("exit")
        assert "usable" in episode.step("echo usable").observation
    assert len(list((episode.run_directory / "workspace").iterdir())) == len(LINKS.split())
    episode.validate()
    episode.submit()
    assert list(open_folder.iterdir()) == []
    assert (set(Path("/").iterdir()), set(episode.run_directory.iterdir())) == before


@pytest.mark.parametrize("root", ["", "/oldroot"])
def test_links_left_for_a_fork_write_nothing_on_the_host(
    episode: Episode, environment: dict[str, str], tmp_path: Path, open_folder: Path, root: str
) -> None:
    """Links an agent leaves are copied as links to a fork, whose sandbox is put up without following them."""
    episode.step(
        f'for top in workspace venv; do cd "$MLGYM_LITE_ROOT/$top" && rm -rf ./* .state; for n in {LINKS}; do '
        f"ln -sfn {root}{open_folder} $n; done; done"
    )
    settings = RunSettings(output=tmp_path / "fork", isolation=episode.settings.isolation)
    with Episode.fork(episode.snapshot(), settings=settings, environment=environment) as fork:
        assert fork.step('readlink "$MLGYM_LITE_ROOT/workspace/link"').observation == f"{root}{open_folder}\n"
        fork.step("exit")
        fork.submit()
    assert list(open_folder.iterdir()) == []


@pytest.mark.only_bubblewrap("other mechanisms mount nothing")
def test_nothing_is_mounted_below_what_the_agent_writes(episode: Episode) -> None:
    """Below the agent's folders no mount lies, so that nothing an agent leaves there is a path of the setting up."""
    targets = [line.split()[4] for line in episode.step("cat /proc/self/mountinfo").observation.splitlines()]
    for place in ("/workspace", "/venv"):
        assert place in targets
        assert [target for target in targets if target.startswith(place + "/")] == []
    writable = [targets.index(place) for place in ("/workspace", "/venv")]
    assert min(writable) > max(targets.index(target) for target in targets if target.startswith(("/usr", "/opt", "/etc")))


def test_a_link_in_the_place_of_the_working_directory(episode: Episode) -> None:
    """A link to the host's root as working directory shows the sandbox's root, also in a fork."""
    episode.step("ln -s / root; ln -s /proc/1/root other; cd root")
    assert "tests" not in episode.step("ls").observation.split()
