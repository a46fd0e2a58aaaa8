"""How an action becomes the shell's input: edit blocks become here-documents, everything else stays as it is."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgym_lite.episode.actions import shell_input

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
ONE_LINE = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\n"))
WORDS = st.lists(st.sampled_from(["edit", "insert", "3:5", "3", " ", "\n", "end_of_edit", "end_of_insert", "x", ";", "<<E"]))


@given(TEXT)
def test_text_without_an_edit_command_is_unchanged(action: str) -> None:
    """Whatever names neither `edit` nor `insert` reaches the shell as it is."""
    if "edit" not in action and "insert" not in action:
        assert shell_input(action).text == action


@given(WORDS)
def test_any_mixture_of_edit_words_is_run_or_refused(words: list[str]) -> None:
    """Every action has either a text to run or a problem to tell, never both, and never raises."""
    action = "".join(words)
    made = shell_input(action)
    assert made.problem is None or (made.text == "" and made.problem)


@pytest.mark.parametrize(
    "action",
    [
        "edit",
        "edit 3",
        "edit 3:",
        "edit a:b",
        "echo edit 3:5",
        "edit 3:5 <<'end_of_edit'",
        "insert",
        "insert 1:2",
        "cat edit.py; insert 3 4",
        "reedit 1:2",
        "edit 1:2; echo",
        "end_of_edit",
    ],
)
def test_what_only_looks_like_a_block_is_unchanged(action: str) -> None:
    """Only a line that is an edit command and nothing else opens a block."""
    assert shell_input(action).text == action


@given(st.lists(ONE_LINE), st.sampled_from([("edit 1:2", "end_of_edit"), ("insert 7", "end_of_insert")]))
def test_a_block_becomes_a_here_document_with_its_lines_unchanged(lines: list[str], words: tuple[str, str]) -> None:
    """The lines between the command and its closing line are neither expanded nor changed."""
    opening, closing = words
    inside = [line for line in lines if line.strip() != closing]
    made = shell_input("\n".join([opening, *inside, closing, "echo done"]))
    assert made.text == "\n".join([f"{opening} <<'{closing}'", *inside, closing, "echo done"])


@given(st.lists(st.text("ab$`\"'\\ \t<>|&;!*~#{}()=é", max_size=12), max_size=6))
@settings(max_examples=25, deadline=None)
def test_a_tool_gets_the_lines_exactly_from_a_real_shell(lines: list[str]) -> None:
    """bash hands the text of a block to the tool byte for byte, whatever a shell would make of it."""
    made = shell_input("\n".join(["edit 1:2", *lines, "end_of_edit"]))
    script = f"edit() {{ cat; }}\n{made.text}\n"
    result = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert result.stdout.decode("utf-8") == "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("opening", ["edit 3:5", "  edit 3:5  ", "edit\t3 : 5"])
def test_space_around_the_command_and_its_closing_line_does_not_matter(opening: str) -> None:
    """Agents indent; a block opens and closes all the same."""
    made = shell_input(f"{opening}\ntext\n  end_of_edit  ")
    assert made.problem is None
    assert made.text.endswith("<<'end_of_edit'\ntext\nend_of_edit")


def test_several_blocks_in_one_action() -> None:
    """Blocks may follow one another, with commands between."""
    made = shell_input("open a.py\nedit 1:1\na\nend_of_edit\ninsert 2\nb\nend_of_insert\nls")
    assert made.text == ("open a.py\nedit 1:1 <<'end_of_edit'\na\nend_of_edit\ninsert 2 <<'end_of_insert'\nb\nend_of_insert\nls")


@pytest.mark.parametrize(
    ("action", "closing"),
    [("edit 3:5\nx = 1\n", "end_of_edit"), ("insert 3\nx\nend_of_edit", "end_of_insert"), ("edit 1:1", "end_of_edit")],
)
def test_a_block_without_its_closing_line_is_refused_with_what_is_missing(action: str, closing: str) -> None:
    """Nothing is run, and the agent is told which line is missing."""
    made = shell_input(action)
    assert made.text == ""
    assert made.problem is not None
    assert closing in made.problem
    assert "nothing was run" in made.problem


def test_a_nul_character_is_refused() -> None:
    """No shell command can hold a NUL character."""
    made = shell_input("echo a\0b")
    assert made.text == ""
    assert made.problem is not None and "NUL" in made.problem


@pytest.mark.parametrize("character", ["\ud800", "\udfff"])
def test_a_lone_surrogate_is_refused(character: str) -> None:
    """JSON can hold half of a character, which is no text for a shell: nothing is run and the agent is told."""
    assert shell_input(f"echo {character}").problem is not None


def test_a_here_document_of_the_agents_may_hold_an_edit_command() -> None:
    """A line inside a here-document is text, even if it reads like an edit command."""
    action = "cat > notes.md <<'E'\nedit 1:2\nE"
    assert shell_input(action).text == action
