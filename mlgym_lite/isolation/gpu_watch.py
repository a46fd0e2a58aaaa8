"""A soft cap on the GPU memory of a sandbox's processes: looked at once a second, and the process over it is killed.

It is no wall: between two looks a process can take what is there. A hard limit is a part of a GPU (MIG), which has memory of
its own.
"""

from __future__ import annotations

import contextlib
import csv
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable

from mlgym_lite.isolation.protocol import Sandbox
from mlgym_lite.processes import run_program

logger = logging.getLogger(__name__)

_INTERVAL_SECONDS = 1.0
_QUERY = ("--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")


class GpuWatch:
    """Watches one sandbox; whoever opened it closes it."""

    def __init__(self, sandbox: Sandbox, cap_bytes: int, used: Callable[[], dict[int, int]]) -> None:
        """`used` tells the GPU memory of every process on the host, in bytes by process id."""
        self._sandbox = sandbox
        self._cap = cap_bytes
        self._used = used
        self._closing = threading.Event()
        self.kills = 0
        self._thread = threading.Thread(target=self._watch, name="mlgym-lite-gpu", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching; twice is harmless."""
        self._closing.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closing.wait(_INTERVAL_SECONDS):
            used = self._used()
            inside = self._sandbox.process_ids() if used else []
            own = {process: used[process] for process in inside if process in used}
            if sum(own.values()) > self._cap:
                largest = max(own, key=lambda process: own[process])
                logger.info("kill process %d: %d bytes of GPU memory, the soft cap is %d", largest, own[largest], self._cap)
                self.kills += 1
                with contextlib.suppress(ProcessLookupError):
                    os.kill(largest, signal.SIGKILL)


def can_be_told() -> bool:
    """Whether anything on this host tells the GPU memory of processes."""
    return _by_nvml() is not None or shutil.which("nvidia-smi") is not None


def used_gpu_memory() -> dict[int, int]:
    """Bytes of GPU memory by process id, of every process the driver knows; empty where it tells none."""
    found = _by_nvml()
    return found if found is not None else _by_program()


def _by_nvml() -> dict[int, int] | None:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # the package is missing, or the library it looks for is
        return None
    try:
        total: dict[int, int] = {}
        for index in range(pynvml.nvmlDeviceGetCount()):
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(pynvml.nvmlDeviceGetHandleByIndex(index)):
                total[process.pid] = total.get(process.pid, 0) + (process.usedGpuMemory or 0)
        return total
    except pynvml.NVMLError:
        return {}
    finally:
        pynvml.nvmlShutdown()


def _by_program() -> dict[int, int]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    total: dict[int, int] = {}
    for row in csv.reader(run_program([program, *_QUERY], timeout_seconds=30).output.splitlines()):
        with contextlib.suppress(ValueError):  # "No running processes found", "[N/A]"
            process, megabytes = int(row[0]), int(row[1])
            total[process] = total.get(process, 0) + (megabytes << 20)
    return total
