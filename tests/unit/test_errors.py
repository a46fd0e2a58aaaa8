"""The tree of errors: what a script can rely on when it reads an exit code."""

from __future__ import annotations

import re

import mlgym_lite.errors
from mlgym_lite.errors import MLGymLiteError, TaskError


def _all_errors() -> list[type[MLGymLiteError]]:
    found: list[type[MLGymLiteError]] = [MLGymLiteError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return [kind for kind in dict.fromkeys(found) if kind.__module__ == "mlgym_lite.errors"]


def test_every_error_class_has_an_exit_code_of_its_own() -> None:
    """No two error classes share an exit code."""
    codes = [kind.exit_code for kind in _all_errors()]
    assert len(set(codes)) == len(codes)


def test_no_error_takes_a_code_that_means_something_else() -> None:
    """Exit codes leave 0, click's 2, and the shell's 126 and above alone."""
    for kind in _all_errors():
        assert kind.exit_code != 2
        assert 0 < kind.exit_code < 126


def test_the_tree_in_the_docstring_names_every_error_with_its_code() -> None:
    """The tree drawn in the module's docstring lists exactly the classes there are, each with its exit code."""
    drawn = dict(re.findall(r"^[├└─│ ]*(\w+) +(\d+)\b", mlgym_lite.errors.__doc__ or "", re.MULTILINE))
    assert drawn == {kind.__name__: str(kind.exit_code) for kind in _all_errors()}


def test_every_error_says_in_its_docstring_what_it_is() -> None:
    """Each error class has a docstring of its own."""
    for kind in _all_errors():
        assert kind.__doc__ and kind.__doc__.strip()


def test_a_task_error_lists_its_problems_a_line_each() -> None:
    """The text of a TaskError is its message and, indented below it, each problem."""
    error = TaskError("task.toml cannot be used:", ("one", "two"))
    assert str(error) == "task.toml cannot be used:\n  one\n  two"
    assert error.problems == ("one", "two")
