"""network.jsonl: what a sandbox reached and tried to reach, a line for each connection when it has ended."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

logger = logging.getLogger(__name__)

_MOST_RECORDS = 100_000
"""An agent can make refused requests without end; this many take some 20 MB."""


class NetworkLog:
    """Lives as long as its proxy; any thread may write, and what comes after the end is left out."""

    def __init__(self, path: Path) -> None:
        """Open the file, which must not exist; raises OSError."""
        self._lock = threading.Lock()
        self._count = 0
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def __enter__(self) -> NetworkLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        with self._lock:
            if self._count > _MOST_RECORDS:
                self._write({"left_out": self._count - _MOST_RECORDS})
            os.close(self._descriptor)
            self._descriptor = -1

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a connection's line."""
        with self._lock:
            if self._descriptor < 0:
                return
            self._count += 1
            if self._count <= _MOST_RECORDS:
                self._write(record)

    def _write(self, record: Mapping[str, Any]) -> None:
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **record}) + "\n"
        try:
            os.write(self._descriptor, line.encode("ascii"))
        except OSError as error:
            logger.warning("network.jsonl cannot be written: %s", error)
