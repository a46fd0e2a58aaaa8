"""What a sandbox with leased GPUs sees of them: device nodes, the driver's files, and the variables that lead CUDA there.

Only the leased GPUs' own nodes are shown, besides those that all share; a GPU whose node is not there does not exist for CUDA.
The driver's libraries come with /usr where a distribution keeps them; a site that keeps them elsewhere has them shown at their
own paths.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlgym_lite.errors import LimitError
from mlgym_lite.isolation.gpu_choice import visible
from mlgym_lite.isolation.gpu_discovery import SHARED_NODES, Gpu, GpuHost, find_gpus, is_granted
from mlgym_lite.isolation.gpu_leases import GpuLease, lease_folder, take
from mlgym_lite.isolation.protocol import Mount
from mlgym_lite.processes import run_program

_DRIVER_LIBRARY = re.compile(
    r"lib(cuda|nvidia-(ml|ptxjitcompiler|nvvm|gpucomp|allocator|cfg|pkcs11|opencl)|cudadebugger)\.so(\.[\d.]+)?$"
)
_COMMON_FOLDERS = (Path("/usr"), Path("/lib"), Path("/lib64"))


@dataclass(frozen=True, kw_only=True)
class GpuAccess:
    """What is added to a sandbox's request; without GPUs, that there are none."""

    gpus: tuple[Gpu, ...] = ()
    devices: tuple[Mount, ...] = ()
    mounts: tuple[Mount, ...] = ()
    variables: Mapping[str, str] = field(default_factory=lambda: {"CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "none"})
    lease: GpuLease | None = None


def grantable_gpus(environment: Mapping[str, str], host: GpuHost) -> tuple[Gpu, ...]:
    """The GPUs this process may hand on: what it can open, and of that what an outer CUDA_VISIBLE_DEVICES names.

    In this order, because CUDA counts only what it can open: under a scheduler's device rules index 0 is the first of those.
    """
    return visible([gpu for gpu in find_gpus(host) if is_granted(gpu, host)], environment)


def lease_gpus(count: int, environment: Mapping[str, str], host: GpuHost | None = None) -> GpuAccess:
    """Take GPUs for one run; raises LimitError where there are too few. The lease in it is the caller's to close."""
    host = host or GpuHost()
    gpus = grantable_gpus(environment, host)
    if len(gpus) < count:
        outer = environment.get("CUDA_VISIBLE_DEVICES")
        why = f"; CUDA_VISIBLE_DEVICES={outer} leaves no more" if outer is not None else ""
        raise LimitError(f"{count} GPUs are wanted, and this process may use {len(gpus)}{why}; ask for fewer with --gpus")
    lease = take(gpus, count, lease_folder(environment))
    try:
        return _access(lease, environment, host)
    except BaseException:
        lease.close()
        raise


def _access(lease: GpuLease, environment: Mapping[str, str], host: GpuHost) -> GpuAccess:
    names = dict.fromkeys((*(node for gpu in lease.gpus for node in gpu.nodes), *SHARED_NODES))
    if not (host.devices / "nvidia-uvm").exists():
        raise LimitError(
            f"{host.devices}/nvidia-uvm is missing, which CUDA needs and no sandbox can make: run `nvidia-modprobe -u -c=0` on "
            "this host once (or `nvidia-smi` as root)"
        )
    devices = tuple(
        Mount(source=host.devices / name, target=f"/dev/{name}", writable=True)
        for name in names
        if (host.devices / name).exists()
    )
    files = _driver_files(environment)
    uuids = ",".join(gpu.uuid for gpu in lease.gpus)
    variables = {"CUDA_VISIBLE_DEVICES": uuids, "NVIDIA_VISIBLE_DEVICES": uuids, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    if files:
        variables["LD_LIBRARY_PATH"] = ":".join(dict.fromkeys(str(file.parent) for file in files))
    return GpuAccess(
        gpus=lease.gpus, devices=devices, variables=variables, lease=lease,
        mounts=tuple(Mount(source=file, target=str(file)) for file in files),
    )  # fmt: skip


def _driver_files(environment: Mapping[str, str]) -> list[Path]:
    """The driver's libraries that lie outside of what every sandbox shows, by the loader's cache and LD_LIBRARY_PATH."""
    listed = [Path(line.rpartition("=> ")[2]) for line in _loader_cache().splitlines() if "=> " in line]
    for folder in filter(None, environment.get("LD_LIBRARY_PATH", "").split(":")):
        listed += sorted(Path(folder).glob("lib*.so*"))
    found = [path for path in listed if _DRIVER_LIBRARY.search(path.name) and path.exists()]
    return [path for path in dict.fromkeys(found) if not any(path.resolve().is_relative_to(common) for common in _COMMON_FOLDERS)]


def _loader_cache() -> str:
    program = shutil.which("ldconfig", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    return run_program([program, "-p"], timeout_seconds=30).output if program else ""
