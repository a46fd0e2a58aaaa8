"""What an action changed in the workspace, for the record: the diff of each small text file, the name of any other file.

It is looked at from outside after an action, whatever the agent edited with. The agent may change the folder meanwhile, so
every folder is opened by its name in the one above it, no link is followed, and only regular files are read. What a look may
take is bounded, however the agent fills its workspace: so many entries, the upper folders first, so many changes, so much work
on diffs. Where something was left out, that is told.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import stat
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_ENTRIES = 500
_MOST_DEPTH = 5
_MOST_FILE_BYTES = 64 << 10
_MOST_KEPT_BYTES = 8 << 20
_MOST_CHANGES = 50
_MOST_DIFF_CHARACTERS = 16_000
_MOST_EQUAL_PAIRS = 10_000
"""Pairs of equal lines in two texts that are compared: difflib's work grows with them."""
_DIFF_SECONDS = 0.2
"""Of one look; then what is left is told as wholly replaced."""
_CONTEXT = 3
_UNINTERESTING = frozenset({"__pycache__", "node_modules", ".git", ".cache", ".ipynb_checkpoints"})

_Mark = tuple[int, int, int, int]
"""What tells a change: times of content and of state, size, file number."""


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """One file that an action changed."""

    path: str
    """Below the workspace."""
    kind: Literal["added", "modified", "removed"]
    diff: str | None
    """In the unified form, without the lines that name the files; None where the file is large or no text."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What one look found."""

    files: tuple[FileChange, ...] = ()
    is_complete: bool = True
    """Whether everything was looked at, and every change is told."""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    mark: _Mark
    text: str | None


@dataclass(frozen=True, kw_only=True)
class _Changed:
    path: str
    before: _Seen | None
    after: _Seen | None

    @property
    def kind(self) -> Literal["added", "modified", "removed"]:
        return "added" if self.before is None else "removed" if self.after is None else "modified"


_ORDER = ("modified", "removed", "added")


class FileChanges:
    """Remembers a workspace's small text files from one look to the next."""

    def __init__(self, workspace: Path) -> None:
        """Look at it for the first time."""
        self._workspace = workspace
        self._known: dict[str, _Seen] = {}
        self._kept_bytes = 0
        self._is_partial = False
        self.take()

    def take(self) -> Changes:
        """What has changed since the last look; files that were there before come first."""
        found: dict[str, _Seen] = {}
        changed: list[_Changed] = []
        self._is_partial = False
        for path, mark, folder, name in self._entries():
            before = self._known.get(path)
            if before is not None and before.mark == mark:
                found[path] = before
                continue
            found[path] = after = _Seen(mark=mark, text=self._text(folder, name))
            if before is None or before.text is None or before.text != after.text:
                changed.append(_Changed(path=path, before=before, after=after))
        unseen = {path: before for path, before in self._known.items() if path not in found}
        if self._is_partial:  # they may still be there
            found |= dict(list(unseen.items())[:_MOST_ENTRIES])
        else:
            changed += [_Changed(path=path, before=before, after=None) for path, before in unseen.items()]
        self._known = found
        self._kept_bytes = sum(len(seen.text) for seen in found.values() if seen.text is not None)
        changed.sort(key=lambda one: (_ORDER.index(one.kind), one.path))
        is_complete = not self._is_partial and len(changed) <= _MOST_CHANGES
        return Changes(files=tuple(_told(changed[:_MOST_CHANGES])), is_complete=is_complete)

    def _entries(self) -> Iterator[tuple[str, _Mark, int, str]]:
        """Regular files, the upper folders' first: path, what tells a change, where to open it until the next is asked for."""
        waiting: list[tuple[str, ...]] = [()]
        left = _MOST_ENTRIES
        while waiting:
            place = waiting.pop(0)
            with _opened(self._workspace, place) as folder:
                if folder is None:
                    self._is_partial = True
                    continue
                for entry in _listed(folder):
                    left -= 1
                    if left < 0:
                        self._is_partial = True
                        return
                    with contextlib.suppress(OSError):  # it may be gone
                        state = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(state.st_mode):
                            mark = (state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino)
                            yield "/".join((*place, entry.name)), mark, folder, entry.name
                        elif stat.S_ISDIR(state.st_mode) and entry.name not in _UNINTERESTING:
                            if len(place) < _MOST_DEPTH:
                                waiting.append((*place, entry.name))
                            else:
                                self._is_partial = True

    def _text(self, folder: int, name: str) -> str | None:
        """A small text file's content."""
        try:
            descriptor = os.open(name, _FILE_FLAGS, dir_fd=folder)
        except OSError:
            return None
        try:
            state = os.fstat(descriptor)
            room = self._kept_bytes + state.st_size <= _MOST_KEPT_BYTES
            if not stat.S_ISREG(state.st_mode) or state.st_size > _MOST_FILE_BYTES or not room:
                return None
            content = os.read(descriptor, _MOST_FILE_BYTES + 1)
            self._kept_bytes += len(content)
            return None if b"\0" in content or len(content) > _MOST_FILE_BYTES else content.decode("utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _opened(top: Path, place: tuple[str, ...]) -> Iterator[int | None]:
    """A folder below another, each part by its name in the one above; None where it cannot be opened."""
    descriptor: int | None = None
    try:
        for name in (str(top), *place):
            inner = os.open(name, _FOLDER_FLAGS, dir_fd=descriptor)
            if descriptor is not None:
                os.close(descriptor)
            descriptor = inner
    except OSError:
        if descriptor is not None:
            os.close(descriptor)
        descriptor = None
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _listed(folder: int) -> Iterator[os.DirEntry[str]]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        yield from entries


def _told(changed: list[_Changed]) -> Iterator[FileChange]:
    deadline = time.monotonic() + _DIFF_SECONDS
    for one in changed:
        before, after = one.before, one.after
        diff = None
        if (before is None or before.text is not None) and (after is None or after.text is not None):
            old, new = (before.text if before else None) or "", (after.text if after else None) or ""
            diff = unified_diff(old, new, compares=time.monotonic() < deadline)
        yield FileChange(path=one.path.encode("utf-8", "replace").decode("utf-8"), kind=one.kind, diff=diff)


def unified_diff(before: str, after: str, *, compares: bool = True) -> str:
    """The difference of two texts, cut where it is long; what would be slow to compare stands as wholly replaced."""
    old, new = _lines(before), _lines(after)
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    first, old_end, new_end = max(0, start - _CONTEXT), len(old) - max(0, end - _CONTEXT), len(new) - max(0, end - _CONTEXT)
    old, new = old[first:old_end], new[first:new_end]
    counts = Counter(new)
    pairs = sum(counts[line] for line in old)
    if compares and pairs <= _MOST_EQUAL_PAIRS:
        lines = _hunks(old, new, first)
    else:
        lines = [
            f"@@ -{first + 1},{len(old)} +{first + 1},{len(new)} @@",
            *(f"-{line}" for line in old),
            *(f"+{line}" for line in new),
        ]
    text = "\n".join(lines)
    return text if len(text) <= _MOST_DIFF_CHARACTERS else text[:_MOST_DIFF_CHARACTERS].rpartition("\n")[0] + "\n[… cut]"


def _hunks(old: list[str], new: list[str], first: int) -> list[str]:
    """As difflib tells them, counted from where the lines begin in their files."""
    lines: list[str] = []
    for group in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(_CONTEXT):
        _, old_from, _, new_from, _ = group[0]
        _, _, old_to, _, new_to = group[-1]
        lines.append(f"@@ -{_range(first + old_from, old_to - old_from)} +{_range(first + new_from, new_to - new_from)} @@")
        for kind, a, b, c, d in group:
            if kind == "equal":
                lines += [f" {line}" for line in old[a:b]]
            else:
                lines += [*(f"-{line}" for line in old[a:b]), *(f"+{line}" for line in new[c:d])]
    return lines


def _range(start: int, length: int) -> str:
    """Lines as the unified form counts them: from 1, and where there are none, the line before."""
    return f"{start + 1}" if length == 1 else f"{start + (length > 0)},{length}"


def _lines(text: str) -> list[str]:
    """Lines with what ends them but for the newline; that a last line has none is told."""
    if not text:
        return []
    lines = text.split("\n")
    return lines[:-1] if not lines[-1] else [*lines[:-1], f"{lines[-1]}  [no newline at the end]"]


def _common(one: list[str], other: list[str]) -> int:
    """How many lines are the same from the start."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
