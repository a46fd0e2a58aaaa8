"""Each limit, reached for real: under the host's control groups, and under the watching thread that stands in for them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny_task import TASK_TOML

import mlgym_lite
from mlgym_lite import Episode
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.isolation import bubblewrap, mechanisms
from mlgym_lite.isolation.limits import choose_limits
from mlgym_lite.isolation.watchdog import Watchdog

pytestmark = pytest.mark.kernel

OpenEpisode = Callable[..., Episode]
TOML = TASK_TOML.replace("max_steps = 20", "max_steps = 200")
WAIT_SECONDS = 20.0


@pytest.fixture(params=["the host's", "watchdog"])
def limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of the mechanism that keeps limits in this test."""
    if request.param == "watchdog":
        monkeypatch.setattr(bubblewrap, "choose_limits", Watchdog)
    elif choose_limits().name == "watchdog":
        pytest.skip("no control group is writable here; the watchdog is tested beside")
    mechanisms.forget_mechanisms()
    yield bubblewrap.choose_limits().name
    mechanisms.forget_mechanisms()


@pytest.fixture
def open_episode(
    limits: str, make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path
) -> Iterator[OpenEpisode]:
    """Opens an episode with the tiny task's 64 MiB of storage, and further lines of a sandbox profile."""
    with contextlib.ExitStack() as stack:

        def open_one(profile: str = "", toml: str = TOML) -> Episode:
            (tmp_path / "profile.toml").write_text(profile, encoding="utf-8")
            settings = RunSettings(output=tmp_path / "run", profile=str(tmp_path / "profile.toml"))
            task = mlgym_lite.load_task(make_task(toml=toml))
            return stack.enter_context(Episode(task, settings=settings, environment=environment))

        yield open_one


@pytest.fixture
def episode(open_episode: OpenEpisode, limits: str) -> Episode:
    """An open episode whose limits are kept by the mechanism under test."""
    opened = open_episode()
    kept_by = json.loads((opened.run_directory / "run.json").read_text(encoding="utf-8"))["limits"]["mechanism"]
    assert kept_by == limits
    return opened


def held(episode: Episode) -> int:
    """How many MiB the workspace's blocks take on the disk, hidden folders included."""
    return sum(path.lstat().st_blocks * 512 for path in (episode.run_directory / "workspace").rglob("*")) >> 20


# What is stored


def test_a_command_that_stores_too_much_is_stopped_and_told(episode: Episode) -> None:
    """The agent is told what it holds and what it may hold, and its shell goes on with its variables."""
    episode.step("kept=5")
    step = episode.step("for i in $(seq 200); do head -c 10M /dev/zero > big$i; sleep 0.01; done; sleep 20")
    assert "[Stopped: /workspace and /venv hold" in step.observation
    assert "the limit is 64 MiB. Remove files" in step.observation
    assert "longer than allowed" not in step.observation
    assert step.seconds < 10
    assert held(episode) < 1000
    kept = "" if "a new one is running" in step.observation else "5"  # on a busy machine the shell may have to go too
    step = episode.step("echo $kept")
    assert step.observation.startswith(f"{kept}\n[/workspace and /venv hold")
    assert "Stopped" not in step.observation


def test_an_agent_over_its_limit_can_remove_files_but_not_add(episode: Episode) -> None:
    """Over the limit a command that makes things grow is stopped, one that removes runs to its end, and then all is well."""
    episode.step("for i in $(seq 8); do head -c 10M /dev/zero > big$i; done")
    before = held(episode)
    step = episode.step("head -c 20M /dev/zero > more; sleep 20")
    assert "Stopped" in step.observation
    assert step.seconds < 10
    step = episode.step("rm big* more; sleep 0.5; echo removed")
    assert step.observation == "removed\n"
    assert before > held(episode)
    assert episode.step("head -c 10M /dev/zero > fits; echo written").observation == "written\n"


@pytest.mark.parametrize(
    "command",
    [
        "mkdir d; cd d; head -c 40M /dev/zero > a; cd ..; chmod 000 d; head -c 50M /dev/zero > b",
        "head -c 40M /dev/zero > /venv/a; head -c 50M /dev/zero > b",
        "exec 7> hidden; rm hidden; head -c 50M /dev/zero >&7; head -c 50M /dev/zero > b",
        'n=$\'line\\nbreak\\xff\'; mkdir "$n"; for i in $(seq 10); do head -c 10M /dev/zero > "$n/$i"; done',
        "for i in $(seq 130); do mkdir d; cd d; done",
    ],
    ids=["unreadable", "environment", "nameless", "any-name", "deep"],
)
def test_nothing_is_hidden_from_the_count(episode: Episode, command: str) -> None:
    """Folders without rights, /venv, files without a name, odd names and great depth are seen."""
    step = episode.step(f"{command}; sleep 20")
    assert "[Stopped: /workspace and /venv hold" in step.observation
    assert step.seconds < 10


def test_rights_are_as_they_were_after_the_count(episode: Episode) -> None:
    """Looking into a folder that denies reading leaves its rights as the agent set them."""
    assert episode.step("mkdir d; touch d/f; chmod 010 d; sleep 1; stat -c %a d").observation == "10\n"


def test_what_takes_no_room_does_not_count(episode: Episode) -> None:
    """Sparse files, links to large files elsewhere, and further names of one file are no storage."""
    command = "truncate -s 60M sparse{1..5}; head -c 20M /dev/zero > real; ln real a; ln real b; ln real c; ln real d"
    step = episode.step(f"{command}; ln -s /usr usr; ln -s / root; sleep 1; echo reached")
    assert step.observation == "reached\n"


def test_the_number_of_files_is_limited(open_episode: OpenEpisode) -> None:
    """Empty files are limited by their number."""
    step = open_episode("storage_files = 2000").step("for i in $(seq 100000); do : > f$i; done; sleep 20")
    assert "[Stopped: /workspace and /venv hold" in step.observation
    assert "files, the limit is 2000" in step.observation
    assert step.seconds < 10


def test_a_background_job_that_goes_on_storing_is_ended(episode: Episode) -> None:
    """A job that an earlier command left is killed when it makes the folders grow over the limit, also between steps."""
    episode.step("sleep 2001 & (trap '' INT; for ((i=0;;i++)); do head -c 3M /dev/zero > f$i; sleep 0.05; done) &")
    deadline, pause, sizes = time.monotonic() + WAIT_SECONDS, threading.Event(), [-1, 0]
    while sizes[-1] < 60 or sizes[-1] != sizes[-2]:
        assert time.monotonic() < deadline, sizes
        pause.wait(1.5)
        sizes.append(held(episode))
    step = episode.step("jobs -r | wc -l")
    assert "Background jobs that made them grow were ended" in step.observation
    assert episode.step("rm f*; echo usable").observation == "usable\n"


def test_a_shell_that_ignores_its_end_is_ended(open_episode: OpenEpisode) -> None:
    """A loop in the shell itself that heeds no interrupt is ended with its shell, and a new one is there."""
    episode = open_episode("storage_files = 3000")
    step = episode.step("trap '' INT; for ((i=0;;i++)); do : > f$i; done")
    assert "Stopped" in step.observation
    assert episode.step("find /workspace -mindepth 1 -delete; echo usable").observation.startswith("usable\n")


def test_many_files_in_memory_are_limited_where_no_group_counts_them(open_episode: OpenEpisode, limits: str) -> None:
    """Empty files in /tmp cost the kernel memory: a control group counts it, the watchdog counts the files."""
    if limits != "watchdog":
        pytest.skip("the control group charges the kernel's memory for them")
    step = open_episode("storage_files = 2000").step("cd /tmp; for ((i=0;;i++)); do : > f$i; done")
    assert "[Stopped: /tmp, /dev/shm and the home folder hold" in step.observation


def test_files_in_memory_count_as_memory(open_episode: OpenEpisode, limits: str) -> None:
    """What lies in /tmp is added to what processes use."""
    toml = TOML.replace("memory_mb = 512", "memory_mb = 160")
    step = open_episode(toml=toml).step(
        "head -c 60M /dev/zero > /tmp/a; python3 -c 'import time; a = bytearray(120 << 20); time.sleep(3); print(\"alive\")'"
    )
    assert "alive" not in step.observation
    assert "Killed for memory" in step.observation


# What is printed


def test_the_outputs_of_a_run_are_bounded_together(open_episode: OpenEpisode) -> None:
    """Beyond output_mb no more output is kept in files, the agent is shown as much as ever, and the run goes on."""
    episode = open_episode("output_mb = 1")
    for _ in range(3):
        step = episode.step("head -c 600000 /dev/zero | tr '\\0' x")
        assert step.observation.count("x") >= 29_000
    kept = sum(path.stat().st_size for path in (episode.run_directory / "outputs").iterdir())
    assert 600_000 < kept <= 1 << 20
    assert "(its first 0 bytes)" in step.observation
    assert episode.step("echo on").observation == "on\n"


# Memory is told apart


def test_another_kill_is_not_called_memory(episode: Episode) -> None:
    """A process that the agent itself kills with SIGKILL is no memory kill."""
    step = episode.step("sleep 60 & kill -9 $!; wait $!; python3 -c 'import os; os.kill(os.getpid(), 9)'")
    assert step.exit_status == 137
    assert "memory" not in step.observation


def test_open_files_are_limited(open_episode: OpenEpisode) -> None:
    """A process opens no more files than the profile says."""
    step = open_episode("open_files = 300").step(
        "python3 -c 'import os\nn = 0\ntry:\n  while True: os.dup(0); n += 1\nexcept OSError: print(250 < n < 300)'"
    )
    assert step.observation == "True\n"


def test_libraries_are_told_how_many_cpus_there_are(open_episode: OpenEpisode) -> None:
    """Numerical libraries start as many threads as the episode has CPUs, rounded up, and the agent may say otherwise."""
    episode = open_episode(toml=TOML.replace("memory_mb = 512", "memory_mb = 512\ncpus = 0.5"))
    assert episode.step("echo $OMP_NUM_THREADS $OMP_WAIT_POLICY").observation == "1 passive\n"
    assert episode.step("export OMP_NUM_THREADS=3; echo $OMP_NUM_THREADS").observation == "3\n"


def test_without_a_limit_of_cpus_nothing_is_said(episode: Episode) -> None:
    """A task that names no CPUs leaves the number of threads to the libraries."""
    assert episode.step("echo ${OMP_NUM_THREADS-unset}").observation == "unset\n"
