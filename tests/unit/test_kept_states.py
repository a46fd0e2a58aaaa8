"""States of a tree: what is taken is what is put back, at the cost of what changed, and nothing is kept that nobody needs."""

from __future__ import annotations

import gc
import os
import pickle
import random
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlgym_lite.episode.kept_states import KeptFile, KeptFolder, KeptStates


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small workspace, whose files are older than the clock is coarse."""
    folder = tmp_path / "workspace"
    for name in ("a.txt", "sub/b.txt", "sub/deep/c.txt", "other/d.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")
    (folder / "link").symlink_to("a.txt")
    wait_for_the_clock()
    return folder


@pytest.fixture
def states(tmp_path: Path) -> KeptStates:
    """Where states of it are kept."""
    return KeptStates(tmp_path / "blobs", None)


@pytest.fixture
def blobs(tmp_path: Path) -> Callable[[], int]:
    """How many contents are kept."""
    return lambda: len(list((tmp_path / "blobs").iterdir()))


def wait_for_the_clock() -> None:
    """Until files that were written just now can be told from files that are written later."""
    time.sleep(0.03)


def content(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything in a folder: kinds, rights, contents, times."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        state, name = path.lstat(), str(path.relative_to(folder))
        if stat.S_ISLNK(state.st_mode):
            found[name] = ("link", os.readlink(path))
        elif stat.S_ISDIR(state.st_mode):
            found[name] = ("folder", stat.S_IMODE(state.st_mode))
        elif stat.S_ISREG(state.st_mode):
            found[name] = ("file", stat.S_IMODE(state.st_mode), path.read_bytes(), state.st_mtime_ns)
        else:
            found[name] = ("other",)
    return found


def test_what_is_taken_is_put_back(tree: Path, states: KeptStates) -> None:
    """Contents, rights, links, times; what came since is gone, what went is there again."""
    (tree / "sub" / "b.txt").chmod(0o741)
    before = content(tree)
    kept = states.take(tree)
    (tree / "a.txt").write_text("changed", encoding="utf-8")
    (tree / "sub" / "b.txt").chmod(0o600)
    shutil.rmtree(tree / "other")
    (tree / "other").write_text("now a file", encoding="utf-8")
    (tree / "link").unlink()
    (tree / "link").mkdir()
    (tree / "sub" / "deep" / "c.txt").unlink()
    (tree / "sub" / "deep" / "c.txt").symlink_to("/etc/passwd")
    os.mkfifo(tree / "pipe")
    states.put(kept, tree)
    assert content(tree) == before


def test_only_what_changed_is_copied(tree: Path, states: KeptStates, blobs: Callable[[], int]) -> None:
    """And folders in which nothing changed are one object in both states; going back writes only what differs."""
    first = states.take(tree)
    assert blobs() == 4
    (tree / "sub" / "b.txt").write_text("changed", encoding="utf-8")
    wait_for_the_clock()
    second = states.take(tree)
    assert blobs() == 5
    assert first.entries["other"] is second.entries["other"] and first.entries["a.txt"] is second.entries["a.txt"]
    assert first.entries["sub"] is not second.entries["sub"]
    assert states.take(tree) is second and blobs() == 5
    times = {name: (tree / name).stat().st_ctime_ns for name in ("a.txt", "sub/b.txt", "sub/deep/c.txt")}
    states.put(first, tree)
    changed = [name for name, number in times.items() if (tree / name).stat().st_ctime_ns != number]
    assert changed == ["sub/b.txt"] and blobs() == 5


def test_what_nobody_needs_goes(tree: Path, states: KeptStates, blobs: Callable[[], int]) -> None:
    """Contents go with the last state that names them; the newest stays, since the next one may need it."""
    kept = []
    for number in range(5):
        (tree / "a.txt").write_text(str(number), encoding="utf-8")
        wait_for_the_clock()
        kept.append(states.take(tree))
    assert blobs() == 3 + 5
    del kept[:4]
    gc.collect()
    assert blobs() == 3 + 1
    other = pickle.loads(pickle.dumps(kept[0]))
    del other
    gc.collect()
    assert blobs() == 4, "a copy that travelled only borrows them"


def test_a_fork_needs_nothing_of_the_original(tree: Path, states: KeptStates, tmp_path: Path) -> None:
    """Its state is its own; both can change without the other's noticing."""
    kept, before = states.take(tree), content(tree)
    fork, forked = tmp_path / "fork", KeptStates(tmp_path / "other blobs", None)
    fork.mkdir()
    forked.put(kept, fork)
    wait_for_the_clock()
    assert content(fork) == before
    own = forked.take(fork)
    (fork / "a.txt").write_text("fork", encoding="utf-8")
    (tree / "a.txt").write_text("original", encoding="utf-8")
    del kept
    shutil.rmtree(tmp_path / "blobs")
    forked.put(own, fork)
    assert content(fork) == before


def test_a_write_within_the_same_tick_is_not_missed(tree: Path, states: KeptStates) -> None:
    """The times of a file may be the same before and after, and so may its size; many tries, since few hit."""
    for number in range(300):
        (tree / "a.txt").write_text(f"{number:04}-1", encoding="utf-8")
        first = states.take(tree)
        descriptor = os.open(tree / "a.txt", os.O_WRONLY)
        os.write(descriptor, f"{number:04}-2".encode())
        os.close(descriptor)
        second = states.take(tree)
        texts = [Path(kept.entries["a.txt"].blob.path).read_text(encoding="utf-8") for kept in (first, second)]  # type: ignore[union-attr]
        assert texts == [f"{number:04}-1", f"{number:04}-2"]


def test_times_that_were_set_back_do_not_hide_a_change(tree: Path, states: KeptStates) -> None:
    """An agent can set mtime and keep the size, but not ctime."""
    state = (tree / "a.txt").stat()
    states.take(tree)
    (tree / "a.txt").write_text("b.txt", encoding="utf-8")
    os.utime(tree / "a.txt", ns=(state.st_atime_ns, state.st_mtime_ns))
    entry = states.take(tree).entries["a.txt"]
    assert isinstance(entry, KeptFile) and Path(entry.blob.path).read_text(encoding="utf-8") == "b.txt"


def test_rights_that_were_taken_away_are_no_hindrance(tree: Path, states: KeptStates) -> None:
    """An agent may deny itself, and an ordinary user's engine, its own folders before one goes back."""
    kept, before = states.take(tree), content(tree)
    (tree / "sub" / "deep").chmod(0)
    (tree / "sub").chmod(0)
    (tree / "other" / "d.txt").chmod(0)
    states.put(kept, tree)
    assert content(tree) == before


def test_what_is_no_file_is_left_out(tree: Path, states: KeptStates) -> None:
    """FIFOs and sockets hold nothing up."""
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tree)  # the path of a socket is short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
    assert states.take(tree).entries.keys() == {"a.txt", "sub", "other", "link"}


def changes(tree: Path, chance: random.Random) -> Iterator[None]:
    """Something an agent might do, at each turn."""
    while True:
        names = [path for path in tree.rglob("*") if not path.is_symlink()]
        path = chance.choice(names) if names else tree
        folder = path if path.is_dir() else path.parent
        what = chance.randrange(7)
        if what == 0 and path != tree:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif what == 1 and path.is_file():
            path.write_bytes(chance.randbytes(chance.randrange(2000)))
        elif what == 2:
            (folder / f"new-{chance.randrange(10**9)}").mkdir()
        elif what == 3:
            (folder / f"link-{chance.randrange(10**9)}").symlink_to(chance.choice(["..", "/etc", "a.txt", "nowhere"]))
        elif what == 4 and path != tree:
            path.rename(tree / f"moved-{chance.randrange(10**9)}")
        elif what == 5:
            path.chmod(chance.choice([0o700, 0o755, 0o710, 0o777]))
        else:
            (folder / f"file-{chance.randrange(10**9)}").write_bytes(chance.randbytes(chance.randrange(2000)))
        yield


@pytest.mark.parametrize("seed", range(20))
def test_any_state_can_be_gone_back_to(tree: Path, states: KeptStates, seed: int) -> None:
    """Whatever happened between, in any order, without waiting for any clock."""
    chance = random.Random(seed)
    happens = changes(tree, chance)
    kept: list[tuple[KeptFolder, dict[str, tuple[object, ...]]]] = []
    for _ in range(25):
        for _ in range(chance.randrange(4)):
            next(happens)
        if kept and chance.random() < 0.4:
            state, expected = chance.choice(kept)
            states.put(state, tree)
            assert content(tree) == expected
        else:
            kept.append((states.take(tree), content(tree)))
    for state, expected in kept:
        states.put(state, tree)
        assert content(tree) == expected
