"""The tools that change the open file: edit and insert.

The new lines come on standard input. A change is first made in memory; of a Python file the result is linted, and when
the change would bring new problems the file is left alone and the agent is shown both versions. Lines that are not
touched keep every byte, and new lines get the file's own line ending.
"""

from __future__ import annotations

from . import documents, saving, viewing, window
from .arguments import line_number, positional
from .documents import Document
from .messages import Misuse, Refusal, counted, visible
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .lint import Problem

CONTEXT_LINES = 5
PROBLEMS_SHOWN = 20


class Change:
    """Lines to take out and lines to put in their place."""

    __slots__ = ("added", "first", "removed")

    def __init__(self, *, first: int, removed: int, added: list[bytes]) -> None:
        self.first = first
        """The line of the old file at which the new lines begin, counted from 1."""
        self.removed = removed
        """How many lines of the old file are taken out."""
        self.added = added
        """The new lines, each with its ending."""


def edit(arguments: list[str], session: Session) -> str:
    """Replace a range of lines of the open file with the text on standard input."""
    first_text, colon, last_text = positional(arguments, 1, 1)[0].partition(":")
    if not colon:
        raise Misuse("Error: the lines to replace are given as FIRST:LAST, for example 10:12.")
    first, last = line_number(first_text), line_number(last_text)
    document = _editable(session)
    _check_range(document, first, last)
    removed = min(last, len(document.lines)) - first + 1
    change = Change(first=first, removed=removed, added=_new_lines(document, session.read_standard_input()))
    return _carry_out(session, document, change)


def insert(arguments: list[str], session: Session) -> str:
    """Insert the text on standard input after a line of the open file."""
    line = line_number(positional(arguments, 1, 1)[0])
    document = _editable(session)
    if line > len(document.lines):
        raise Refusal(f"Error: there is no line {line}; {visible(document.path)} has {len(document.lines)} lines.")
    added = _new_lines(document, session.read_standard_input())
    if not added:
        raise Misuse("Error: there is nothing to insert; the new lines were missing.")
    return _carry_out(session, document, Change(first=line + 1, removed=0, added=added))


def _editable(session: Session) -> Document:
    document = documents.read(session.open_file())
    saving.refuse_read_only(document.path)
    return document


def _check_range(document: Document, first: int, last: int) -> None:
    total = len(document.lines)
    is_appending = first == total + 1 and last >= first
    if is_appending or 1 <= first <= last <= total:
        return
    raise Refusal(
        f"Error: lines {first}:{last} cannot be replaced: {visible(document.path)} has lines 1 to {total}, and FIRST "
        f"must not be after LAST. edit {total + 1}:{total + 1} appends, and insert LINE adds lines between others."
    )


def _new_lines(document: Document, content: bytes) -> list[bytes]:
    """The content as lines that end as the document's lines do."""
    if content and not content.endswith(b"\n"):
        content += b"\n"
    lines = documents.split(content)
    ended = [line for line in document.lines if line.endswith(b"\n")]
    if ended and all(line.endswith(b"\r\n") for line in ended):
        return [line.removesuffix(b"\n").removesuffix(b"\r") + b"\r\n" for line in lines]
    return lines


def _changed(document: Document, change: Change) -> Document:
    """The document after the change; a last line without an ending gets one when lines follow it now."""
    before = document.lines[: change.first - 1]
    after = document.lines[change.first - 1 + change.removed :]
    if before and change.added and not before[-1].endswith(b"\n"):
        ending = b"\r\n" if change.added[0].endswith(b"\r\n") else b"\n"
        before[-1] += ending
    return Document(document.path, before + change.added + after)


def _carry_out(session: Session, document: Document, change: Change) -> str:
    changed = _changed(document, change)
    remark = ""
    if document.path.endswith(".py"):
        remark = _lint(session, document, changed, change)
    saving.replace(document.path, b"".join(changed.lines))
    above = change.first - session.window_size() // 2
    text = viewing.show(session, changed, lines_above=above, focus=change.first)
    return f"{text}{_summary(change)}{remark}\n"


def _summary(change: Change) -> str:
    last = change.first + change.removed - 1
    if not change.removed:
        done = f"{counted(len(change.added), 'line')} added at line {change.first}"
    elif not change.added:
        done = f"lines {change.first}-{last} deleted"
    else:
        done = f"lines {change.first}-{last} replaced by {counted(len(change.added), 'line')}"
    return f"The file was changed: {done}. Check indentation and repeated lines above, and edit again if needed."


def _lint(session: Session, document: Document, changed: Document, change: Change) -> str:
    """A remark on problems that were there before; raises Refusal when the change would bring new ones."""
    from . import lint

    findings = lint.compare(
        b"".join(document.lines),
        b"".join(changed.lines),
        edited=range(change.first, change.first + len(change.added)),
        shift=len(change.added) - change.removed,
        folder=session.environment.get("MLGYM_LITE_LINT_PATH"),
    )
    if findings.new:
        raise Refusal(_rejection(session, document, changed, change, findings.new))
    if findings.remaining_syntax_error is not None:
        return f"\nThe file still has a syntax error, line {findings.remaining_syntax_error}"
    return ""


def _rejection(session: Session, document: Document, changed: Document, change: Change, problems: list[Problem]) -> str:
    listed = [f"- line {problem}" for problem in problems[:PROBLEMS_SHOWN]]
    if len(problems) > PROBLEMS_SHOWN:
        listed.append(f"- and {len(problems) - PROBLEMS_SHOWN} more")
    return "\n".join(
        (
            f"Error: the file was not changed, because this would bring {counted(len(problems), 'new problem')}:",
            *listed,
            "",
            "With the change it would have been:",
            _around(session, changed, change.first, len(change.added)),
            "It still is, and its line numbers are the ones that count:",
            _around(session, document, change.first, change.removed) + "Correct the new lines and send them again.",
        )
    )


def _around(session: Session, document: Document, first: int, count: int) -> str:
    size = min(count + 2 * CONTEXT_LINES, session.window_size())
    span = window.choose(document, lines_above=first - 1 - CONTEXT_LINES, size=size, focus=first)
    return window.render(document, span)
