"""Notes: kept in files, found by words or by meaning, and never harmed by what an agent writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mlgym_lite.errors import AgentError, OutputError
from mlgym_lite.models.embedding import LiteLLMEmbedding
from mlgym_lite.models.script_server import ScriptServer
from mlgym_lite.services.memory import MemoryService

NOTES = ("a batch size of 64 reached 0.71", "gradient boosting beats the linear model", "a learning rate of 0.5 diverges")


def memory(tmp_path: Path, run: str = "run", folder: Path | None = None, **options: object) -> MemoryService:
    """A memory for a run."""
    directory = tmp_path / run
    directory.mkdir(exist_ok=True)
    service = MemoryService(folder, **options)  # type: ignore[arg-type]
    service.open(directory)
    return service


def write(service: MemoryService, *notes: str) -> None:
    """Keep notes."""
    for note in notes:
        assert service.answer("memory_write", [note], b"").ok


def read(service: MemoryService, question: str = "") -> list[str]:
    """The notes that an answer shows, without what is said around them."""
    answer = service.answer("memory_read", question.split(), b"")
    assert answer.ok
    return [line[2:].partition("  [")[0] for line in answer.text.splitlines()[1:]]


def test_notes_are_found_by_their_words(tmp_path: Path) -> None:
    """The best first; without a question the last ones; where none fits, that is said."""
    service = memory(tmp_path)
    assert service.answer("memory_read", [], b"").text == "There are no notes yet."
    write(service, *NOTES)
    assert read(service, "which learning rate")[0] == NOTES[2]
    assert read(service, "boosting") == [NOTES[1]]
    assert read(service) == list(NOTES)
    assert service.answer("memory_read", ["zebra"], b"").text.startswith("No note fits (3 notes in all)")
    assert service.answer("memory_read", ["the"], b"").ok, "a question of stop words only"


def test_notes_are_kept_across_episodes_in_a_folder(tmp_path: Path) -> None:
    """Each run writes a file of its own and reads those of the others, also while they write."""
    folder = tmp_path / "kept" / "notes"
    first, second = memory(tmp_path, "one", folder), memory(tmp_path, "two", folder)
    write(first, NOTES[0])
    write(second, NOTES[1])
    assert set(read(first)) == set(read(second)) == {NOTES[0], NOTES[1]}
    assert sorted(path.name.partition("-")[0] for path in folder.iterdir()) == ["one", "two"]
    assert "[one]" in second.answer("memory_read", ["batch"], b"").text


def test_without_a_folder_they_are_the_run_s_alone(tmp_path: Path) -> None:
    """In its directory, where the record is."""
    write(memory(tmp_path, "one"), NOTES[0])
    assert (tmp_path / "one" / "memory.jsonl").is_file()
    assert read(memory(tmp_path, "two")) == []


def test_a_half_written_line_costs_one_note(tmp_path: Path) -> None:
    """What other runs left, whatever it is, does not stop reading."""
    folder = tmp_path / "notes"
    service = memory(tmp_path, "one", folder)
    write(service, NOTES[0])
    (folder / "killed.jsonl").write_bytes(
        b'{"text": "half\n[1]\n\xff\xfe\n' + b"[" * 10_000 + b'\n{"text": "whole", "episode": "k"}\n'
    )
    assert set(read(service)) == {NOTES[0], "whole"}


def test_limits_are_told(tmp_path: Path) -> None:
    """Empty and over-long notes are refused with what is allowed, control characters are taken out."""
    service = memory(tmp_path)
    assert "Nothing to keep" in service.answer("memory_write", ["  "], b"").text
    assert "at most 8,000 characters" in service.answer("memory_write", ["x" * 8001], b"").text
    write(service, "red \x1b[31m text\nsecond line")
    assert "\x1b" not in service.answer("memory_read", [], b"").text


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With its path, before the first step."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file/notes: cannot be made for notes"):
        memory(tmp_path, "one", tmp_path / "file" / "notes")


def test_notes_are_ranked_by_meaning_where_a_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each note is embedded once, over the protocol of OpenAI."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    with ScriptServer([]) as server:
        embedding = LiteLLMEmbedding("openai/script", server.base_url)
        asked: list[int] = []

        def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
            asked.append(len(texts))
            return embedding(texts)

        service = memory(tmp_path, embed=embed)
        write(service, *NOTES)
        assert read(service, "learn gradients")[0] in NOTES[1:]
        assert read(service, "diverging rates")[0] == NOTES[2]
        assert asked == [3, 1, 1]


def test_where_the_model_fails_words_rank(tmp_path: Path) -> None:
    """And the agent is told why."""

    def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        raise AgentError("the model is away")

    service = memory(tmp_path, embed=embed)
    write(service, *NOTES)
    answer = service.answer("memory_read", ["boosting"], b"")
    assert "Ranked by words, as the model is away." in answer.text and NOTES[1] in answer.text
