"""The text of a PDF that nobody vouches for: a process of its own reads it, within limits, and what it says is cleaned."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from mlgym_lite.processes import run_filter
from mlgym_lite.services.papers import LiteratureError, clean_text
from mlgym_lite.services.pdf_reader import LOCKED, OUT_OF_MEMORY, STOPPED

_READER = Path(__file__).with_name("pdf_reader.py")
_LEAST_CHARACTERS = 40


@dataclass(frozen=True, kw_only=True)
class ReadingLimits:
    """What reading one PDF may take."""

    memory_bytes: int = 1 << 30
    processor_seconds: int = 20
    seconds: float = 30.0
    most_bytes: int = 2_000_000
    """Of text."""


@dataclass(frozen=True, kw_only=True)
class PaperText:
    """What could be read."""

    text: str
    complete: bool


def paper_text(content: bytes, limits: ReadingLimits | None = None) -> PaperText:
    """The text of a PDF.

    Raises LiteratureError where there is none to be had.
    """
    limits = limits or ReadingLimits()
    arguments = [sys.executable, "-I", "-B", _READER, limits.memory_bytes, limits.processor_seconds, limits.most_bytes]
    result = run_filter(
        [str(argument) for argument in arguments],
        content,
        environment={},
        timeout_seconds=limits.seconds,
        most_bytes=limits.most_bytes,
    )
    text = clean_text(result.output.decode("utf-8", errors="ignore")).strip()
    if len(text) >= _LEAST_CHARACTERS:
        return PaperText(text=text, complete=result.status == 0)
    raise LiteratureError(_reason(result.status))


def _reason(status: int) -> str:
    if status == 0:
        return "its PDF holds no text, only pictures of pages"
    if status == LOCKED:
        return "its PDF is locked with a password"
    if status in (OUT_OF_MEMORY, STOPPED, -signal.SIGXCPU, -signal.SIGKILL):
        return "its PDF takes more time or memory to read than is allowed"
    return "its PDF is broken"
