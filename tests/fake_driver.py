"""A driver that is not there: its files, its device nodes, nvidia-smi, and libraries of C that answer as NVIDIA's do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mlgym_lite.isolation.gpu_discovery import GpuHost

UUIDS = tuple(f"GPU-0000000{number}-1111-2222-3333-44444444444{number}" for number in range(3))
PARTS = ("MIG-aaaaaaaa-1111-2222-3333-444444444440", "MIG-bbbbbbbb-1111-2222-3333-444444444441")
_BUSES = ("0000:3b:00.0", "0000:5e:00.0", "0000:af:00.0")
_MINORS = (2, 0, 1)
"""Neither the order of the bus nor that of the names."""

_CUDA = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static const char *entry(int index) {
    const char *value = getenv("CUDA_VISIBLE_DEVICES");
    for (; value && index > 0; index--) { value = strchr(value, ','); if (value) value++; }
    return value && *value ? value : NULL;
}
int cuInit(unsigned flags) { return STATUS; }
int cuDeviceGetCount(int *count) { for (*count = 0; entry(*count); ++*count); *count -= MISSING; return 0; }
int cuGetErrorName(int status, const char **name) { *name = "CUDA_ERROR_NO_DEVICE"; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    const char *text = strchr(entry(device), '-') + 1; unsigned byte;
    for (int at = 0; at < 16; text += 2) { if (*text == '-') text++; sscanf(text, "%2x", &byte); uuid[at++] = byte; }
    return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { return 0; }
int cuCtxSetCurrent(void *context) { return 0; }
int cuMemAlloc_v2(unsigned long long *address, size_t size) { *address = (unsigned long long)calloc(1, size); return 0; }
int cuMemsetD32_v2(unsigned long long address, unsigned value, size_t count) {
    for (size_t at = 0; at < count - WRONG; at++) ((unsigned *)address)[at] = value;
    return 0;
}
int cuMemcpyDtoH_v2(void *to, unsigned long long from, size_t size) { memcpy(to, (void *)from, size); return 0; }
int cuMemFree_v2(unsigned long long address) { free((void *)address); return 0; }
"""

_NVML = """\
#include <stdio.h>
#include <string.h>
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char busId[32]; } pci;
typedef struct { unsigned long long total, free, used; } memory;
static const char *uuids[] = {UUIDS}, *parts[] = {PARTS}, *buses[] = {BUSES};
static const unsigned minors[] = {MINORS};
/* the driver's own order is not that of the bus */
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = (void *)(long)(3 - index); return 0; }
#define AT ((int)(long)handle - 1)
int nvmlDeviceGetPciInfo_v3(void *handle, pci *info) { memset(info, 0, sizeof *info); strcpy(info->busId, buses[AT]); return 0; }
int nvmlDeviceGetUUID(void *handle, char *text, unsigned size) { strcpy(text, AT > 9 ? parts[AT - 10] : uuids[AT]); return 0; }
int nvmlDeviceGetMinorNumber(void *handle, unsigned *minor) { *minor = minors[AT]; return 0; }
int nvmlDeviceGetName(void *handle, char *text, unsigned size) { strcpy(text, AT > 9 ? "Fake MIG 1g" : "Fake"); return 0; }
int nvmlDeviceGetMemoryInfo(void *handle, memory *info) { info->total = AT > 9 ? 5ull << 30 : 40ull << 30; return 0; }
int nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *next) { *now = *next = AT == 2; return AT == 0 ? 3 : 0; }
int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) { *count = 3; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **part) {
    *part = (void *)(long)(11 + index); return index < 2 ? 0 : 6;
}
int nvmlDeviceGetGpuInstanceId(void *handle, unsigned *id) { *id = AT - 9; return 0; }
int nvmlDeviceGetComputeInstanceId(void *handle, unsigned *id) { *id = 0; return 0; }
"""


def fake_driver(folder: Path) -> GpuHost:
    """A driver's files and device nodes for three GPUs below a folder, and bin/nvidia-smi that tells of them."""
    devices, driver, programs = folder / "dev", folder / "driver", folder / "bin"
    for place in (devices, driver, programs):
        place.mkdir(parents=True)
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-caps/nvidia-cap30",
                 "nvidia-caps/nvidia-cap31", "nvidia-caps/nvidia-cap40", "nvidia-caps/nvidia-cap41"):  # fmt: skip
        node = devices / name
        node.parent.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.mknod(node, 0o20666, os.makedev(1, 3))
            node.chmod(0o666)
        else:
            node.symlink_to("/dev/null")
    (driver / "version").write_text("Fake 1.0\n", encoding="ascii")
    for bus, minor in zip(_BUSES, _MINORS, strict=True):
        (driver / "gpus" / bus).mkdir(parents=True)
        (driver / "gpus" / bus / "information").write_text(f"Model: \t\t Fake\nDevice Minor: \t {minor}\n", encoding="ascii")
    for instance in (1, 2):
        place = driver / "capabilities" / "gpu1" / "mig" / f"gi{instance}"
        (place / "ci0").mkdir(parents=True)
        (place / "access").write_text(f"DeviceFileMinor: {20 + 10 * instance}\n", encoding="ascii")
        (place / "ci0" / "access").write_text(f"DeviceFileMinor: {21 + 10 * instance}\n", encoding="ascii")
    rows = "\\n".join(f"0000{bus.upper()}, {uuid}, Fake, 40960" for bus, uuid in reversed(list(zip(_BUSES, UUIDS, strict=True))))
    (programs / "nvidia-smi").write_text(
        f'#!/bin/sh\ncase "$1" in -L) echo "GPU 0: Fake";; *pci.bus_id*) printf "{rows}\\n";; esac\n', encoding="ascii"
    )
    (programs / "nvidia-smi").chmod(0o755)
    for place in (folder, *folder.rglob("*")):
        if place.is_dir():
            place.chmod(0o755)
    return GpuHost(devices=devices, driver=driver)


def compiled(folder: Path, name: str, text: str, **macros: str) -> Path:
    """A folder with a shared library made of C; the test is skipped where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        if "gpu-libraries" in os.environ.get("MLGYM_LITE_REQUIRE", "").split(","):
            pytest.fail("MLGYM_LITE_REQUIRE names gpu-libraries, but there is no C compiler")
        pytest.skip("no C compiler, which makes the libraries of a driver")
    folder.mkdir(exist_ok=True, parents=True)
    (folder / f"{name}.c").write_text(text, encoding="ascii")
    defined = [f"-D{key}={value}" for key, value in macros.items()]
    command = [compiler, "-shared", "-fPIC", "-w", *defined, "-o", folder / name, folder / f"{name}.c"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    folder.chmod(0o755)
    return folder


def cuda_library(folder: Path, *, status: int = 0, missing: int = 0, wrong: int = 0) -> Path:
    """A libcuda.so.1 that sees what CUDA_VISIBLE_DEVICES names, less `missing`."""
    return compiled(folder, "libcuda.so.1", _CUDA, STATUS=str(status), MISSING=str(missing), WRONG=str(wrong))


def nvml_library(folder: Path) -> Path:
    """A libnvidia-ml.so.1 that tells of the three GPUs, the last one in two parts."""
    quoted = {
        "UUIDS": ",".join(f'"{uuid}"' for uuid in UUIDS),
        "PARTS": ",".join(f'"{uuid}"' for uuid in PARTS),
        "BUSES": ",".join(f'"{bus}"' for bus in _BUSES),
        "MINORS": ",".join(map(str, _MINORS)),
    }
    return compiled(folder, "libnvidia-ml.so.1", _NVML, **quoted)
