"""What the attacks share: programs run as the agent, and a host on which they must leave no trace.

Attacks reach the sandbox's folders through $MLGYM_LITE_ROOT, below which a mechanism without a mount namespace shows them;
where it is unset or empty they lie at the root. Python attacks begin with PRELUDE, which names it ROOT.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlgym_lite import Episode

OpenEpisode = Callable[..., Episode]
WAIT_SECONDS = 20.0
SECRET = "sk-secret-of-the-engine"

PRELUDE = """\
import ctypes, errno, os, socket, struct, sys, time
ROOT = os.environ.get("MLGYM_LITE_ROOT", "")
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    value = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    return "allowed" if value >= 0 else errno.errorcode[ctypes.get_errno()]
def tried(attack, *arguments):
    try:
        return attack(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
"""


def run_python(episode: Episode, program: str, **values: Any) -> str:
    """What a Python program prints that the agent runs; `values` are variables it finds set."""
    given = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    return episode.step(f"python3 - <<'END_OF_PROGRAM'\n{PRELUDE}{given}{program}\nEND_OF_PROGRAM").observation


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something holds, and fail when it does not in time."""
    deadline = time.monotonic() + WAIT_SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.02)


def groups_of(process_id: int) -> list[Path]:
    """The control groups that an engine made."""
    return list(Path("/sys/fs/cgroup").glob(f"**/mlgym-lite-{process_id}-*"))
