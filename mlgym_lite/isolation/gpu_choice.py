"""Which GPUs an outer CUDA_VISIBLE_DEVICES leaves, by the rules of CUDA's own documentation.

https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables: a list of indexes or of the beginnings of
UUIDs; everything from the first entry on that names no GPU is left out. Parts of GPUs (MIG) are named by their UUID.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlgym_lite.isolation.gpu_discovery import Gpu


def visible(gpus: Sequence[Gpu], value: str | None) -> tuple[Gpu, ...]:
    """The GPUs that a value of CUDA_VISIBLE_DEVICES (None: not set) leaves, in its order."""
    if value is None:
        return tuple(gpus)
    whole = [gpu.uuid for gpu in gpus if gpu.parent is None] + list(dict.fromkeys(gpu.parent for gpu in gpus if gpu.parent))
    chosen: list[Gpu] = []
    for entry in value.split(","):
        found = _named(entry.strip(), gpus, _in_order(gpus, whole))
        if not found or any(gpu in chosen for gpu in found):
            break
        chosen += found
    return tuple(chosen)


def _in_order(gpus: Sequence[Gpu], whole: Sequence[str | None]) -> list[str]:
    """The UUIDs of whole GPUs in the order of the bus, which an index counts."""
    order = dict.fromkeys(gpu.parent or gpu.uuid for gpu in gpus)
    assert set(order) == set(whole)
    return list(order)


def _named(entry: str, gpus: Sequence[Gpu], order: Sequence[str]) -> list[Gpu]:
    """What one entry names: a GPU, or for a GPU in parts the first of them, which is what CUDA takes."""
    if entry.isascii() and entry.isdigit():
        if int(entry) >= len(order):
            return []
        return [gpu for gpu in gpus if order[int(entry)] in (gpu.uuid, gpu.parent)][:1]
    if entry.startswith("MIG-GPU-"):  # drivers before R470: MIG-GPU-<uuid>/<instance>/<compute instance>
        uuid, _, numbers = entry.removeprefix("MIG-").partition("/")
        return [gpu for gpu in gpus if gpu.parent == uuid and gpu.uuid.endswith(f"/{numbers}")]
    if not entry.startswith(("GPU-", "MIG-")):
        return []
    named = [gpu for gpu in gpus if gpu.uuid.startswith(entry)]
    if not named:
        named = [gpu for gpu in gpus if gpu.parent and gpu.parent.startswith(entry)][:1]
    return named if len(named) == 1 else []
