"""What an action changed in the workspace, for the record: the diff of each small text file, the name of any other file.

It is looked at from outside after an action, whatever the agent edited with. The agent may change the folder meanwhile, so
every folder is opened by its name in the one above it, no link is followed, and only regular files are read. Large
workspaces are looked at in part: the upper folders first, so many entries and no more.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import stat
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
_MOST_COMPARED = 1_000_000
_UNINTERESTING = frozenset({"__pycache__", "node_modules", ".git", ".cache", ".ipynb_checkpoints"})


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """One file that an action changed."""

    path: str
    """Below the workspace."""
    kind: Literal["added", "modified", "removed"]
    diff: str | None
    """In the unified form, without the lines that name the files; None where the file is large or no text."""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    mark: tuple[int, int, int]
    text: str | None


class FileChanges:
    """Remembers a workspace's small text files from one look to the next."""

    def __init__(self, workspace: Path) -> None:
        """Look at it for the first time."""
        self._workspace = workspace
        self._known: dict[str, _Seen] = {}
        self._kept_bytes = 0
        self._is_partial = False
        self.take()

    def take(self) -> tuple[FileChange, ...]:
        """What has changed since the last look."""
        found: dict[str, _Seen] = {}
        changes: list[FileChange] = []
        self._is_partial = False
        for path, mark, folder, name in self._entries():
            before = self._known.get(path)
            if before is not None and before.mark == mark:
                found[path] = before
                continue
            found[path] = _Seen(mark=mark, text=self._text(folder, name))
            if before is None or before.text is None or before.text != found[path].text:
                changes.append(_change(path, before, found[path]))
        if self._is_partial:
            found = {**self._known, **found}
        changes += [_change(path, before, None) for path, before in self._known.items() if path not in found]
        self._known = found
        self._kept_bytes = sum(len(seen.text) for seen in found.values() if seen.text is not None)
        return tuple(sorted(changes, key=lambda change: change.path)[:_MOST_CHANGES])

    def _entries(self) -> Iterator[tuple[str, tuple[int, int, int], int, str]]:
        """Regular files, the upper folders' first: path, what tells a change, and where to open it."""
        with contextlib.ExitStack() as opened:
            folders = [folder for folder in [_opened(str(self._workspace), None, opened)] if folder is not None]
            waiting = [(folder, "", 0) for folder in folders]
            left = _MOST_ENTRIES
            while waiting:
                folder, place, depth = waiting.pop(0)
                for entry in _listed(folder):
                    left -= 1
                    if left < 0:
                        self._is_partial = True
                        return
                    with contextlib.suppress(OSError):  # it may be gone, or be denied
                        state = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(state.st_mode):
                            yield f"{place}{entry.name}", (state.st_mtime_ns, state.st_size, state.st_ino), folder, entry.name
                        elif stat.S_ISDIR(state.st_mode) and depth < _MOST_DEPTH and entry.name not in _UNINTERESTING:
                            inner = _opened(entry.name, folder, opened)
                            if inner is not None:
                                waiting.append((inner, f"{place}{entry.name}/", depth + 1))

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


def _opened(name: str, above: int | None, opened: contextlib.ExitStack) -> int | None:
    try:
        descriptor = os.open(name, _FOLDER_FLAGS, dir_fd=above)
    except OSError:
        return None
    opened.callback(os.close, descriptor)
    return descriptor


def _listed(folder: int) -> Iterator[os.DirEntry[str]]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        yield from entries


def _change(path: str, before: _Seen | None, after: _Seen | None) -> FileChange:
    shown = path.encode("utf-8", "replace").decode("utf-8")
    diff = None
    if (before is None or before.text is not None) and (after is None or after.text is not None):
        diff = unified_diff((before.text if before else None) or "", (after.text if after else None) or "")
    return FileChange(path=shown, kind="added" if before is None else "removed" if after is None else "modified", diff=diff)


def unified_diff(before: str, after: str) -> str:
    """The difference of two texts; long ones are cut, and very long ones stand as wholly replaced."""
    old, new = before.splitlines(), after.splitlines()
    if len(old) * len(new) > _MOST_COMPARED:
        lines = [f"@@ -1,{len(old)} +1,{len(new)} @@", *(f"-{line}" for line in old), *(f"+{line}" for line in new)]
    else:
        lines = list(difflib.unified_diff(old, new, lineterm="", n=3))[2:]
    text = "\n".join(lines)
    return text if len(text) <= _MOST_DIFF_CHARACTERS else text[:_MOST_DIFF_CHARACTERS].rpartition("\n")[0] + "\n[… cut]"
