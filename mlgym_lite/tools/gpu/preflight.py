"""Runs a CUDA operation on every GPU that CUDA_VISIBLE_DEVICES names, and fails where anything is not as it must be.

Standard library only: the driver's own interface (libcuda.so.1) through ctypes. Where torch is there it must see the same
number of GPUs and add on the first. Ends with status 0, or with 1 and a line that says what is wrong.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from typing import Any

WORDS = 1024
PATTERN = 0x6D6C6779


class Failed(Exception):
    """What is wrong."""


def main() -> int:
    """Check each GPU, then torch."""
    wanted = [uuid for uuid in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if uuid]
    try:
        library = _library()
        check = _checker(library)
        check("cuInit", 0)
        count = ctypes.c_int()
        check("cuDeviceGetCount", ctypes.byref(count))
        if count.value != len(wanted):
            raise Failed(f"CUDA sees {count.value} GPUs, and {len(wanted)} are leased ({', '.join(wanted) or 'none'})")
        for index, uuid in enumerate(wanted):
            _operate(check, library, index, uuid)
        if "--torch" in sys.argv[1:] and importlib.util.find_spec("torch"):
            _with_torch(len(wanted))
    except Failed as error:
        print(error)
        return 1
    print(f"{len(wanted)} GPUs compute")
    return 0


def _library() -> Any:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise Failed(f"the driver's library cannot be loaded: {error}") from error


def _checker(library: Any) -> Any:
    def check(name: str, *arguments: Any) -> None:
        status = getattr(library, name)(*arguments)
        if status:
            text = ctypes.c_char_p()
            library.cuGetErrorName(status, ctypes.byref(text))
            raise Failed(f"{name} failed: {(text.value or b'').decode() or status}")

    return check


def _operate(check: Any, library: Any, index: int, uuid: str) -> None:
    """Fill memory on the GPU, read it back and compare."""
    device, context, address = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
    check("cuDeviceGet", ctypes.byref(device), index)
    identity = (ctypes.c_ubyte * 16)()
    check("cuDeviceGetUuid_v2" if hasattr(library, "cuDeviceGetUuid_v2") else "cuDeviceGetUuid", ctypes.byref(identity), device)
    if bytes(identity).hex() not in uuid.replace("-", "").lower():
        raise Failed(f"CUDA's GPU {index} is {bytes(identity).hex()}, and {uuid} is leased")
    check("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    try:
        check("cuCtxSetCurrent", context)
        check("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(4 * WORDS))
        check("cuMemsetD32_v2", address, ctypes.c_uint(PATTERN), ctypes.c_size_t(WORDS))
        back = (ctypes.c_uint * WORDS)()
        check("cuMemcpyDtoH_v2", ctypes.byref(back), address, ctypes.c_size_t(4 * WORDS))
        check("cuMemFree_v2", address)
        if set(back) != {PATTERN}:
            raise Failed(f"GPU {index} ({uuid}) gave back other numbers than it was given")
    finally:
        library.cuDevicePrimaryCtxRelease_v2(device)


def _with_torch(count: int) -> None:
    import torch

    if not torch.cuda.is_available():
        raise Failed(f"torch {torch.__version__} would fall to the CPU: it is built for CUDA {torch.version.cuda}")
    if torch.cuda.device_count() != count:
        raise Failed(f"torch sees {torch.cuda.device_count()} GPUs, and {count} are leased")
    total = torch.ones(1000, device="cuda").sum()
    if total.device.type != "cuda" or total.item() != 1000:
        raise Failed("torch does not compute on the GPU")


if __name__ == "__main__":
    sys.exit(main())
