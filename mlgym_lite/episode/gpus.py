"""The GPUs of one episode: leased before its run directory exists, tried before its first step, given back at its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlgym_lite.errors import IsolationError, LimitError
from mlgym_lite.isolation.gpu_access import GpuAccess, lease_gpus
from mlgym_lite.isolation.gpu_watch import GpuWatch, can_be_told, used_gpu_memory
from mlgym_lite.isolation.output import OutputCapture
from mlgym_lite.isolation.shell import Shell
from mlgym_lite.isolation.shell_run import Served

_PREFLIGHT = '"$MLGYM_LITE_ROOT/venv/bin/python" -I "$MLGYM_LITE_ROOT/opt/mlgym/gpu/preflight.py" --torch'
_PREFLIGHT_SECONDS = 300.0
_SHOWN_BYTES = 10_000


class EpisodeGpus:
    """One episode's; the engine closes it after its last sandbox."""

    def __init__(self, count: int, memory_mb: int | None, environment: Mapping[str, str]) -> None:
        """Lease that many; raises LimitError where there are too few, or where a cap on their memory could not be kept."""
        if memory_mb and count and not can_be_told():
            raise LimitError(
                "gpu_memory_mb of the profile cannot be kept: nothing here tells the GPU memory of processes. Install "
                "mlgym-lite's extra `gpu`, put nvidia-smi on PATH, or leave the key out"
            )
        self.access = lease_gpus(count, environment) if count else GpuAccess()
        self._cap_bytes = memory_mb << 20 if memory_mb and count else None
        self._is_tried = not count
        self._watch: GpuWatch | None = None

    def shell_opened(self, shell: Shell, outputs: Path) -> None:
        """Watch a new shell's GPU memory, and at the first one see that its GPUs compute: raises IsolationError."""
        if self._cap_bytes is not None:
            self._watch = GpuWatch(shell.sandbox, self._cap_bytes, used_gpu_memory)
        if not self._is_tried:
            self._try(shell, outputs)
            self._is_tried = True

    def _try(self, shell: Shell, outputs: Path) -> None:
        capture = OutputCapture(outputs / "gpu-preflight.txt", _SHOWN_BYTES)
        ended = shell.run(_PREFLIGHT, timeout_seconds=_PREFLIGHT_SECONDS, capture=capture, on_control=lambda *_: Served())
        if ended.exit_status == 0:
            return
        said = ended.output.text.strip() or "it said nothing"
        names = ", ".join(f"{gpu.name} ({gpu.uuid})" for gpu in self.access.gpus)
        raise IsolationError(
            f"the leased GPUs do not compute in the sandbox, and nothing falls back to the CPU here: {said}\n  leased: {names}\n"
            "  `nvidia-smi` on the host shows the driver; a torch for the CPU only is the most frequent reason "
            "(requirements of the task, or --python); --gpus 0 runs without"
        )

    def shell_closing(self) -> None:
        """Stop watching a shell that is about to be closed."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def close(self) -> None:
        """Give the GPUs back; twice is harmless."""
        self.shell_closing()
        if self.access.lease is not None:
            self.access.lease.close()
