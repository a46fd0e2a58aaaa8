"""How the tools speak to the agent: refusals, names made visible and numbers with their noun."""

from __future__ import annotations


class Refusal(Exception):
    """A tool will not or cannot do what was asked; the text says why and what to do next."""


class Misuse(Refusal):
    """The arguments are not what the tool takes; the tool's usage is shown with the text."""


def visible(name: str) -> str:
    """The name on one line, with control, formatting and undecodable characters written as escapes."""
    return "".join(character if character.isprintable() else _escaped(character) for character in name)


def quoted(name: str) -> str:
    """The name as one word of a shell command."""
    return "'" + name.replace("'", "'\\''") + "'"


def counted(number: int, noun: str) -> str:
    """The number with its noun, in the plural unless it is one."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}es" if noun.endswith("ch") else f"{number:,} {noun}s"


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
