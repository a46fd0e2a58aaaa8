"""The tools that look for things: search_dir, search_file and find_file.

Terms are literal, never patterns, and match within a line as the file's bytes have it. No link below the folder that
was named is followed, so a search stays where it was started. Long lists are cut, and the text says so.
"""

# ruff: noqa: PTH112
from __future__ import annotations

import os
import stat

from . import documents
from .arguments import positional
from .messages import Refusal, counted, visible
from .places import real_path
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

MOST_FILES = 100
MOST_LINES = 100
LONGEST_LINE = 1000
SHOWN_BEFORE_TERM = 200
BINARY_HEAD_BYTES = 32 * 1024
READ_WHOLE_BYTES = 16 * 1024 * 1024


def search_dir(arguments: list[str], session: Session) -> str:
    """Count the lines with the term in each text file below a folder, hidden ones left out."""
    values = positional(arguments, 1, 2)
    term, folder = values[0], _folder(values[1] if len(values) > 1 else ".")
    counts: dict[str, int] = {}
    unreadable: list[str] = []
    for entry in _files(folder, unreadable, with_hidden=False):
        if not entry.is_file(follow_symlinks=False):
            continue
        count = _count_in_file(entry.path, os.fsencode(term))
        if count is None:
            unreadable.append(entry.path)
        elif count:
            counts[entry.path] = count
        if len(counts) > MOST_FILES:
            raise Refusal(
                f'Error: more than {MOST_FILES} files in {visible(folder)} contain "{visible(term)}". '
                "Search for a longer term or in a smaller folder."
            )
    return _counts_as_text(counts, term, folder) + _remark(unreadable)


def search_file(arguments: list[str], session: Session) -> str:
    """List the lines with the term in a file, the open one unless another is named."""
    values = positional(arguments, 1, 2)
    document = documents.read(values[1] if len(values) > 1 else session.open_file())
    term = os.fsencode(values[0])
    numbers = [number for number, line in enumerate(document.lines, 1) if term in line]
    where = f'"{visible(values[0])}" in {visible(document.path)}'
    if not numbers:
        return f"No matches for {where}.\n"
    listed = [f"Line {number}:{_shortened(document.lines[number - 1], term)}" for number in numbers[:MOST_LINES]]
    found = f"Found {counted(len(numbers), 'line')} with {where}:"
    return "\n".join((found, *listed, _end(len(numbers), MOST_LINES, "line", where)))


def find_file(arguments: list[str], session: Session) -> str:
    """List the files below a folder whose name is, or matches, the one given."""
    from fnmatch import fnmatchcase

    values = positional(arguments, 1, 2)
    name, folder = values[0], _folder(values[1] if len(values) > 1 else ".")
    if "/" in name:
        raise Refusal("Error: NAME is compared with file names and cannot have a slash; give the folder after it.")
    unreadable: list[str] = []
    entries = _files(folder, unreadable, with_hidden=True)
    paths = [entry.path for entry in entries if entry.name == name or fnmatchcase(entry.name, name)]
    where = f'"{visible(name)}" in {visible(folder)}'
    if not paths:
        return f"No files are named {where}.\n" + _remark(unreadable)
    listed = (visible(path) for path in paths[:MOST_FILES])
    found = f"Found {counted(len(paths), 'file')} named {where}:"
    return "\n".join((found, *listed, _end(len(paths), MOST_FILES, "file", where))) + _remark(unreadable)


def _folder(name: str) -> str:
    path = real_path(name)
    if os.path.isdir(path):
        return path
    if os.path.lexists(path):
        raise Refusal(f"Error: {visible(name)} is not a folder. search_file TERM FILE searches in one file.")
    raise documents.missing(path, name)


def _files(folder: str, unreadable: list[str], *, with_hidden: bool) -> Iterator[os.DirEntry[str]]:
    """Everything but folders below a folder, by name, links as themselves; adds to `unreadable` what it cannot list."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            with os.scandir(current) as scan:
                entries = sorted(scan, key=lambda entry: entry.name, reverse=True)
        except OSError:
            unreadable.append(current)
            continue
        if not with_hidden:
            entries = [entry for entry in entries if not entry.name.startswith(".")]
        waiting.extend(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        yield from (entry for entry in reversed(entries) if not entry.is_dir(follow_symlinks=False))


def _count_in_file(path: str, term: bytes) -> int | None:
    """How many lines of a text file have the term: 0 for a binary file, None when it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return 0
            if status.st_size > READ_WHOLE_BYTES:
                return _count_in_large_file(descriptor, term)
            return _count(file.read(), term)
    except OSError:
        return None


def _count_in_large_file(descriptor: int, term: bytes) -> int:
    """The same without taking the file into memory."""
    from mmap import ACCESS_READ, mmap

    with mmap(descriptor, 0, access=ACCESS_READ) as content:
        return _count(content, term)


def _count(content: bytes | mmap, term: bytes) -> int:
    if b"\0" in content[:BINARY_HEAD_BYTES]:
        return 0
    count = 0
    position = content.find(term)
    while position != -1:
        count += 1
        line_end = content.find(b"\n", position)
        if line_end == -1:
            break
        position = content.find(term, max(line_end + 1, position + len(term)))
    return count


def _shortened(line: bytes, term: bytes) -> str:
    """The line as text; of a very long one, the part around the term."""
    text = documents.shown(line)
    if len(text) <= LONGEST_LINE:
        return text
    start = max(0, text.find(documents.shown(term)) - SHOWN_BEFORE_TERM)
    part = text[start : start + LONGEST_LINE]
    return f"{'…' if start else ''}{part}{'…' if start + LONGEST_LINE < len(text) else ''}"


def _counts_as_text(counts: dict[str, int], term: str, folder: str) -> str:
    where = f'"{visible(term)}" in {visible(folder)}'
    if not counts:
        return f"No matches for {where}.\n"
    listed = (f"{visible(path)} ({counted(count, 'match')})" for path, count in counts.items())
    found = f"Found {counted(sum(counts.values()), 'match')} for {where}:"
    return "\n".join((found, *listed, f"End of matches for {where}.\n"))


def _remark(unreadable: list[str]) -> str:
    if not unreadable:
        return ""
    others = f" and {counted(len(unreadable) - 1, 'other place')}" if len(unreadable) > 1 else ""
    return f"(Not searched, because it could not be read: {visible(unreadable[0])}{others}.)\n"


def _end(found: int, most: int, noun: str, where: str) -> str:
    if found > most:
        return f"({found - most:,} more {noun}s are not shown; a more precise term shows fewer.)\n"
    return f"End of matches for {where}.\n"
