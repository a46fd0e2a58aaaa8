"""The tools that show a file: open, goto, scroll_down, scroll_up and create."""

# ruff: noqa: PTH100, PTH110, PTH112, PTH120
from __future__ import annotations

import os

from . import documents, window
from .arguments import line_number, positional
from .documents import Document
from .messages import Refusal, visible
from .session import Session
from .state import State

OVERLAP = 2
SCROLLS_BEFORE_ADVICE = 3
ADVICE = "(You have scrolled {count} times in a row. search_file TERM and goto LINE get to a known place in one step.)\n"


def show(session: Session, document: Document, *, lines_above: int, focus: int, scrolls: int = 0) -> str:
    """Make the document the open file, remember what is shown of it, and return that window."""
    span = window.choose(document, lines_above=lines_above, size=session.window_size(), focus=focus)
    session.state = State(open_file=document.path, first_line=span.first, last_line=span.last, scrolls_in_a_row=scrolls)
    return window.render(document, span)


def open_file(arguments: list[str], session: Session) -> str:
    """Open a file and show its beginning, or the lines around the one that was asked for."""
    values = positional(arguments, 1, 2)
    wanted = line_number(values[1]) if len(values) > 1 else None
    document = documents.read(values[0])
    if wanted is None:
        return show(session, document, lines_above=0, focus=1)
    line = max(1, min(wanted, len(document.lines)))
    text = _show_at(session, document, line)
    if line == wanted:
        return text
    return f"(The file has no line {wanted}; shown is line {line} of {len(document.lines)}.)\n{text}"


def go_to(arguments: list[str], session: Session) -> str:
    """Show the lines around a line of the open file."""
    line = line_number(positional(arguments, 1, 1)[0])
    document = documents.read(session.open_file())
    total = len(document.lines)
    if not 1 <= line <= total:
        raise Refusal(f"Error: there is no line {line}; {visible(document.path)} has lines 1 to {total}.")
    return _show_at(session, document, line)


def scroll_down(arguments: list[str], session: Session) -> str:
    """Show the window after the one shown last, with two lines in common."""
    positional(arguments, 0, 0)
    document = documents.read(session.open_file())
    last = min(session.state.last_line, len(document.lines))
    if last == len(document.lines):
        return _at_the_edge(session, f"The window already ends with the last line of {visible(document.path)}")
    return _scroll(session, document, lines_above=last - OVERLAP, focus=last + 1)


def scroll_up(arguments: list[str], session: Session) -> str:
    """Show the window before the one shown last, with two lines in common."""
    positional(arguments, 0, 0)
    document = documents.read(session.open_file())
    first = min(session.state.first_line, len(document.lines) + 1)
    if first <= 1:
        return _at_the_edge(session, f"The window already starts with the first line of {visible(document.path)}")
    lines_above = first - 1 + OVERLAP - session.window_size()
    return _scroll(session, document, lines_above=lines_above, focus=first - 1)


def create(arguments: list[str], session: Session) -> str:
    """Make a file of one empty line and open it."""
    name = positional(arguments, 1, 1)[0]
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        raise _exists(session, name) from None
    except OSError as error:
        raise _not_created(name, error) from error
    with open(descriptor, "wb") as file:
        file.write(b"\n")
    return show(session, documents.read(name), lines_above=0, focus=1)


def _show_at(session: Session, document: Document, line: int) -> str:
    above = window.lines_above_when_gone_to(line, session.window_size())
    return show(session, document, lines_above=above, focus=line)


def _scroll(session: Session, document: Document, *, lines_above: int, focus: int) -> str:
    count = session.state.scrolls_in_a_row + 1
    text = show(session, document, lines_above=lines_above, focus=focus, scrolls=count)
    return text + _advice(count)


def _at_the_edge(session: Session, sentence: str) -> str:
    before = session.state
    count = before.scrolls_in_a_row + 1
    session.state = State(
        open_file=before.open_file,
        first_line=before.first_line,
        last_line=before.last_line,
        scrolls_in_a_row=count,
    )
    return f"{sentence}; goto LINE shows a part of it again.\n" + _advice(count)


def _advice(count: int) -> str:
    return ADVICE.format(count=count) if count >= SCROLLS_BEFORE_ADVICE else ""


def _exists(session: Session, name: str) -> Refusal:
    if not os.path.exists(name):
        return Refusal(f"Error: {visible(name)} is a link to nothing; remove it first.")
    text = show(session, documents.read(name), lines_above=0, focus=1)
    return Refusal(f"Error: {visible(name)} already exists. It was left as it is and is open now.\n{text}")


def _not_created(name: str, error: OSError) -> Refusal:
    folder = os.path.dirname(os.path.abspath(name))
    if not os.path.isdir(folder):
        return Refusal(f"Error: there is no folder {visible(folder)}. Make it first: mkdir -p {visible(folder)}")
    return Refusal(f"Error: {visible(name)} could not be created: {error.strerror}.")
