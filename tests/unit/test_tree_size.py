"""Counting what folders hold: what takes room, once, whatever the agent made of it."""

from __future__ import annotations

import os
from pathlib import Path

from mlgym_lite.isolation.tree_size import MOST_DEPTH, TreeSize, nameless_bytes, tree_size


def size_of(*folders: Path) -> TreeSize:
    """The size of folders named by their paths."""
    descriptors = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in folders]
    try:
        return tree_size(descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def test_files_folders_and_links_are_counted(tmp_path: Path) -> None:
    """Each entry is one, links included, and what a link leads to is not."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x" * 100_000)
    (tmp_path / "l").symlink_to("/usr")
    (tmp_path / os.fsdecode(b"\xff\n")).write_bytes(b"")
    size = size_of(tmp_path)
    assert size.files == 4
    assert 100_000 <= size.bytes < 200_000
    assert not size.is_too_deep


def test_a_file_of_several_names_counts_once(tmp_path: Path) -> None:
    """Hard links, also between two folders, are one file."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "f").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "one" / "f", tmp_path / "two" / "f")
    assert size_of(tmp_path / "one", tmp_path / "two").files == 1


def test_a_folder_without_rights_is_counted_and_keeps_them(tmp_path: Path) -> None:
    """chmod 000 hides nothing, and stays."""
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "f").touch()
    (tmp_path / "d" / "e").chmod(0)
    (tmp_path / "d").chmod(0)
    assert size_of(tmp_path).files == 3
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0
    (tmp_path / "d").chmod(0o700)
    assert (tmp_path / "d" / "e").stat().st_mode & 0o777 == 0
    (tmp_path / "d" / "e").chmod(0o700)


def test_great_depth_is_told(tmp_path: Path) -> None:
    """Folders too deep in one another are not looked into and make the tree too deep."""
    start = Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(MOST_DEPTH):
            Path("d").mkdir()
            os.chdir("d")
        assert not size_of(tmp_path).is_too_deep
        Path("d").mkdir()
        assert size_of(tmp_path).is_too_deep
    finally:
        os.chdir(start)


def test_files_without_a_name_are_found_in_processes(tmp_path: Path) -> None:
    """What a process holds open after its last name is gone is counted once for all its descriptors."""
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with (tmp_path / "f").open("wb") as file:
        file.write(b"x" * 100_000)
        file.flush()
        again = os.dup(file.fileno())
        assert nameless_bytes([folder], [os.getpid()]) == 0
        (tmp_path / "f").unlink()
        assert 100_000 <= nameless_bytes([folder], [os.getpid()]) < 200_000
        os.close(again)
    assert nameless_bytes([folder], [os.getpid()]) == 0
    os.close(folder)
