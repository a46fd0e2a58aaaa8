"""Programs that run beside this one, their output in a file; none outlives the process that began it."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlgym_lite.processes import start_with_launcher

logger = logging.getLogger(__name__)


class BackgroundProgram:
    """One program in a process group of its own. Who begins it asks for its end until it has ended."""

    def __init__(self, arguments: Sequence[str | Path], output: Path, environment: Mapping[str, str] | None = None) -> None:
        """Start it; what it prints is appended to `output`. Raises OSError where it cannot start."""
        command = [str(argument) for argument in arguments]
        logger.info("start %s >> %s", shlex.join(command), output)
        with output.open("ab") as file:
            self._process = start_with_launcher(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
        self.descriptor = os.pidfd_open(self._process.pid)
        """Can be read once the program has ended."""

    def exit_status(self) -> int | None:
        """As a shell tells it, 128 and the signal's number for a killed one; None while it runs."""
        status = self._process.poll()
        if status is None:
            return None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        return status if status >= 0 else 128 - status

    def kill(self) -> None:
        """End it, with its process group, at once."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
