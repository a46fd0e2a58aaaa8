"""One command's output as it arrives: the whole to a file when it is long or not text, head and tail to show."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MOST_KEPT_BYTES = 256 << 20


@dataclass(frozen=True, kw_only=True)
class CapturedOutput:
    """What a command printed."""

    text: str
    """What is shown: everything, or the head and the tail with a line between that says how much was cut."""
    total_bytes: int
    file: Path | None
    """Where the whole lies, when the text is not exactly it."""
    kept_bytes: int = 0
    """The size of that file."""


class KeptBytes:
    """How many bytes of a run's outputs are kept, against the most that its profile allows."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = 0

    @property
    def left(self) -> int:
        """How many more may be kept."""
        return max(0, self._most - self._kept)

    def add(self, count: int) -> None:
        """So many more are kept."""
        self._kept += count


class OutputCapture:
    """Takes the pieces of one command's output; its owner calls `finish` once.

    `shown_bytes` is how much is shown at most. The file is made only when it is needed, so that short output costs nothing.
    """

    def __init__(self, path: Path, shown_bytes: int, most_kept_bytes: int = MOST_KEPT_BYTES) -> None:
        self._path = path
        self._shown = shown_bytes
        self._most_kept = most_kept_bytes
        self._pieces: list[bytes] = []
        self._kept = 0
        self._tail = b""
        self._total = 0
        self._file: int | None = None

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        self._total += len(piece)
        if self._file is None:
            self._pieces.append(piece)
            self._kept += len(piece)
            if self._kept > self._shown:
                self._spill()
            return
        self._append(piece)
        self._tail = (self._tail + piece)[-self._shown // 2 :]

    def finish(self) -> CapturedOutput:
        """The output as it is to be shown and recorded."""
        if self._file is None:
            whole = b"".join(self._pieces)
            try:
                return CapturedOutput(text=whole.decode("utf-8"), total_bytes=self._total, file=None)
            except UnicodeDecodeError:
                self._path.write_bytes(whole)
                text = whole.decode("utf-8", "replace")
                return CapturedOutput(text=text, total_bytes=self._total, file=self._path, kept_bytes=len(whole))
        os.close(self._file)
        return CapturedOutput(text=self._cut_text(), total_bytes=self._total, file=self._path, kept_bytes=self._kept)

    def _spill(self) -> None:
        whole = b"".join(self._pieces)
        self._file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self._kept = 0
        self._append(whole)
        self._pieces = [whole[: self._shown // 2]]
        self._tail = whole[self._shown // 2 :][-self._shown // 2 :]

    def _append(self, piece: bytes) -> None:
        assert self._file is not None
        piece = piece[: max(0, self._most_kept - self._kept)]
        self._kept += len(piece)
        view = memoryview(piece)
        while view:
            view = view[os.write(self._file, view) :]

    def _cut_text(self) -> str:
        head, tail = self._pieces[0], self._tail
        while tail and tail[0] & 0xC0 == 0x80:  # do not start inside a character
            tail = tail[1:]
        cut = self._total - len(head) - len(tail)
        kept = "" if self._total <= self._most_kept else f" (its first {self._most_kept} bytes)"
        notice = f"\n[... {cut} of {self._total} bytes cut; the whole output{kept} is in the record as {self._path.name} ...]\n"
        return _decoded_head(head) + notice + tail.decode("utf-8", "replace")


def _decoded_head(head: bytes) -> str:
    """Decode a beginning that may end inside a character."""
    for length in range(4):
        piece = head[: len(head) - length]
        try:
            return piece.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.end < len(piece):
                break
    return head.decode("utf-8", "replace")
