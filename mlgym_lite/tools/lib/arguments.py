"""Reading a tool's arguments: there are no options, so everything is a name or a number, and `--` may come first."""

from __future__ import annotations

from .messages import Misuse, visible

LONGEST_NUMBER = 15


def positional(arguments: list[str], least: int, most: int) -> list[str]:
    """The arguments without the first `--`; raises Misuse unless there are `least` to `most`, none of them empty."""
    values = list(arguments)
    if "--" in values:
        values.remove("--")
    if len(values) < least:
        raise Misuse("Error: an argument is missing.")
    if len(values) > most:
        raise Misuse("Error: too many arguments; a name or term with spaces needs quotes.")
    if "" in values:
        raise Misuse("Error: an argument is empty.")
    return values


def line_number(text: str) -> int:
    """The whole number that the text spells; raises Misuse when it is anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER):
        raise Misuse(f"Error: {visible(text)} is not a line number.")
    return int(text)
