"""What one tool call leaves for the next: the open file, the lines shown last and how often the agent has scrolled.

It is one JSON file in the agent's home, replaced as a whole, so that a killed tool leaves the old or the new one. It
belongs to the agent, who may delete or spoil it: what cannot be understood counts as nothing remembered.
"""

# ruff: noqa: PTH103, PTH108, PTH120
from __future__ import annotations

import json
import os


class State:
    """What is remembered between two calls; never changed, only replaced."""

    __slots__ = ("first_line", "last_line", "open_file", "scrolls_in_a_row")

    def __init__(
        self, *, open_file: str | None = None, first_line: int = 1, last_line: int = 0, scrolls_in_a_row: int = 0
    ) -> None:
        self.open_file = open_file
        """Absolute path, or None when no file is open."""
        self.first_line = first_line
        """First line of the window shown last, counted from 1."""
        self.last_line = last_line
        """Last line of the window shown last; before `first_line` when it was empty."""
        self.scrolls_in_a_row = scrolls_in_a_row
        """How many of the latest tool calls were scroll_up or scroll_down."""

    def as_json(self) -> str:
        """The state as the text that is stored."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    def after_another_tool(self) -> State:
        """The state once a tool that does not scroll has been called."""
        return State(open_file=self.open_file, first_line=self.first_line, last_line=self.last_line)


def load(path: str) -> State:
    """The stored state, or an empty one when there is none or it cannot be understood."""
    try:
        with open(path, encoding="utf-8") as file:
            stored = json.load(file)
        return _from_stored(stored)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return State()


def save(path: str, state: State) -> None:
    """Replace the stored state; raises OSError when the folder cannot be written."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    aside = f"{path}.{os.getpid()}"
    try:
        with open(aside, "w", encoding="utf-8") as file:
            file.write(state.as_json())
        os.replace(aside, path)
    except OSError:
        if os.path.lexists(aside):
            os.unlink(aside)
        raise


def _from_stored(stored: dict[str, object]) -> State:
    open_file, *numbers = (stored[name] for name in ("open_file", "first_line", "last_line", "scrolls_in_a_row"))
    if not (open_file is None or isinstance(open_file, str)):
        raise TypeError("open_file")
    first, last, scrolls = (number if isinstance(number, int) else -1 for number in numbers)
    if first < 1 or last < 0 or scrolls < 0:
        raise ValueError("line numbers")
    return State(open_file=open_file, first_line=first, last_line=last, scrolls_in_a_row=scrolls)
