"""Agent files: the shipped ones, what a user's own may change, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlgym_lite.config.agent_file import SHIPPED, load_agent_file, shipped_agent_names
from mlgym_lite.errors import AgentError


@pytest.mark.parametrize("name", shipped_agent_names())
def test_every_shipped_agent_can_be_read(name: str) -> None:
    """It has a description and all prompts."""
    stem, settings, prompts = load_agent_file(name)
    assert stem == name and settings.description
    assert set(prompts) == {"system", "task", "observation", "format_error"} and all(prompts.values())


def test_a_users_own_file_changes_what_it_names(tmp_path: Path) -> None:
    """A prompt beside the file wins; others and all other settings stay as shipped."""
    (tmp_path / "mine.j2").write_text("Be quick.\n", encoding="utf-8")
    (tmp_path / "task.j2").write_text("My task.\n", encoding="utf-8")
    file = tmp_path / "mine.toml"
    file.write_text('[prompts]\nsystem = "mine.j2"\n[limits]\ntokens = 7\n', encoding="utf-8")
    name, settings, prompts = load_agent_file(str(file))
    assert (name, settings.limits.tokens, settings.format.parser) == ("mine", 7, "fenced")
    assert (prompts["system"], prompts["task"]) == ("Be quick.\n", "My task.\n")
    assert prompts["observation"] == (SHIPPED / "observation.j2").read_text(encoding="utf-8")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Each with its key, unknown ones with the nearest."""
    file = tmp_path / "bad.toml"
    file.write_text('[format]\nparser = "yaml"\n[history]\nobservation = 3\n[model]\nattempts = 0\n', encoding="utf-8")
    with pytest.raises(AgentError) as told:
        load_agent_file(str(file))
    for words in ("format.parser: expected", "did you mean 'observations'?", "model.attempts: expected at least 1"):
        assert words in str(told.value)


@pytest.mark.parametrize(
    ("content", "words"), [("[prompts]\nsystem = 'gone.j2'\n", "gone.j2 cannot be read"), ("a b", "is not TOML")]
)
def test_missing_and_broken_files_are_told(tmp_path: Path, content: str, words: str) -> None:
    """With the file's name."""
    file = tmp_path / "bad.toml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(AgentError, match=words):
        load_agent_file(str(file))
    with pytest.raises(AgentError, match="cannot be read"):
        load_agent_file(str(tmp_path / "nowhere.toml"))
