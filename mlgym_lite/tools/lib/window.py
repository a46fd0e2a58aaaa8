"""Which lines of a file are shown, and how: pure functions from a document and a position to text.

A window has a fixed number of lines. It never starts before the first line nor, in a file longer than itself, ends
before the last. It is narrowed around the line of interest when its text would be longer than `LARGEST_CHARACTERS`.
"""

from __future__ import annotations

from .documents import Document
from .messages import quoted, visible

LARGEST_CHARACTERS = 60_000
SHARE_BEFORE = 6
"""A line that is gone to is shown one part in this many below the top."""


class Span:
    """The lines that a window shows, counted from 1, both ends included."""

    __slots__ = ("first", "is_narrowed", "last")

    def __init__(self, *, first: int, last: int, is_narrowed: bool) -> None:
        self.first = first
        self.last = last
        self.is_narrowed = is_narrowed
        """Whether lines were left out because the text would have been too long."""


def lines_above_when_gone_to(line: int, size: int) -> int:
    """How many lines are above a window that was put at `line`."""
    return line - size // SHARE_BEFORE


def choose(document: Document, *, lines_above: int, size: int, focus: int) -> Span:
    """The lines of a window with about `lines_above` above it; line `focus` stays when it must be narrowed."""
    total = len(document.lines)
    if total == 0:
        return Span(first=1, last=0, is_narrowed=False)
    first = max(0, min(lines_above, total - size)) + 1
    last = min(total, first + size - 1)
    widths = [_width(document, number) for number in range(first, last + 1)]
    start, end = _within_limit(widths, min(max(focus, first), last) - first)
    return Span(first=first + start, last=first + end - 1, is_narrowed=end - start < len(widths))


def render(document: Document, span: Span) -> str:
    """The window as text: a heading, the numbered lines, and how many lines are above and below."""
    total = len(document.lines)
    parts = [f"[File: {visible(document.path)} ({total} lines total)]"]
    if span.first > 1:
        parts.append(f"({span.first - 1} more lines above)")
    parts.extend(_numbered(document, number) for number in range(span.first, span.last + 1))
    if span.last < total:
        parts.append(f"({total - span.last} more lines below)")
    if span.is_narrowed:
        parts.append(
            f"(This window was cut to lines {span.first}-{span.last} to stay under {LARGEST_CHARACTERS:,} characters; "
            "scroll_down, scroll_up and goto show the rest.)"
        )
    return "\n".join(parts) + "\n"


def _width(document: Document, number: int) -> int:
    return min(len(document.text(number)), LARGEST_CHARACTERS) + len(str(number)) + 2


def _within_limit(widths: list[int], focus: int) -> tuple[int, int]:
    """The longest run around `focus` that fits, mostly after it; its start and the index behind its end."""
    if sum(widths) <= LARGEST_CHARACTERS:
        return 0, len(widths)
    start, end = focus, focus + 1
    left = LARGEST_CHARACTERS - widths[focus]
    for reserve in (LARGEST_CHARACTERS // SHARE_BEFORE, 0):
        while end < len(widths) and widths[end] <= left - reserve:
            left -= widths[end]
            end += 1
        while start > 0 and widths[start - 1] <= left:
            start -= 1
            left -= widths[start]
    return start, end


def _numbered(document: Document, number: int) -> str:
    text = document.text(number)
    if len(text) <= LARGEST_CHARACTERS:
        return f"{number}:{text}"
    return (
        f"{number}:{text[:LARGEST_CHARACTERS]}\n"
        f"(Line {number} was cut: it has {len(text):,} characters. More of it: "
        f"sed -n {number}p {quoted(document.path)} | cut -c {LARGEST_CHARACTERS + 1}-{2 * LARGEST_CHARACTERS})"
    )
