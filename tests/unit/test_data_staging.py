"""Copying a task's data to a node's own disk: once, whole, by its user only, and never in the way of an episode."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlgym_lite.config.data_folder import DataTrees, trees_in, write_manifest
from mlgym_lite.config.places import Places, places
from mlgym_lite.episode.data_staging import stage_data, staging_folder


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Data as `prepare` puts it in place."""
    folder = tmp_path / "shared" / "mine"
    for name in ("agent", "judge"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.csv").write_text(name, encoding="utf-8")
    (folder / "judge").chmod(0o700)
    write_manifest(folder, None)
    return folder


class Node:
    """A node with a disk of its own."""

    def __init__(self, disk: Path) -> None:
        self.places = Places(cache=disk, data=disk, local_disk=disk)
        self.folder = staging_folder(disk)
        self.told: list[str] = []

    def stage(self, shared: Path) -> DataTrees:
        """What an episode on it reads."""
        return stage_data("mine", trees_in(shared), self.places, self.told.append)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A node whose disk is empty."""
    disk = tmp_path / "my disk"
    disk.mkdir()
    return Node(disk)


def content(data: DataTrees) -> tuple[str, str]:
    """What the two trees hold."""
    assert data.agent is not None and data.judge is not None
    return ((data.agent / "a.csv").read_text(encoding="utf-8"), (data.judge / "a.csv").read_text(encoding="utf-8"))


def test_it_is_copied_once(node: Node, shared: Path) -> None:
    """By the first of many at once; with the rights that it had."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: node.stage(shared), range(8)))
    assert len(set(map(repr, found))) == 1 and content(found[0]) == ("agent", "judge")
    assert found[0].judge is not None and node.folder in found[0].judge.parents
    assert found[0].judge.stat().st_mode & 0o777 == 0o700
    assert len(node.told) == 1 and "once for this node" in node.told[0]
    assert node.folder.stat().st_mode & 0o777 == (0o755 if os.geteuid() == 0 else 0o700)


def test_data_that_was_prepared_anew_is_copied_anew(node: Node, shared: Path) -> None:
    """An episode never reads what its data was before."""
    node.stage(shared)
    (shared / "agent" / "a.csv").write_text("other", encoding="utf-8")
    (shared / "manifest.json").unlink()
    write_manifest(shared, None)
    assert content(node.stage(shared)) == ("other", "judge") and len(node.told) == 2


def test_a_copy_that_lost_files_is_made_again(node: Node, shared: Path) -> None:
    """As those lose them who clean up temporary folders."""
    copy = node.stage(shared).agent
    assert copy is not None
    (copy / "a.csv").unlink()
    assert content(node.stage(shared)) == ("agent", "judge") and len(node.told) == 2


def test_without_a_disk_or_a_manifest_nothing_is_copied(node: Node, shared: Path, tmp_path: Path) -> None:
    """Small data that a task ships is read from there."""
    data = trees_in(shared)
    assert stage_data("mine", data, Places(cache=tmp_path, data=tmp_path), None) is data
    (shared / "manifest.json").unlink()
    assert node.stage(shared) == data and node.stage(tmp_path) == DataTrees(agent=None, judge=None) and not node.told


def test_a_disk_that_cannot_take_it_is_told(node: Node, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The episode reads the data from where it is."""
    monkeypatch.setattr("mlgym_lite.episode.data_staging._SPARE_BYTES", 1 << 60)
    assert node.stage(shared) == trees_in(shared)
    assert "MiB are free" in node.told[0] and str(shared) in node.told[0]
    missing = Node(node.folder / "nowhere" / "else")
    assert missing.stage(shared) == trees_in(shared) and "No such file" in missing.told[0]


def test_a_folder_of_somebody_else_is_not_trusted(node: Node, shared: Path, tmp_path: Path) -> None:
    """Neither a link that was put there nor a folder that others may write."""
    node.folder.symlink_to(tmp_path)
    assert node.stage(shared) == trees_in(shared)
    node.folder.unlink()
    node.folder.mkdir()
    node.folder.chmod(0o777)
    assert node.stage(shared) == trees_in(shared)
    assert all("is not this user's alone" in line for line in node.told) and len(node.told) == 2


def test_the_disk_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With variables, which a node sets."""
    monkeypatch.setenv("NODE_DISK", "/disk")
    known = {"HOME": "/home", "MLGYM_LITE_LOCAL_DISK": "$NODE_DISK/mine"}
    assert places(known).local_disk == Path("/disk/mine") and places({"HOME": "/home"}).local_disk is None
