"""Which GPUs this host's driver has, without loading torch: by NVML (the package nvidia-ml-py), else by nvidia-smi.

A GPU's device node is named after its minor number, which is neither NVML's nor CUDA's index; so everything here goes by UUID.
The order is that of the PCI bus, as CUDA has it under CUDA_DEVICE_ORDER=PCI_BUS_ID. Parts of a GPU (MIG) come from NVML only.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlgym_lite.errors import LimitError
from mlgym_lite.processes import run_program

_QUERY = ("--query-gpu=pci.bus_id,uuid,name,memory.total", "--format=csv,noheader,nounits")
_QUERY_SECONDS = 60.0
SHARED_NODES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")


@dataclass(frozen=True, kw_only=True)
class GpuHost:
    """Where a driver shows itself; the defaults are the real places."""

    devices: Path = Path("/dev")
    driver: Path = Path("/proc/driver/nvidia")


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU, or one part of a GPU (MIG) with memory of its own."""

    uuid: str
    name: str
    memory_bytes: int
    nodes: tuple[str, ...]
    """Its own device nodes, as paths below the folder of devices."""
    parent: str | None = None
    """The UUID of the GPU that a part belongs to."""


def has_driver(host: GpuHost) -> bool:
    """Whether a driver for GPUs shows itself."""
    return (host.driver / "version").exists() or any(host.devices.glob("nvidia[0-9]*"))


def find_gpus(host: GpuHost) -> tuple[Gpu, ...]:
    """Every GPU in the order of the PCI bus, parts behind one another; raises LimitError where no driver answers."""
    if not has_driver(host):
        raise LimitError(
            f"no NVIDIA driver on this host (neither {host.driver} nor a device node {host.devices}/nvidia<N>): run on a node "
            "with a GPU, or with --gpus 0"
        )
    found = _by_nvml(host)
    return found if found is not None else _by_program(host)


def _by_nvml(host: GpuHost) -> tuple[Gpu, ...] | None:
    """By NVML; None where its package or the driver's library is not there."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        handles.sort(key=lambda handle: _text(pynvml.nvmlDeviceGetPciInfo(handle).busId))
        return tuple(gpu for handle in handles for gpu in _of_handle(pynvml, handle, host))
    except pynvml.NVMLError as error:
        raise LimitError(f"the NVIDIA driver does not tell its GPUs: {error}. `nvidia-smi` shows what it says itself") from error
    finally:
        pynvml.nvmlShutdown()


def _of_handle(nvml: Any, handle: Any, host: GpuHost) -> Iterator[Gpu]:
    uuid, minor = _text(nvml.nvmlDeviceGetUUID(handle)), int(nvml.nvmlDeviceGetMinorNumber(handle))
    parts = list(_parts(nvml, handle))
    if not parts:
        yield Gpu(
            uuid=uuid, name=_text(nvml.nvmlDeviceGetName(handle)), nodes=(f"nvidia{minor}",),
            memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
        )  # fmt: skip
    for part in parts:
        instance, compute = nvml.nvmlDeviceGetGpuInstanceId(part), nvml.nvmlDeviceGetComputeInstanceId(part)
        place = host.driver / "capabilities" / f"gpu{minor}" / "mig" / f"gi{instance}"
        capabilities = (_capability(place / "access"), _capability(place / f"ci{compute}" / "access"))
        yield Gpu(
            uuid=_text(nvml.nvmlDeviceGetUUID(part)), name=_text(nvml.nvmlDeviceGetName(part)), parent=uuid,
            nodes=(f"nvidia{minor}", *capabilities), memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(part).total),
        )  # fmt: skip


def _parts(nvml: Any, handle: Any) -> Iterator[Any]:
    try:
        count = nvml.nvmlDeviceGetMaxMigDeviceCount(handle) if nvml.nvmlDeviceGetMigMode(handle)[0] else 0
    except nvml.NVMLError:  # a GPU that cannot be parted
        return
    for index in range(count):
        try:
            yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except nvml.NVMLError:  # no part has this number
            continue


def _capability(file: Path) -> str:
    """The device node that gives access to a part (MIG): its number stands in a file of the driver's."""
    found = re.search(r"DeviceFileMinor:\s*(\d+)", file.read_text(encoding="ascii"))
    if found is None:
        raise LimitError(f"{file}: names no device node (DeviceFileMinor)")
    return f"nvidia-caps/nvidia-cap{found[1]}"


def _text(value: str | bytes) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _by_program(host: GpuHost) -> tuple[Gpu, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        raise LimitError(
            "an NVIDIA driver is here, but nothing that tells its GPUs: install mlgym-lite's extra `gpu` (nvidia-ml-py), or put "
            "nvidia-smi on PATH"
        )
    result = run_program([program, *_QUERY], timeout_seconds=_QUERY_SECONDS)
    if result.status != 0:
        raise LimitError(f"{program} ended with exit status {result.status}: {result.output.strip()}")
    if "MIG" in run_program([program, "-L"], timeout_seconds=_QUERY_SECONDS).output:
        raise LimitError("a GPU here is parted (MIG), which nvidia-smi does not tell in full: install mlgym-lite's extra `gpu`")
    rows = sorted([cell.strip() for cell in row] for row in csv.reader(result.output.splitlines()) if len(row) == 4)
    return tuple(
        Gpu(uuid=uuid, name=name, memory_bytes=int(memory) << 20, nodes=(f"nvidia{_minor(bus, host)}",))
        for bus, uuid, name, memory in rows
    )


def _minor(bus: str, host: GpuHost) -> int:
    """The number in the name of a GPU's device node; nvidia-smi writes the bus with a longer domain than the driver."""
    domain, _, rest = bus.lower().partition(":")
    file = host.driver / "gpus" / f"{domain[-4:]}:{rest}" / "information"
    found = re.search(r"Device Minor:\s*(\d+)", file.read_text(encoding="utf-8"))
    if found is None:
        raise LimitError(f"{file}: names no device node (Device Minor)")
    return int(found[1])


def is_granted(gpu: Gpu, host: GpuHost) -> bool:
    """Whether this process may open a GPU: a cluster takes the others' device nodes away."""
    for name in gpu.nodes:
        try:
            os.close(os.open(host.devices / name, os.O_RDWR | os.O_CLOEXEC))
        except OSError:
            return False
    return True
