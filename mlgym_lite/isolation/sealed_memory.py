"""Content that comes with a request from a sandbox: a memory file that is sealed, so that reading it can neither wait nor race.

A descriptor of any other kind is not read: a file of the agent's may change or block, and one of /proc may show whoever reads it
more than the agent may see.
"""

from __future__ import annotations

import fcntl
import os

MOST_BYTES = 8 << 20
_NEEDED = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


def sealed_content(descriptor: int) -> bytes:
    """The content of a sealed memory file; empty for anything else, and for one of more than MOST_BYTES."""
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        if seals & _NEEDED != _NEEDED or os.fstat(descriptor).st_size > MOST_BYTES:
            return b""
        return os.pread(descriptor, MOST_BYTES, 0)
    except OSError:  # no memory file
        return b""
