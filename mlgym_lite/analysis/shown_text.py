"""Text that others wrote, made fit to be shown."""

from __future__ import annotations


def harmless(text: str) -> str:
    """Text with control characters made visible: it can neither command a terminal nor have its lines read backwards."""
    return "".join(
        character if character in "\n\t" or character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def shown_name(name: str) -> str:
    """A name on one line, cut where it is longer than anyone reads."""
    line = harmless(name).replace("\n", "\\n").replace("\t", "\\t")
    return line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1] + "…"


_LONGEST_NAME = 80
