"""Turning an agent's action into the text that the shell runs.

Agents write edits as MLGym's do, the new text behind the command and a closing line of its own:

    edit 3:5
    the new lines
    end_of_edit

which a shell would take for further commands. Such a block becomes a here-document. Nothing else of an action is changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CLOSING = {"edit": "end_of_edit", "insert": "end_of_insert"}
_OPENING = re.compile(r"^[ \t]*(?:(?P<edit>edit)[ \t]+\d+[ \t]*:[ \t]*\d+|(?P<insert>insert)[ \t]+\d+)[ \t]*$")

_HERE_DOCUMENT = re.compile(r"(?<!<)<<-?[ \t]*(['\"]?)([\w.]+)\1(?!<)")


@dataclass(frozen=True, kw_only=True)
class ShellInput:
    """What is run, or why nothing is."""

    text: str
    problem: str | None = None


def shell_input(action: str) -> ShellInput:
    """The shell's input for an action; `problem` is told to the agent in place of running it."""
    if "\0" in action:
        return ShellInput(text="", problem="The action holds a NUL character, which no shell command can; nothing was run.")
    try:
        action.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        character = f"\\u{ord(action[error.start]):04x}"
        return ShellInput(text="", problem=f"The action holds {character}, half a character, which is no text; nothing was run.")
    if "edit" not in action and "insert" not in action:
        return ShellInput(text=action)
    lines: list[str] = []
    closing: str | None = None
    waiting: list[str] = []
    for line in action.split("\n"):
        if waiting:  # a here-document of the agent's own: text, whatever it reads like
            if line.strip() == waiting[0]:
                waiting.pop(0)
        elif closing is None:
            match = _OPENING.match(line)
            if match:
                closing = _CLOSING["edit" if match["edit"] else "insert"]
                line = f"{line.rstrip()} <<'{closing}'"
            else:
                waiting = [found[1] for found in _HERE_DOCUMENT.findall(line)]
        elif line.strip() == closing:
            line, closing = closing, None
        lines.append(line)
    if closing is not None:
        return ShellInput(
            text="", problem=f"Malformed edit: no line `{closing}` closes it; nothing was run. Write the text, then {closing}."
        )
    return ShellInput(text="\n".join(lines))
