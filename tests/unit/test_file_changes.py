"""What an action changed: diffs of small text files, names of others, and nothing that an agent's tricks could reach."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgym_lite.episode.file_changes import Changes, FileChanges, unified_diff


def test_small_text_files_are_told_with_their_diff(tmp_path: Path) -> None:
    """Added, modified and removed ones, in folders too; what is unchanged is not told."""
    (tmp_path / "kept.py").write_text("a\n")
    (tmp_path / "edited.py").write_text("one\ntwo\nthree\n")
    (tmp_path / "gone.py").write_text("x\n")
    changes = FileChanges(tmp_path)
    assert changes.take() == Changes()
    (tmp_path / "edited.py").write_text("one\n2\nthree\n")
    (tmp_path / "gone.py").unlink()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "new.py").write_text("n\n")
    told = {change.path: (change.kind, change.diff) for change in changes.take().files}
    assert told == {
        "edited.py": ("modified", "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three"),
        "gone.py": ("removed", "@@ -1 +0,0 @@\n-x"),
        "deep/er/new.py": ("added", "@@ -0,0 +1 @@\n+n"),
    }
    assert changes.take() == Changes()
    (tmp_path / "edited.py").write_text("one\n2\nthree\n")  # written anew, the same
    assert changes.take() == Changes()


def test_other_files_are_told_by_name(tmp_path: Path) -> None:
    """Binary and large ones have no diff; caches are left out."""
    changes = FileChanges(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"\0" * 100)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "large.txt").write_text("x" * 100_000)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"1")
    assert {(change.path, change.diff) for change in changes.take().files} == {
        ("model.bin", None),
        ("latin.txt", None),
        ("large.txt", None),
    }


def test_nothing_outside_and_nothing_that_waits_is_read(tmp_path: Path) -> None:
    """Links are not followed, pipes not opened, folders without rights passed over."""
    secret = tmp_path / "secret.txt"
    secret.write_text("secret\n")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    changes = FileChanges(workspace)
    (workspace / "link.txt").symlink_to(secret)
    (workspace / "folder").symlink_to(tmp_path)
    os.mkfifo(workspace / "pipe.txt")
    (workspace / "closed").mkdir(mode=0)
    (workspace / "odd\udcffname\n").write_text("odd\n")
    told = changes.take().files
    (workspace / "closed").chmod(0o700)
    assert [change.path for change in told] == ["odd?name\n"]


def test_large_workspaces_are_looked_at_in_part(tmp_path: Path) -> None:
    """The upper folders first; what was not looked at is not taken for removed."""
    for number in range(600):
        folder = tmp_path / "data" / f"{number % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.txt").write_text("x")
    (tmp_path / "train.py").write_text("1\n")
    changes = FileChanges(tmp_path)
    (tmp_path / "train.py").write_text("2\n")
    assert [change.path for change in changes.take().files] == ["train.py"]


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    """Where there are too many entries, changes or folders; files that were there before come first."""
    (tmp_path / "train.py").write_text("1\n")
    changes = FileChanges(tmp_path)
    for number in range(60):
        (tmp_path / f"a{number}.txt").write_text("x\n")
    (tmp_path / "train.py").write_text("2\n")
    told = changes.take()
    assert not told.is_complete and len(told.files) == 50 and told.files[0].path == "train.py"
    assert changes.take().is_complete
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "b.txt").write_text("x\n")
    assert [change.path for change in changes.take().files] == ["closed/b.txt"]
    for number in range(600):
        (tmp_path / f"z{number}").touch()
    assert not changes.take().is_complete


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    """An agent can set the time of a file's content, but not that of its state."""
    file = tmp_path / "train.py"
    file.write_text("1\n")
    before = file.stat()
    changes = FileChanges(tmp_path)
    with file.open("r+") as opened:
        opened.write("2\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [change.diff for change in changes.take().files] == ["@@ -1 +1 @@\n-1\n+2"]


@pytest.mark.parametrize(
    ("before", "after"),
    [("\n" * 60_000, "a\n" * 30_000), ("a\nb\n" * 2500, "a\n" * 199), ("a\n" * 199, "b\na\n" * 99), ("", "a" * 60_000)],
)
def test_a_diff_takes_no_time_and_no_room(before: str, after: str) -> None:
    """Texts that would be slow to compare stand as replaced, and what is told is cut."""
    started = time.process_time()
    diff = unified_diff(before, after)
    assert time.process_time() - started < 5 and len(diff) < 17_000


def test_many_slow_diffs_are_given_up(tmp_path: Path) -> None:
    """What a look takes is bounded, however many files change."""
    for number in range(50):
        (tmp_path / f"{number}.txt").write_text("a\nb\n" * 90)
    changes = FileChanges(tmp_path)
    for number in range(50):
        (tmp_path / f"{number}.txt").write_text("b\nc\n" * 90)
    started = time.process_time()
    assert len(changes.take().files) == 50
    assert time.process_time() - started < 10


def patched(one: list[str], told: list[str]) -> list[str]:
    """What `patch` makes of a text with a diff; context and removed lines must be those of the text."""
    made: list[str] = []
    at = 0
    for line in told:
        if line[0] == "@":
            start, _, count = line.split()[1].removeprefix("-").partition(",")
            begin = int(start) - (count != "0")
            made += one[at:begin]
            at = begin
        elif line[0] == "+":
            made.append(line[1:])
        else:
            assert one[at] == line[1:]
            made += [line[1:]] if line[0] == " " else []
            at += 1
    return made + one[at:]


@given(st.lists(st.sampled_from(["a", "b", "", "c\r"])), st.lists(st.sampled_from(["a", "b", "", "c\r"])))
def test_a_diff_makes_the_one_text_the_other(one: list[str], other: list[str]) -> None:
    """As others apply it; it begins and ends with at most three lines that are alike, and only equal texts have none."""
    before, after = "".join(f"{line}\n" for line in one), "".join(f"{line}\n" for line in other)
    told = [line for line in unified_diff(before, after).split("\n") if line]
    assert patched(one, told) == other and bool(told) == (one != other)
    alike = [line[0] == " " for line in told if line[0] != "@"]
    assert not all(alike[:4]) or not told
    assert not all(alike[-4:]) or not told


def test_ends_of_lines_are_told() -> None:
    """A carriage return, and a last line without an end, are changes like others."""
    assert unified_diff("a\n", "a\r\n") == "@@ -1 +1 @@\n-a\n+a\r"
    assert unified_diff("a\n", "a") == "@@ -1 +1 @@\n-a\n+a  [no newline at the end]"
