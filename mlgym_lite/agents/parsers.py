"""How a model says what to do: one fenced command, XML, JSON, or a native tool call, each read by a parser of its own.

A parser yields the shell input and the thought beside it, or raises FormatError with words for the model. It also tells
where in a reply that is still being written the first whole action ends, so that reading can stop there.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mlgym_lite.models.protocol import Reply

SHELL_TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "shell",
        "description": "Run one input in the persistent shell and see what it prints.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string", "description": "What to type, one line or several."}},
            "required": ["command"],
        },
    },
}
"""The one tool of the parser `tools`; everything else is a command of that shell."""
_FENCE = re.compile(r"^ {0,3}(`{3,})[ \t]*([\w+-]*)[ \t]*$", re.MULTILINE)
_COMMAND = re.compile(r"<command>(.*?)</command>", re.DOTALL | re.IGNORECASE)


class FormatError(Exception):
    """A reply without one clear action; the text tells the model what was wrong."""


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What a reply says to do."""

    command: str
    thought: str


class Parser(Protocol):
    """Reads replies of one form."""

    tools: tuple[Mapping[str, Any], ...]
    """The tools a model is offered."""

    def parse(self, reply: Reply) -> Parsed:
        """The action. Raises FormatError where there is not exactly one."""

    def whole(self, text: str) -> int | None:
        """Where the first whole action of a text that goes on ends; None where there is none yet."""


def parser_named(name: str) -> Parser:
    """The parser that an agent file names."""
    kinds: Mapping[str, type[Parser]] = {"fenced": FencedParser, "xml": XmlParser, "json": JsonParser, "tools": ToolParser}
    return kinds[name]()


def _command(text: str, form: str) -> str:
    command = text.strip("\n")
    if not command.strip():
        raise FormatError(f"The {form} is empty.")
    return command


class FencedParser:
    """One block between lines of three or more backticks; what stands around it is the thought."""

    tools: tuple[Mapping[str, Any], ...] = ()

    def parse(self, reply: Reply) -> Parsed:
        """The block's content."""
        blocks, open_at = _blocks(reply.text)
        if open_at is not None:
            raise FormatError("The block is not closed: end it with a line of three backticks.")
        if len(blocks) != 1:
            found = f"{len(blocks)} of them" if blocks else "none"
            raise FormatError(f"Expected exactly one block between lines of three backticks, found {found}.")
        start, first, last, end = blocks[0]
        thought = (reply.text[:start] + reply.text[end:]).strip()
        return Parsed(command=_command(reply.text[first:last], "block"), thought=thought)

    def whole(self, text: str) -> int | None:
        """The end of the first block whose last line has ended."""
        blocks, _ = _blocks(text)
        return blocks[0][3] if blocks and text[blocks[0][3] :].startswith("\n") else None


def _blocks(text: str) -> tuple[list[tuple[int, int, int, int]], int | None]:
    """Start of block, start and end of content, and end of block, of each block; and where one is left open."""
    blocks: list[tuple[int, int, int, int]] = []
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opening is None:
            opening = fence
        elif not fence[2] and len(fence[1]) >= len(opening[1]):
            blocks.append((opening.start(), min(opening.end() + 1, fence.start()), fence.start(), fence.end()))
            opening = None
    return blocks, opening.start() if opening else None


class XmlParser:
    """One <command> element; what stands around it is the thought."""

    tools: tuple[Mapping[str, Any], ...] = ()

    def parse(self, reply: Reply) -> Parsed:
        """The element's content, as it stands: entities are not resolved."""
        found = list(_COMMAND.finditer(reply.text))
        if len(found) != 1:
            raise FormatError(f"Expected exactly one <command>…</command>, found {len(found) or 'none'}.")
        thought = (reply.text[: found[0].start()] + reply.text[found[0].end() :]).strip()
        return Parsed(command=_command(found[0][1], "command"), thought=thought)

    def whole(self, text: str) -> int | None:
        """The end of the first element."""
        found = _COMMAND.search(text)
        return found.end() if found else None


class JsonParser:
    """One object {"thought": …, "command": …}; the command is a text, or a name with arguments."""

    tools: tuple[Mapping[str, Any], ...] = ()

    def parse(self, reply: Reply) -> Parsed:
        """The command, with arguments quoted for the shell."""
        content, _ = _object_in(reply.text)
        if content is None:
            raise FormatError('Expected one JSON object, such as {"thought": "…", "command": "ls"}.')
        command, thought = content.get("command"), content.get("thought", "")
        if isinstance(command, dict) and isinstance(command.get("name"), str):
            arguments = command.get("arguments") or {}
            values = list(arguments.values()) if isinstance(arguments, dict) else arguments
            words = values if isinstance(values, list) else [values]
            command = " ".join([command["name"], *(shlex.quote(str(word)) for word in words)])
        if not isinstance(command, str):
            raise FormatError('"command" is missing, or neither a text nor {"name": …, "arguments": {…}}.')
        return Parsed(command=_command(command, "command"), thought=str(thought).strip())

    def whole(self, text: str) -> int | None:
        """The end of the first object."""
        return _object_in(text)[1]


def _object_in(text: str) -> tuple[dict[str, Any] | None, int | None]:
    """The first JSON object of a text that has a command, and where it ends; an object within one that is not whole has none."""
    start = text.find("{")
    while start >= 0:
        try:
            content, end = json.JSONDecoder(strict=False).raw_decode(text, start)
        except (ValueError, RecursionError):
            content, end = None, start + 1
        if isinstance(content, dict) and "command" in content:
            return content, end
        start = text.find("{", end)
    return None, None


class ToolParser:
    """One call of the tool `shell`; the text beside it is the thought."""

    tools: tuple[Mapping[str, Any], ...] = (SHELL_TOOL,)

    def parse(self, reply: Reply) -> Parsed:
        """The first call's command."""
        if not reply.tool_calls:
            raise FormatError("Expected a call of the tool `shell`, found none.")
        call = reply.tool_calls[0]
        if call.name != "shell":
            raise FormatError(f"There is no tool {call.name!r}; call `shell` with a command.")
        try:
            arguments = json.loads(call.arguments, strict=False)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"The arguments of the call are not JSON: {error}.") from None
        if not isinstance(arguments, dict) or not isinstance(arguments.get("command"), str):
            raise FormatError('The arguments need "command", a text.')
        return Parsed(command=_command(arguments["command"], "command"), thought=reply.text.strip())

    def whole(self, text: str) -> int | None:
        """None: calls come behind the text."""
        return None
