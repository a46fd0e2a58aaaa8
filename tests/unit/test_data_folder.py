"""A task's data: where it is looked for, and what is told when it is missing or was changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mlgym_lite.config.data_folder import find_data, full_folder, is_ready, read_manifest, write_manifest
from mlgym_lite.config.places import Places
from mlgym_lite.config.task_file import Task, load_task
from mlgym_lite.episode.data_preparation import make_mini_data, prepare_full_data
from mlgym_lite.errors import DataError, TaskError

DATA = """\
schema_version = "1.4"
artifacts = ["answer.txt"]
[metadata.mlgym_lite]
metric = "Score"
direction = "maximize"
[metadata.mlgym_lite.data]
mini = "mini"
prepare = "prepare.py"
[metadata.mlgym_lite.data.source]
name = "train.csv"
sha256 = "{sha256}"
instructions = "Download it from https://example.org."
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Places of a user who has prepared nothing."""
    return Places(cache=tmp_path / "cache", data=tmp_path / "data")


@pytest.fixture
def task(make_task: Callable[..., Path]) -> Task:
    """A task with data."""
    files = {"mini/agent/train.csv": "1\n", "mini/judge/labels.csv": "2\n", "prepare.py": ""}
    return load_task(make_task("with_data", toml=DATA.format(sha256=hashlib.sha256(b"x").hexdigest()), files=files))


@pytest.fixture
def prepared(task: Task, places: Places) -> Path:
    """The task's full data, put in place."""
    folder = full_folder(task, places)
    for name in ("agent/a.csv", "judge/b.csv"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(name, encoding="utf-8")
    write_manifest(folder, None)
    return folder


def test_a_task_without_data_is_always_ready(make_task: Callable[..., Path], places: Places) -> None:
    """Without a data table there is nothing to find."""
    task = load_task(make_task())
    assert is_ready(task, "full", places) and is_ready(task, "mini", places)
    trees = find_data(task, "full", places)
    assert (trees.agent, trees.judge) == (None, None)


def test_the_mini_variant_ships_with_the_task(task: Task, places: Places) -> None:
    """Mini data lies in the task's folder, what the agent sees apart from what the judge sees."""
    trees = find_data(task, "mini", places)
    assert (trees.agent, trees.judge) == (task.folder / "mini" / "agent", task.folder / "mini" / "judge")


def test_missing_data_is_told_with_the_command_that_gets_it(task: Task, places: Places) -> None:
    """The error names the folder, the command with the file it needs, where that file is from, and the other variant."""
    assert not is_ready(task, "full", places)
    with pytest.raises(DataError) as caught:
        find_data(task, "full", places)
    for words in (
        str(places.data / "with_data"), f"mlgym-lite prepare {task.reference} --source train.csv", "--data", "MLGYM_LITE_DATA",
        "--variant mini", "https://example.org",
    ):  # fmt: skip
        assert words in str(caught.value)


def test_prepared_data_is_found(task: Task, places: Places, prepared: Path) -> None:
    """Data with a manifest is ready, in its two trees."""
    assert is_ready(task, "full", places)
    trees = find_data(task, "full", places)
    assert (trees.agent, trees.judge) == (prepared / "agent", prepared / "judge")


def test_data_without_its_manifest_is_not_ready(task: Task, places: Places, prepared: Path) -> None:
    """An interrupted preparation does not count as data."""
    (prepared / "manifest.json").unlink()
    assert not is_ready(task, "full", places)
    with pytest.raises(DataError, match="its full data is not in"):
        find_data(task, "full", places)


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.write_text("longer than before")])
def test_data_that_was_changed_is_refused(task: Task, places: Places, prepared: Path, change: Callable[[Path], None]) -> None:
    """A file that is gone or has another size is named."""
    change(prepared / "judge" / "b.csv")
    with pytest.raises(DataError, match=r"judge/b\.csv: is not what was prepared"):
        find_data(task, "full", places)


@pytest.mark.parametrize("text", ["", "[]", "{}", "\x00", '{"files": null}'])
def test_a_manifest_that_cannot_be_read_is_told(task: Task, places: Places, prepared: Path, text: str) -> None:
    """A damaged manifest is a DataError with its path and what to do."""
    (prepared / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"manifest\.json: cannot be read .* prepare"):
        find_data(task, "full", places)


def test_the_manifest_holds_every_file_with_its_checksum(prepared: Path) -> None:
    """Sizes and sha256 of all files, without the manifest itself."""
    assert read_manifest(prepared) == {
        name: {"bytes": len(name), "sha256": hashlib.sha256(name.encode()).hexdigest()} for name in ("agent/a.csv", "judge/b.csv")
    }
    assert json.loads((prepared / "manifest.json").read_text(encoding="utf-8"))["source"] is None
    assert not list(prepared.glob("*.part"))


MAKING = """\
import pathlib, sys
out = pathlib.Path(sys.argv[1])
for tree in ("agent", "judge"):
    (out / tree).mkdir()
    (out / tree / "rows").write_text(tree)
"""
MADE = DATA.partition("prepare =")[0].replace('mini = "mini"', 'mini_program = "make_mini.py"')


def test_data_of_another_program_is_refused_and_made_anew(make_task: Callable[..., Path], places: Places) -> None:
    """Of one that has changed since, or of a task of the same name."""
    toml = DATA.partition("prepare =")[0].replace('mini = "mini"', 'prepare = "prepare.py"')
    folder = make_task("makes_data", toml=toml, files={"prepare.py": MAKING})
    task = load_task(folder)
    told: list[str] = []
    for text, makes in ((MAKING, True), (MAKING, False), (f"{MAKING}# changed\n", True)):
        (folder / "prepare.py").write_text(text)
        assert is_ready(task, "full", places) is not makes
        told.clear()
        prepare_full_data(task, places, os.environ, None, told.append)
        assert ("is complete" in told[-1]) is not makes, told
    (full_folder(task, places) / "manifest.json").write_text("{")
    assert not is_ready(task, "full", places)
    prepare_full_data(task, places, os.environ, None, told.append)
    assert is_ready(task, "full", places)
    (folder / "prepare.py").write_text(MAKING)
    with pytest.raises(DataError, match=r"was made by another prepare\.py than this task's"):
        find_data(task, "full", places)


def test_what_is_no_data_is_refused(make_task: Callable[..., Path], places: Places) -> None:
    """A program that makes other folders than the two trees has a slip of the pen, and must not count as done."""
    toml = DATA.partition("prepare =")[0].replace('mini = "mini"', 'prepare = "prepare.py"')
    task = load_task(make_task("makes_data", toml=toml, files={"prepare.py": MAKING.replace('"judge")', '"jugde")')}))
    with pytest.raises(DataError, match=r"prepare\.py made 'agent', 'jugde'; expected the folders agent/ and judge/"):
        prepare_full_data(task, places, os.environ, None, print)
    assert not is_ready(task, "full", places)


def test_mini_data_can_be_made_by_the_task_once_for_a_host(make_task: Callable[..., Path], places: Places) -> None:
    """It is kept in the cache, made anew only when its program changes."""
    task = load_task(make_task("makes_data", toml=MADE, files={"make_mini.py": MAKING}))
    assert is_ready(task, "mini", places)
    with pytest.raises(DataError, match=f"mlgym-lite prepare {task.folder}"):
        find_data(task, "mini", places)
    told: list[str] = []
    make_mini_data(task, places, told.append)
    make_mini_data(task, places, told.append)
    assert told == ["making the mini data of makes_data (once for this host)"]
    trees = find_data(task, "mini", places)
    assert trees.agent is not None and (trees.agent / "rows").read_text(encoding="utf-8") == "agent"
    (task.folder / "make_mini.py").write_text(MAKING + "\n", encoding="utf-8")
    make_mini_data(load_task(task.folder), places, told.append)
    assert len(told) == 2


def test_a_program_for_mini_data_that_fails_is_told(make_task: Callable[..., Path], places: Places) -> None:
    """With its words, and nothing half made is left."""
    task = load_task(make_task("makes_data", toml=MADE, files={"make_mini.py": "raise SystemExit('no rows')"}))
    with pytest.raises(DataError, match=r"make_mini\.py failed with exit status 1:\nno rows"):
        make_mini_data(task, places, None)
    assert [path.suffix for path in (places.cache / "mini").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('mini = "mini"\nmini_program = "prepare.py"', "has mini and mini_program"),
        ('download = { repositories = ["a/b"], megabytes = 1 }', "data.download: goes with `prepare`"),
        ('prepare_requirements = "prepare.py"', "data.prepare_requirements: goes with `prepare`"),
    ],
)
def test_keys_that_do_not_go_together_are_told(make_task: Callable[..., Path], lines: str, problem: str) -> None:
    """With the key and what is missing or too much."""
    toml = MADE.partition("mini_program")[0] + lines + "\n"
    with pytest.raises(TaskError) as raised:
        load_task(make_task("odd", toml=toml, files={"mini/agent/x": "", "prepare.py": ""}))
    assert problem in str(raised.value)
