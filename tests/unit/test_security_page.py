"""SECURITY.md names for each promise the tests that attack it, and those tests exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
COLUMNS = ("protected", "by", "bubblewrap", "landlock", "attacked by")


def _rows() -> list[dict[str, str]]:
    """The rows of the table, a cell by its column's name."""
    lines = (PROJECT / "SECURITY.md").read_text(encoding="utf-8").splitlines()
    start = lines.index("| " + " | ".join(COLUMNS) + " |")
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(dict(zip(COLUMNS, (cell.strip() for cell in line.strip("|").split(" | ")), strict=True)))
    return rows


def _named(row: dict[str, str]) -> list[str]:
    """The tests a row names, as FILE::TEST, or as FILE for all of a file's."""
    return re.findall(r"tests/[\w/]+\.py(?:::\w+)?", row["attacked by"])


def _functions(path: str) -> set[str]:
    """The test functions of a file."""
    tree = ast.parse((PROJECT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


ROWS = _rows()


def test_there_is_a_table() -> None:
    """The page has a table with a row for every kind of promise."""
    assert len(ROWS) >= 20


@pytest.mark.parametrize("row", ROWS, ids=[row["protected"] for row in ROWS])
def test_each_row_is_whole_and_names_tests_that_exist(row: dict[str, str]) -> None:
    """Each row says what is protected, by what and how, and names at least one test; each test it names is there."""
    assert all(row[column] for column in COLUMNS)
    named = _named(row)
    assert named
    for name in named:
        path, _, function = name.partition("::")
        assert (PROJECT / path).is_file(), name
        assert not function or function in _functions(path), name


@pytest.mark.parametrize("path", sorted((PROJECT / "tests" / "kernel").glob("test_attack_*.py")), ids=lambda path: path.name)
def test_each_attack_is_named_by_a_row(path: Path) -> None:
    """No attack is without a promise that it attacks."""
    name = path.relative_to(PROJECT).as_posix()
    named = {one for row in ROWS for one in _named(row)}
    assert name in named or {f"{name}::{function}" for function in _functions(name)} <= named
