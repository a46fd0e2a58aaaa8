"""Which GPUs an outer CUDA_VISIBLE_DEVICES leaves, by the rules of CUDA's own documentation.

https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables: a list of indexes or of the beginnings of
UUIDs; everything from the first entry on that names no GPU is left out. Parts of GPUs (MIG) are named by their UUID.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlgym_lite.errors import LimitError
from mlgym_lite.isolation.gpu_discovery import Gpu


def visible(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves, in its order, or all where it is not set.

    Raises LimitError for an index that may mean one GPU or another.
    """
    value = environment.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return tuple(gpus)
    _check_indexes(gpus, value, environment)
    order = list(dict.fromkeys(gpu.parent or gpu.uuid for gpu in gpus))  # whole GPUs in the order of the bus
    chosen: list[Gpu] = []
    for entry in value.split(","):
        found = _named(entry.strip(), gpus, order)
        if not found or any(gpu in chosen for gpu in found):
            break
        chosen += found
    return tuple(chosen)


def _check_indexes(gpus: Sequence[Gpu], value: str, environment: Mapping[str, str]) -> None:
    """Without CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA counts the fastest first, which only one model on a host makes the same."""
    by_index = any(entry.strip().isdigit() for entry in value.split(","))
    models = {gpu.name for gpu in gpus if gpu.parent is None}
    if by_index and len(models) > 1 and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise LimitError(
            f"CUDA_VISIBLE_DEVICES={value} names GPUs by index, which on a host with different models "
            f"({', '.join(sorted(models))}) counts the fastest first: set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name "
            "them by UUID (`nvidia-smi -L` lists those)"
        )


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
