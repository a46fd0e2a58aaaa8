"""Files that are there whole or not at all: written aside in the same folder, then moved into place.

What is aside is called .NAME.PID.part, so that of what a killed process leaves it can be told that nobody writes it any more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def whole_file(path: Path, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """A new file that takes its place when the block ends well, and leaves nothing otherwise; `options` are those of `open`."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with open(descriptor, mode, **options) as file:
            yield file
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise


def write_whole(path: Path, content: str | bytes, *, errors: str = "strict") -> None:
    """Write all of a file or nothing; a text is UTF-8, `errors` as for `str.encode`. Raises OSError."""
    with whole_file(path) as file:
        file.write(content.encode("utf-8", errors) if isinstance(content, str) else content)
