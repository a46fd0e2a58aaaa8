"""The tools memory_write and memory_read: an agent's notes, kept across an episode, or across episodes in a folder.

Each episode writes a file of its own, RUN.jsonl in that folder or memory.jsonl in the run directory, a note a line, so that any
number of episodes may share a folder on any file system, without locks. What others write is seen at the next reading.
Notes are ranked against a question by the words they share (BM25), or by a model of embeddings.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlgym_lite.errors import AgentError, OutputError
from mlgym_lite.services.protocol import Answer, ServiceCommand

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Turns texts into vectors, one each, all of one length. Raises AgentError where it fails."""
Rank = Callable[[str, Sequence[str]], Sequence[float]]
"""How well each text fits a question; zero is not at all."""

_MOST_NOTE_CHARACTERS = 8_000
_MOST_NOTES = 1_000
_MOST_FILES = 2_000
_MOST_RANKED_CHARACTERS = 1_000_000
"""Of the newest notes; older ones are not looked at."""
_AT_ONCE = 64
"""Texts in one request to a model of embeddings."""
_SHOWN = 3
_UNPRINTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, kw_only=True)
class Note:
    """One note."""

    text: str
    episode: str
    """The name of the run that wrote it."""


class MemoryService:
    """The notes of one episode, and of those before it where they share a folder."""

    name = "memory"
    commands: tuple[ServiceCommand, ...] = (
        ServiceCommand(name="memory_write", usage="memory_write TEXT", summary="keep a note, in quotes; it outlives the shell"),
        ServiceCommand(
            name="memory_read",
            usage="memory_read [QUESTION]",
            summary="the kept notes that fit a question best, or the last ones",
        ),
    )

    def __init__(self, folder: Path | None = None, *, embed: Embed | None = None) -> None:
        """`folder` keeps notes across episodes; `embed` ranks by meaning instead of words."""
        self._folder = folder
        self._embed = embed
        self._vectors: dict[str, Sequence[float]] = {}
        self._file = Path()
        self._episode = ""

    def open(self, run_directory: Path) -> None:
        """Notes of this episode go to a file of its own."""
        self._episode = run_directory.name
        self._file = run_directory / "memory.jsonl"
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"{self._folder}: cannot be made for notes: {error.strerror or error}") from error
            self._file = self._folder / f"{self._episode}-{secrets.token_hex(4)}.jsonl"  # runs of one name stay apart

    def answer(self, command: str, arguments: Sequence[str], attached: bytes) -> Answer:
        """Keep a note, or find some."""
        text = _UNPRINTED.sub(" ", " ".join(arguments)).strip()
        return self._write(text) if command == "memory_write" else self._read(text)

    def close(self) -> None:
        """Every note is in its file already."""

    def _write(self, text: str) -> Answer:
        if not text:
            return Answer(ok=False, text="Nothing to keep: give the note as text, in quotes.")
        if len(text) > _MOST_NOTE_CHARACTERS:
            return Answer(ok=False, text=f"A note has at most {_MOST_NOTE_CHARACTERS:,} characters; this one has {len(text):,}.")
        number = len(_notes_in(self._file)) + 1
        if number > _MOST_NOTES:
            return Answer(ok=False, text=f"{_MOST_NOTES:,} notes are the most of an episode.")
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"text": text, "episode": self._episode}, ensure_ascii=True) + "\n")
        except OSError as error:
            return Answer(ok=False, text=f"The note could not be kept: {error.strerror or error}.")
        return Answer(ok=True, text=f"Note {number} is kept.")

    def _read(self, question: str) -> Answer:
        notes = _newest(self._notes())
        if not notes:
            return Answer(ok=True, text="There are no notes yet.")
        total = f"{len(notes)} note{'' if len(notes) == 1 else 's'} in all"
        if not question:
            return Answer(ok=True, text=_listed(f"The last notes ({total}):", notes[-_SHOWN:], self._episode))
        question, remark = question[:_MOST_NOTE_CHARACTERS], ""
        try:
            rank: Rank = self._by_meaning if self._embed is not None else by_words
            fits = rank(question, [note.text for note in notes])
        except AgentError as error:
            remark = f" Ranked by words, as {error}."
            fits = by_words(question, [note.text for note in notes])
        best = sorted((at for at in range(len(notes)) if fits[at] > 0), key=lambda at: -fits[at])[:_SHOWN]
        if not best:
            return Answer(ok=True, text=f"No note fits ({total}). memory_read alone shows the last ones.{remark}")
        return Answer(
            ok=True, text=_listed(f"The notes that fit best ({total}):{remark}", [notes[at] for at in best], self._episode)
        )

    def _notes(self) -> list[Note]:
        """Those of earlier episodes first."""
        files = [] if self._folder is None else sorted(self._folder.glob("*.jsonl"), key=_written)[-_MOST_FILES:]
        others = [note for file in files if file != self._file for note in _notes_in(file)]
        return others + _notes_in(self._file)

    def _by_meaning(self, question: str, texts: Sequence[str]) -> Sequence[float]:
        """The cosine between the question's vector and each text's."""
        import numpy as np

        assert self._embed is not None
        unknown = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        for start in range(0, len(unknown), _AT_ONCE):
            part = unknown[start : start + _AT_ONCE]
            self._vectors.update(zip(part, self._embed(part), strict=True))
        [asked] = self._embed([question])
        table = np.asarray([self._vectors[text] for text in texts], dtype=float)
        target = np.asarray(asked, dtype=float)
        lengths = np.linalg.norm(table, axis=1) * np.linalg.norm(target)
        return [float(value) for value in table @ target / np.where(lengths > 0, lengths, 1.0)]


def by_words(question: str, texts: Sequence[str]) -> Sequence[float]:
    """How well each text fits by the words it shares with the question, by BM25. Raises AgentError without the library."""
    try:
        import bm25s
    except ImportError as error:
        raise AgentError("searching notes needs the extra `llm`: pip install 'mlgym-lite[llm]'") from error
    quiet = {"show_progress": False}
    index = bm25s.BM25()
    words = bm25s.tokenize(list(texts), return_ids=False, **quiet)
    asked = bm25s.tokenize([question], return_ids=False, **quiet)[0]
    if not any(words) or not asked:
        return [0.0] * len(texts)
    index.index(words, **quiet)
    return [float(value) for value in index.get_scores(asked)]


def _newest(notes: list[Note]) -> list[Note]:
    """As many of the last notes as are looked at."""
    left, first = _MOST_RANKED_CHARACTERS, len(notes)
    while first and left >= len(notes[first - 1].text):
        first -= 1
        left -= len(notes[first].text)
    return notes[first:]


def _notes_in(file: Path) -> list[Note]:
    """The notes of a file; a line that is none, such as a half-written one, is left out."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    notes = []
    for line in lines:
        try:
            content = json.loads(line)
            notes.append(Note(text=str(content["text"]), episode=str(content["episode"])))
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return notes


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _listed(head: str, notes: Sequence[Note], own: str) -> str:
    """The notes below a head, those of other episodes with their name."""
    return "\n".join(
        [
            head,
            *("- " + note.text.replace("\n", "\n  ") + (f"  [{note.episode}]" if note.episode != own else "") for note in notes),
        ]
    )
