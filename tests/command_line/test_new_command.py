"""`mlgym-lite new`: the tasks it makes work at once, and it never touches what is there."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
from program_harness import Program


def names_in(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.kernel
@pytest.mark.parametrize("kind", ["table", "player"])
def test_a_new_task_passes_its_check(mlgym: Program, working_folder: Path, kind: str) -> None:
    """What is made passes `check`, every cheat included, and the commands that are named next run."""
    made = mlgym("new", "mine", "--kind", kind)
    assert (made.status, made.out) == (0, "")
    next_commands = [line.strip() for line in made.err.splitlines() if line.startswith("  ")]
    assert len(next_commands) == 3
    checked, run, _ = (mlgym(*shlex.split(line)[1:]) for line in next_commands)
    assert checked.status == 0 and "7 checks passed" in checked.err, checked.err
    assert run.status == 0, run.err


@pytest.mark.parametrize("kind", ["table", "player"])
def test_what_is_made_is_told_as_json(mlgym: Program, working_folder: Path, kind: str) -> None:
    """--json names the folder, its files and the next commands; nothing else is left in the place."""
    (working_folder / "a place").mkdir()
    ended = mlgym("new", "mine", "--in", "a place", "--kind", kind, "--json")
    assert (ended.status, ended.err) == (0, "")
    content = json.loads(ended.out)
    folder = working_folder / "a place" / "mine"
    assert (content["task"], content["kind"], content["folder"]) == ("mine", kind, str(folder))
    assert content["next"][0] == "mlgym-lite check 'a place/mine'"
    assert names_in(folder.parent) == ["mine"]
    files = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(content["files"])
    for name in files:
        text = (folder / name).read_text(encoding="utf-8")
        assert "TASK_NAME" not in text and os.access(folder / name, os.X_OK) == name.endswith(".sh")
    assert 'name = "local/mine"' in (folder / "task.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["", "Mine", "my-task", "1st", "../up", "a/b", "with space", "ü", "a" * 51, "_x", "new\nline"])
def test_odd_names_are_refused(mlgym: Program, working_folder: Path, name: str) -> None:
    """A name that is no plain word is refused with what is expected, and nothing is made."""
    mlgym("new", name).told_one_error(3, "is no name for a task", "small letters, digits and underscores")
    assert names_in(working_folder) == []


def test_a_better_name_is_offered(mlgym: Program) -> None:
    """The nearest name that would do is told."""
    mlgym("new", "My Task-2").told_one_error(3, "for example my_task")


def test_a_shipped_task_s_name_is_refused(mlgym: Program) -> None:
    """Two tasks of one name would be mixed up."""
    mlgym("new", "house_price").told_one_error(3, "shipped task")


def test_what_is_there_is_left_alone(mlgym: Program, working_folder: Path) -> None:
    """An existing file, folder or dangling link of the name is neither changed nor filled."""
    (working_folder / "folder").mkdir()
    (working_folder / "file").write_text("kept", encoding="utf-8")
    (working_folder / "link").symlink_to("nowhere")
    for name in ("folder", "file", "link"):
        mlgym("new", name).told_one_error(7, name, "is there already")
    assert names_in(working_folder) == ["file", "folder", "link"]
    assert names_in(working_folder / "folder") == [] and (working_folder / "file").read_text(encoding="utf-8") == "kept"


def test_a_place_that_cannot_be_used_is_told(mlgym: Program, working_folder: Path) -> None:
    """A missing folder, a file and a file system that takes nothing each end with one error."""
    (working_folder / "file").write_text("", encoding="utf-8")
    for place in ("nowhere", "file"):
        mlgym("new", "mine", "--in", place).told_one_error(7, f"{place}: no such folder")
    mlgym("new", "mine", "--in", "/proc").told_one_error(7, "/proc/mine: cannot be made")


def test_an_unknown_kind_is_wrong_usage(mlgym: Program) -> None:
    """The kinds are told."""
    mlgym("new", "mine", "--kind", "chair").told_usage("table", "player")
