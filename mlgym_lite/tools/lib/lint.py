"""What is wrong with a Python file, and which of it an edit has brought.

Found are syntax errors, by compiling without running anything, indentation that is not a multiple of four, and names
and arguments that cannot work, by pyflakes when it is there. The codes are flake8's: E999, E902, E112, E113, E111,
F821, F822 and F831. Style is nobody's business here.
"""

# ruff: noqa: PTH100, PTH112, PTH118, PTH120
from __future__ import annotations

import ast
import os
import sys
import warnings
from importlib import import_module

from .documents import shown, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

PYFLAKES_CODES = {"UndefinedName": "F821", "UndefinedExport": "F822", "DuplicateArgument": "F831"}
SYNTAX_CODES = ("E112", "E113", "E902", "E999")
INDENTATION = 4


class Problem:
    """One thing that is wrong, at one line."""

    __slots__ = ("code", "line", "text")

    def __init__(self, *, line: int, code: str, text: str) -> None:
        self.line = line
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"{self.line}: {self.code} {self.text}"


class Findings:
    """What an edit has brought, and the syntax error it has left in place."""

    __slots__ = ("new", "remaining_syntax_error")

    def __init__(self, *, new: list[Problem], remaining_syntax_error: Problem | None) -> None:
        self.new = new
        self.remaining_syntax_error = remaining_syntax_error


def compare(before: bytes, after: bytes, *, edited: range, shift: int, folder: str | None) -> Findings:
    """What is wrong after an edit and was not before.

    `edited` are the new lines' numbers, and lines behind them have moved by `shift`. A problem that has only moved is
    not new. Where the old file could not be parsed, what was wrong with it is unknown: only problems on the edited
    lines count then. `folder` holds pyflakes, when it is neither beside this package's modules nor installed.
    """
    found = problems(after, folder)
    if not found:
        return Findings(new=[], remaining_syntax_error=None)
    old = problems(before, folder)
    if any(problem.code in SYNTAX_CODES for problem in old):
        new = [problem for problem in found if problem.line in edited]
    else:
        new = _without_old(found, old, edited, shift)
    left = next((problem for problem in found if problem.code in SYNTAX_CODES), None)
    return Findings(new=new, remaining_syntax_error=left)


def problems(content: bytes, folder: str | None = None) -> list[Problem]:
    """Everything that is wrong with the content, by line; only the syntax error when it cannot be parsed."""
    parsed = _parse(content)
    if isinstance(parsed, Problem):
        return [parsed]
    lines = split(content)
    found = _odd_indentation(parsed, lines) + _name_problems(parsed, lines, _load_pyflakes(folder))
    return sorted(found, key=lambda problem: problem.line)


def _without_old(found: list[Problem], old: list[Problem], edited: range, shift: int) -> list[Problem]:
    """The problems found that do not match an old one: first at its moved line, then by what it says alone."""
    if any(problem.code == "E111" for problem in old):
        found = [problem for problem in found if problem.code != "E111"]
    last_removed = edited.stop - 1 - shift
    remaining = [(problem.line + (shift if problem.line > last_removed else 0), problem.code, problem.text) for problem in old]
    for is_match in (_is_same_place, _is_same_text):
        unmatched = []
        for problem in found:
            match = next((key for key in remaining if is_match(problem, key)), None)
            if match is None:
                unmatched.append(problem)
            else:
                remaining.remove(match)
        found = unmatched
    return found


def _is_same_place(problem: Problem, key: tuple[int, str, str]) -> bool:
    return (problem.line, problem.code, problem.text) == key


def _is_same_text(problem: Problem, key: tuple[int, str, str]) -> bool:
    return (problem.code, problem.text) == key[1:]


def _parse(content: bytes) -> ast.Module | Problem:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(content)
            compile(tree, "<edited>", "exec", dont_inherit=True)
        except SyntaxError as error:
            return Problem(line=error.lineno or 1, code=_syntax_code(error), text=f"{type(error).__name__}: {error.msg}")
        except (ValueError, OverflowError) as error:
            return Problem(line=1, code="E902", text=str(error))
        except (RecursionError, MemoryError):
            return Problem(line=1, code="E999", text="the code is nested too deeply to be compiled")
    return tree


def _syntax_code(error: SyntaxError) -> str:
    message = error.msg or ""
    if message.startswith("expected an indented block"):
        return "E112"
    if message == "unexpected indent":
        return "E113"
    return "E902" if "codec can't decode" in message or "encoding" in message else "E999"


def _odd_indentation(tree: ast.Module, lines: list[bytes]) -> list[Problem]:
    """The statements that begin a line and stand at a column that is not a multiple of four."""
    odd = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.col_offset and node.lineno <= len(lines):
            margin = lines[node.lineno - 1][: node.col_offset]
            if not margin.strip() and len(margin.expandtabs(8)) % INDENTATION:
                odd.add(node.lineno)
    return [Problem(line=line, code="E111", text="indentation is not a multiple of four") for line in odd]


def _name_problems(tree: ast.Module, lines: list[bytes], checker: ModuleType | None) -> list[Problem]:
    if checker is None:
        return []
    try:
        messages = checker.Checker(tree).messages
    except RecursionError:
        return []
    return [
        Problem(line=message.lineno, code=code, text=shown(str(message.message % message.message_args).encode()))
        for message in messages
        if (code := PYFLAKES_CODES.get(type(message).__name__)) and not _is_waived(lines, message.lineno)
    ]


def _is_waived(lines: list[bytes], number: int) -> bool:
    line = lines[number - 1].lower() if number <= len(lines) else b""
    return b"# noqa" in line or b"#noqa" in line


def _load_pyflakes(folder: str | None) -> ModuleType | None:
    """pyflakes' checker from the folder named, from beside this file, or from the interpreter's own packages."""
    for place in (folder, os.path.dirname(os.path.abspath(__file__))):
        if place and place not in sys.path and os.path.isdir(os.path.join(place, "pyflakes")):
            sys.path.append(place)
    try:
        return import_module("pyflakes.checker")
    except ImportError:
        return _load_installed_pyflakes()


def _load_installed_pyflakes() -> ModuleType | None:
    """pyflakes' checker after adding the installed packages, which a start with -S has left out."""
    import site

    site.main()
    try:
        return import_module("pyflakes.checker")
    except ImportError:
        return None
