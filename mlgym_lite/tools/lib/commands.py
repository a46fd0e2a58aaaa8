"""Which tools there are, and what one call of a tool goes through: help, the command itself, its state, its output.

A command's text goes to standard output with exit status 0; a refusal's goes to standard error with exit status 1.
The text is printed last, when files and state are already written, so that a reader who stops early changes nothing.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from .messages import Misuse, Refusal
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SCROLLS = ("scroll_down", "scroll_up")


class Command:
    """One tool: where its code is and what it says about itself."""

    __slots__ = ("function", "module", "summary", "usage")

    def __init__(self, module: str, function: str, usage: str, summary: str) -> None:
        self.module = module
        self.function = function
        self.usage = usage
        self.summary = summary

    def load(self) -> Callable[[list[str], Session], str]:
        """The function that carries the tool out; its module is imported only now."""
        function: Callable[[list[str], Session], str] = getattr(import_module(f".{self.module}", __package__), self.function)
        return function


COMMANDS = {
    "open": Command("viewing", "open_file", "open PATH [LINE]", "Open a text file, at a line if one is given."),
    "goto": Command("viewing", "go_to", "goto LINE", "Show the open file around a line."),
    "scroll_down": Command("viewing", "scroll_down", "scroll_down", "Show the next window of the open file."),
    "scroll_up": Command("viewing", "scroll_up", "scroll_up", "Show the previous window of the open file."),
    "create": Command("viewing", "create", "create FILE", "Make a new file and open it."),
    "edit": Command(
        "editing",
        "edit",
        "edit FIRST:LAST, then the new lines, then end_of_edit on a line of its own",
        "Replace lines FIRST to LAST of the open file with the text on standard input; none deletes them.",
    ),
    "insert": Command(
        "editing",
        "insert",
        "insert LINE, then the new lines, then end_of_insert on a line of its own",
        "Insert the text on standard input after a line of the open file; 0 is its beginning.",
    ),
    "search_dir": Command(
        "searching", "search_dir", "search_dir TERM [FOLDER]", "Count the lines with TERM in each file of a folder."
    ),
    "search_file": Command(
        "searching", "search_file", "search_file TERM [FILE]", "List the lines with TERM in the open or another file."
    ),
    "find_file": Command("searching", "find_file", "find_file NAME [FOLDER]", "Find files by name or pattern, such as '*.py'."),
    "validate": Command("control", "validate", "validate", "Score the present work; the number of times is limited."),
    "submit": Command("control", "submit", "submit", "Hand in the present work and end the episode."),
    "memory_write": Command("control", "memory_write", "memory_write TEXT", "Keep a note, where the run has a memory."),
    "memory_read": Command(
        "control", "memory_read", "memory_read [QUESTION]", "The notes that fit a question best, or the last ones."
    ),
    "literature_search": Command(
        "control", "literature_search", "literature_search WORDS [COUNT]", "Find papers, where the run may ask for them."
    ),
    "read_paper": Command("control", "read_paper", "read_paper ID [PAGE]", "A page of a paper's text."),
    "view_image": Command("control", "view_image", "view_image FILE", "See a picture, where the model of the run can."),
}


def main(words: list[str]) -> int:
    """Run the tool that the first word names with the others as its arguments, and return its exit status."""
    name, *arguments = words
    command = COMMANDS[name]
    if arguments and arguments[0] in ("-h", "--help"):
        _write(1, f"Usage: {command.usage}\n{command.summary}\n")
        return 0
    try:
        _write(1, _run(name, arguments, Session(os.environ, _read_standard_input)))
    except Misuse as misuse:
        _write(2, f"{misuse}\nUsage: {command.usage}\n")
        return 1
    except Refusal as refusal:
        _write(2, f"{refusal}\n")
        return 1
    except OSError as error:
        _write(2, f"Error: {name} failed: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(name: str, arguments: list[str], session: Session) -> str:
    if name not in SCROLLS:
        session.state = session.state.after_another_tool()
    try:
        return COMMANDS[name].load()(arguments, session)
    finally:
        session.store()


def _read_standard_input() -> bytes:
    """All of standard input; nothing when it is closed or a terminal, where nobody would type."""
    if sys.stdin is None or sys.stdin.isatty():
        return b""
    return sys.stdin.buffer.read()


def _write(descriptor: int, text: str) -> None:
    remaining = memoryview(text.removesuffix("\n").encode("utf-8", "surrogateescape") + b"\n")
    try:
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]
    except BrokenPipeError:
        return
