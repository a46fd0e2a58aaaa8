"""What an action changed: diffs of small text files, names of others, and nothing that an agent's tricks could reach."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mlgym_lite.episode.file_changes import FileChanges, unified_diff


def test_small_text_files_are_told_with_their_diff(tmp_path: Path) -> None:
    """Added, modified and removed ones, in folders too; what is unchanged is not told."""
    (tmp_path / "kept.py").write_text("a\n")
    (tmp_path / "edited.py").write_text("one\ntwo\nthree\n")
    (tmp_path / "gone.py").write_text("x\n")
    changes = FileChanges(tmp_path)
    assert changes.take() == ()
    (tmp_path / "edited.py").write_text("one\n2\nthree\n")
    (tmp_path / "gone.py").unlink()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "new.py").write_text("n\n")
    told = {change.path: (change.kind, change.diff) for change in changes.take()}
    assert told == {
        "edited.py": ("modified", "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three"),
        "gone.py": ("removed", "@@ -1 +0,0 @@\n-x"),
        "deep/er/new.py": ("added", "@@ -0,0 +1 @@\n+n"),
    }
    assert changes.take() == ()
    (tmp_path / "edited.py").write_text("one\n2\nthree\n")  # written anew, the same
    assert changes.take() == ()


def test_other_files_are_told_by_name(tmp_path: Path) -> None:
    """Binary and large ones have no diff; caches are left out."""
    changes = FileChanges(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"\0" * 100)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "large.txt").write_text("x" * 100_000)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"1")
    assert {(change.path, change.diff) for change in changes.take()} == {
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
    told = changes.take()
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
    assert [change.path for change in changes.take()] == ["train.py"]


def test_a_diff_takes_no_time_and_no_room(tmp_path: Path) -> None:
    """Texts that would be slow to compare stand as replaced, and what is told is cut."""
    started = time.process_time()
    diff = unified_diff("\n" * 60_000, "a\n" * 30_000)
    assert time.process_time() - started < 5 and len(diff) < 17_000 and diff.endswith("[… cut]")
