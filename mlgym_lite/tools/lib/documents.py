"""Text files as the tools see them: read whole, split at line feeds only, never decoded before they are shown.

Lines keep their bytes, endings included, so that what an edit does not touch is written back as it was. Anything but a
regular text file of reasonable size is refused with a reason and a way forward.
"""

# ruff: noqa: PTH112, PTH118, PTH208
from __future__ import annotations

import io
import os
import stat

from .messages import Refusal, visible
from .places import real_path

LARGEST_BYTES = 64 * 1024 * 1024
HEAD_BYTES = 8192
NAMES_COMPARED = 2000
IMAGE_STARTS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
}
TEXT_CONTROLS = b"\t\n\r\f\v\b\a\x1b"
CONTROLS_ONLY = bytes(code for code in range(32) if code not in TEXT_CONTROLS) + b"\x7f"


class Document:
    """A text file's path and lines at the moment it was read."""

    __slots__ = ("lines", "path")

    def __init__(self, path: str, lines: list[bytes]) -> None:
        self.path = path
        """Absolute, links resolved."""
        self.lines = lines
        """Each with its ending; only the last may have none."""

    def text(self, number: int) -> str:
        """Line `number`, counted from 1, without its ending and with undecodable bytes as escapes."""
        return shown(self.lines[number - 1])


def shown(line: bytes) -> str:
    """A line as it is printed: without its ending and with undecodable bytes as escapes."""
    return line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "backslashreplace")


def split(content: bytes) -> list[bytes]:
    """The lines of the content, endings kept."""
    return io.BytesIO(content).readlines()


def read(name: str) -> Document:
    """The text file of that name; raises Refusal when there is none or it is not text."""
    path = real_path(name)
    status = _status(path, name)
    _refuse_special(path, status)
    if status.st_size > LARGEST_BYTES:
        raise Refusal(
            f"Error: {visible(path)} is too large for this tool ({status.st_size:,} bytes; the limit is "
            f"{LARGEST_BYTES:,}). Look at parts of it with head, tail or sed -n 'A,Bp'."
        )
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise Refusal(f"Error: {visible(path)} cannot be read: {error.strerror}.") from error
    _refuse_binary(path, content[:HEAD_BYTES])
    return Document(path, split(content))


def is_binary(head: bytes) -> bool:
    """Whether a file that starts like this is no text: a NUL byte, or more than a few odd control characters."""
    odd = len(head) - len(head.translate(None, CONTROLS_ONLY))
    return b"\0" in head or odd * 20 > len(head)


def missing(path: str, name: str) -> Refusal:
    """The refusal for a path where there is nothing, with the nearest name in its folder."""
    folder, base = os.path.split(path)
    if not os.path.isdir(folder):
        return Refusal(f"Error: {visible(name)} does not exist, because there is no folder {visible(folder)}.")
    near = _nearest(base, folder)
    hint = f"Did you mean {visible(os.path.join(folder, near))}?" if near else "find_file NAME looks for a file."
    return Refusal(f"Error: {visible(name)} does not exist. {hint}")


def _status(path: str, name: str) -> os.stat_result:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise missing(path, name) from None
    except OSError as error:
        raise Refusal(f"Error: {visible(name)} cannot be opened: {error.strerror}.") from error


def _refuse_special(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise Refusal(f"Error: {visible(path)} is a directory. List it with ls, or open a file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise Refusal(f"Error: {visible(path)} is a pipe, socket or device, not a file that can be opened.")


def _refuse_binary(path: str, head: bytes) -> None:
    for start, kind in IMAGE_STARTS.items():
        if head.startswith(start):
            raise Refusal(f"Error: {visible(path)} is an image ({kind}); only text files can be opened.")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        raise Refusal(f"Error: {visible(path)} is an image (WebP); only text files can be opened.")
    if is_binary(head):
        raise Refusal(f"Error: {visible(path)} is a binary file; only text files can be opened.")


def _nearest(base: str, folder: str) -> str | None:
    from difflib import get_close_matches

    try:
        names = os.listdir(folder)[:NAMES_COMPARED]
    except OSError:
        return None
    by_lower_case = {name.lower(): name for name in names}
    matches = get_close_matches(base.lower(), by_lower_case, n=1)
    return by_lower_case[matches[0]] if matches else None
