"""Files are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlgym_lite.whole_files import whole_file, write_whole


def test_what_was_there_stays_until_the_new_is_whole(tmp_path: Path) -> None:
    """Where writing fails, the old content stays and nothing lies beside it."""
    path = tmp_path / "a file"
    write_whole(path, "old é\n")
    with pytest.raises(KeyboardInterrupt), whole_file(path, "w", encoding="utf-8") as file:
        file.write("new")
        assert path.read_text(encoding="utf-8") == "old é\n"
        assert sorted(one.name for one in tmp_path.iterdir()) == [f".a file.{os.getpid()}.part", "a file"]
        raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == "old é\n" and [*tmp_path.iterdir()] == [path]
    write_whole(path, b"\xff")
    assert path.read_bytes() == b"\xff" and [*tmp_path.iterdir()] == [path]


def test_a_killed_process_of_the_same_number_is_no_hindrance(tmp_path: Path) -> None:
    """What it left is written over; a link that lies in wait there is not followed."""
    path, aside = tmp_path / "file", tmp_path / f".file.{os.getpid()}.part"
    aside.write_text("much longer than what is written now")
    write_whole(path, "new")
    assert path.read_text() == "new"
    (tmp_path / "elsewhere").write_text("kept")
    aside.symlink_to("elsewhere")
    with pytest.raises(OSError):
        write_whole(path, "newer")
    assert ((tmp_path / "elsewhere").read_text(), path.read_text()) == ("kept", "new")
