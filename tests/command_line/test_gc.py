"""`gc`: what killed runs left is listed, and removed when asked for; live runs, records and what is not ours stay."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from program_harness import DEADLINE_SECONDS, Program, wait_until
from several_steps import make_steps

Make = Callable[..., Path]
Write = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Variables that name a cache and a folder for temporary files of this test's own."""
    for name in ("cache", "temporary"):
        (tmp_path / name).mkdir()
    return {"MLGYM_LITE_CACHE": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "temporary")}


@pytest.fixture
def listed(mlgym: Program, places: dict[str, str], tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """What `gc --json` tells of this test's folder."""

    def run(*arguments: str | Path) -> list[dict[str, Any]]:
        ended = mlgym("gc", "--json", *arguments, **places)
        assert ended.status == 0, ended.err
        return [entry for entry in json.loads(ended.out) if entry["path"].startswith(str(tmp_path))]

    return run


@pytest.fixture
def held() -> Iterator[Callable[[Path], None]]:
    """Holds the mark on files or folders for the time of a test."""
    descriptors = []

    def hold(path: Path) -> None:
        descriptors.append(os.open(path, os.O_RDONLY))
        fcntl.flock(descriptors[-1], fcntl.LOCK_EX)

    yield hold
    for descriptor in descriptors:
        os.close(descriptor)


def test_with_nothing_left_it_says_so(mlgym: Program, places: dict[str, str], working_folder: Path) -> None:
    """Where nothing is left, also without a folder of runs, it ends well."""
    ended = mlgym("gc", working_folder / "nowhere", **places)
    assert ended.status == 0
    assert not [line for line in ended.out.splitlines()[:-1] if str(working_folder) in line]


def test_it_only_lists_until_it_is_told_to_remove(
    mlgym: Program, listed: Callable[..., list[dict[str, Any]]], places: dict[str, str], tmp_path: Path
) -> None:
    """Without --yes everything stays and the way to remove it is told; with --yes it goes; then there is nothing."""
    part = tmp_path / "cache" / "environments" / "abc.part-0a_b1c2d"
    temporary = tmp_path / "temporary" / f"mlgym-lite-{os.getuid()}-baseline-xyz"
    lock = tmp_path / "cache" / "environments" / "abc.lock"
    for folder in (part, temporary):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_bytes(b"x" * 3_000_000)
        (folder / "deep").chmod(0)
    for file in (temporary / "lock", lock):
        file.touch()
    ended = mlgym("gc", **places)
    assert ended.status == 0
    assert "mlgym-lite gc --yes" in ended.out
    assert "2.9 MiB  half-made folder" in ended.out
    assert part.exists() and temporary.exists() and lock.exists()
    entries = {entry["path"]: entry for entry in listed()}
    assert set(entries) == {str(part), str(temporary), str(lock)}
    assert not any(entry["removed"] for entry in entries.values())
    assert all(entry["removed"] for entry in listed("--yes"))
    assert not part.exists() and not temporary.exists() and not lock.exists()
    assert listed() == []


def test_what_is_in_use_is_not_even_listed(
    listed: Callable[..., list[dict[str, Any]]], held: Callable[[Path], None], tmp_path: Path
) -> None:
    """A folder, a lock and a temporary folder whose mark a process holds are left alone."""
    part = tmp_path / "cache" / "toolkits" / "abc.part-0a_b1c2d"
    lock = tmp_path / "cache" / "environments" / "abc.lock"
    temporary = tmp_path / "temporary" / f"mlgym-lite-{os.getuid()}-landlock-xyz"
    for folder in (part, lock.parent, temporary):
        folder.mkdir(parents=True)
    for file in (lock, temporary / "lock"):
        file.touch()
    for path in (part, lock, temporary / "lock"):
        held(path)
    assert listed("--yes") == []
    assert part.exists() and lock.exists() and temporary.exists()


def test_what_is_not_ours_is_not_touched(listed: Callable[..., list[dict[str, Any]]], tmp_path: Path) -> None:
    """Other names, links under our names, another user's things, and a temporary folder without its mark stay."""
    environments, temporary = tmp_path / "cache" / "environments", tmp_path / "temporary"
    victim = tmp_path / "victim"
    for folder in (environments / "abc", environments / "abc.part", victim, temporary / "mlgym-lite-test-x"):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    (environments / "abc.part-0a_b1c2d").symlink_to(victim)
    (environments / "abc.lock").symlink_to(victim / "file")
    (temporary / f"mlgym-lite-{os.getuid()}-baseline-link").symlink_to(victim)
    unmarked = temporary / f"mlgym-lite-{os.getuid()}-baseline-new"
    unmarked.mkdir()
    if os.geteuid() == 0:
        other = environments / "abc.part-othersxx"
        other.mkdir()
        os.chown(other, 12345, 12345)
    inside = environments / "abd.part-0a_b1c2d"
    inside.mkdir()
    (inside / "link").symlink_to(victim)
    entries = {entry["path"]: entry for entry in listed("--yes")}
    assert set(entries) == {str(unmarked), str(inside)}
    assert not entries[str(unmarked)]["removable"] and unmarked.exists()
    assert not inside.exists()
    assert (victim / "file").exists()
    assert (environments / "abc" / "file").exists()


@pytest.mark.kernel
def test_a_killed_run_keeps_its_record(
    started: Start,
    mlgym: Program,
    listed: Callable[..., list[dict[str, Any]]],
    make_task: Make,
    actions: Write,
    working_folder: Path,
) -> None:
    """While a run goes on it is not listed; when it was killed, its record is kept and what the engine needed goes."""
    text = json.dumps("mkdir /venv/d; touch /venv/d/f; chmod 000 /venv/d; echo first") + "\n" + json.dumps("sleep 60") + "\n"
    runs = working_folder / "runs"
    process = started("run", make_task(), "--actions", actions(text), "--output", runs / "one")
    wait_until(
        lambda: (runs / "one" / "trajectory.jsonl").exists() and (runs / "one" / "trajectory.jsonl").stat().st_size, "step 1"
    )
    assert [entry for entry in listed("--yes") if entry["kind"] == "killed run"] == []
    assert (runs / "one" / ".state" / "venv").exists()
    process.kill()
    process.communicate(timeout=DEADLINE_SECONDS)
    (entry,) = [entry for entry in listed("--yes") if entry["kind"] == "killed run"]
    assert entry["path"] == str(runs / "one")
    assert entry["removed"]
    assert "its record is kept" in entry["detail"]
    assert sorted(path.name for path in (runs / "one" / ".state").iterdir()) == ["engine.lock", "shell.json"]
    assert json.loads((runs / "one" / "trajectory.jsonl").read_text(encoding="utf-8"))["observation"] == "first\n"
    assert (runs / "one" / "workspace" / "answer.txt").exists()
    assert [entry for entry in listed() if entry["kind"] == "killed run"] == []


@pytest.mark.kernel
def test_a_killed_step_of_several_is_found(
    started: Start, listed: Callable[..., list[dict[str, Any]]], actions: Write, tmp_path: Path, working_folder: Path
) -> None:
    """One folder deeper than a run of one step."""
    texts = ["echo 3 > idea.txt; submit", "echo first", "sleep 60"]
    runs = working_folder / "runs"
    file = actions("".join(f"{json.dumps(text)}\n" for text in texts))
    process = started("run", make_steps(tmp_path / "three"), "--actions", file, "--output", runs / "one")
    trajectory = runs / "one" / "work" / "trajectory.jsonl"
    wait_until(lambda: trajectory.exists() and trajectory.stat().st_size, "step 1")
    process.kill()
    process.communicate(timeout=DEADLINE_SECONDS)
    (entry,) = [entry for entry in listed("--yes") if entry["kind"] == "killed run"]
    assert entry["path"] == str(runs / "one" / "work") and entry["removed"]


@pytest.mark.kernel
def test_a_finished_run_is_left_alone(
    mlgym: Program, listed: Callable[..., list[dict[str, Any]]], make_task: Make, working_folder: Path
) -> None:
    """A run with a result is none of its business."""
    assert mlgym("run", make_task(), "--agent", "baseline", "-q", "--output", working_folder / "runs" / "one").status == 0
    assert [entry for entry in listed("--yes") if entry["kind"] == "killed run"] == []
    assert (working_folder / "runs" / "one" / ".state" / "venv").exists()


def test_control_groups_of_the_dead_go(mlgym: Program, places: dict[str, str]) -> None:
    """An empty control group that is named after an engine that is gone is removed; a live one's stays."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    folder = Path("/sys/fs/cgroup/pids")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        pytest.skip("no version 1 control group is writable here")
    dead, alive = folder / f"mlgym-lite-{gone.pid}-1", folder / f"mlgym-lite-{os.getpid()}-999"
    dead.mkdir()
    alive.mkdir()
    try:
        entries = {entry["path"]: entry for entry in json.loads(mlgym("gc", "--json", "--yes", **places).out)}
        assert entries[str(dead)]["removed"]
        assert str(alive) not in entries
        assert not dead.exists() and alive.exists()
    finally:
        for path in (dead, alive):
            if path.exists():
                path.rmdir()


def test_two_at_once(started: Start, places: dict[str, str], tmp_path: Path) -> None:
    """Two of them at the same time remove everything and neither fails."""
    for number in range(30):
        folder = tmp_path / "cache" / "environments" / f"k{number}.part-0a_b1c2d"
        for inner in range(20):
            (folder / f"d{inner}").mkdir(parents=True)
            (folder / f"d{inner}" / "f").touch()
    both = [started("gc", "--yes", **places) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=DEADLINE_SECONDS)
        assert (process.returncode, err) == (0, "")
    assert list((tmp_path / "cache" / "environments").iterdir()) == []
