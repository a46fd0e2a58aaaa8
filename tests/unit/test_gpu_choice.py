"""Which GPUs an outer CUDA_VISIBLE_DEVICES leaves, and how a driver's GPUs are found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from fake_driver import PARTS, UUIDS, fake_driver, nvml_library

from mlgym_lite.errors import LimitError
from mlgym_lite.isolation.gpu_access import grantable_gpus
from mlgym_lite.isolation.gpu_choice import visible
from mlgym_lite.isolation.gpu_discovery import Gpu, GpuHost, find_gpus, is_granted

WHOLE = [Gpu(uuid=uuid, name="Fake", memory_bytes=1, nodes=("nvidia0",)) for uuid in UUIDS]
PARTED = [
    *WHOLE[:2],
    *(Gpu(uuid=uuid, name="Part", memory_bytes=1, nodes=("nvidia2",), parent=UUIDS[2]) for uuid in PARTS),
]
OLD = [Gpu(uuid=f"MIG-{UUIDS[0]}/{number}/0", name="Part", memory_bytes=1, nodes=(), parent=UUIDS[0]) for number in (1, 2)]


def given(value: str | None) -> dict[str, str]:
    """An environment with a value of CUDA_VISIBLE_DEVICES."""
    return {} if value is None else {"CUDA_VISIBLE_DEVICES": value}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [0, 1, 2]), ("", []), ("-1", []), ("NoDevFiles", []), ("1", [1]), ("2,0", [2, 0]), ("0, 1", [0, 1]),
        ("0,7,1", [0]), ("0,-1,1", [0]), ("x,1", []), (UUIDS[1], [1]), (f"{UUIDS[2]},0", [2, 0]), ("GPU-00000001", [1]),
        ("GPU-0000000", []), ("GPU-ffff", []), ("0,0", [0]), ("1,GPU-00000001", [1]), ("٣", []),
    ],
)  # fmt: skip
def test_what_is_visible(value: str | None, expected: list[int]) -> None:
    """Indexes and beginnings of UUIDs name GPUs in their order, until the first entry that names none or one again."""
    assert visible(WHOLE, given(value)) == tuple(WHOLE[index] for index in expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, [0, 1, 2, 3]), (PARTS[1], [3]), (f"{PARTS[0]},{PARTS[1]}", [2, 3]), ("2", [2]), (UUIDS[2], [2]), ("MIG-b", [3]),
     ("MIG-", [])],
)  # fmt: skip
def test_parts_are_named_by_their_uuid(value: str | None, expected: list[int]) -> None:
    """A part is named by its own UUID; a whole GPU's index or UUID means its first part."""
    assert visible(PARTED, given(value)) == tuple(PARTED[index] for index in expected)


def test_parts_of_old_drivers() -> None:
    """The names that drivers before R470 gave to parts are understood."""
    assert visible(OLD, given(f"MIG-{UUIDS[0]}/2/0")) == (OLD[1],)
    assert visible(OLD, given(f"MIG-{UUIDS[0]}/3/0")) == ()


def test_an_index_among_different_models_needs_an_order() -> None:
    """Where CUDA would count the fastest GPU first, an index is refused unless the order of the bus is asked for."""
    mixed = [*WHOLE[:1], Gpu(uuid=UUIDS[1], name="Other", memory_bytes=1, nodes=())]
    with pytest.raises(LimitError, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        visible(mixed, given("1"))
    assert visible(mixed, {**given("1"), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}) == (mixed[1],)
    assert visible(mixed, given(UUIDS[1])) == (mixed[1],)


def test_an_index_counts_what_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a scheduler takes other GPUs' nodes away, index 0 is the first GPU that is left, as it is for CUDA."""
    host = fake_driver(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (host.devices / "nvidia2").unlink()
    assert [gpu.uuid for gpu in grantable_gpus(given("0"), host)] == [UUIDS[1]]
    assert [gpu.uuid for gpu in grantable_gpus({}, host)] == list(UUIDS[1:])


def test_nvidia_smi_tells_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without NVML's library GPUs come from nvidia-smi, in the order of the bus, with the nodes that the driver's files name."""
    host = fake_driver(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    gpus = find_gpus(host)
    assert [gpu.uuid for gpu in gpus] == list(UUIDS)
    assert [gpu.nodes for gpu in gpus] == [("nvidia2",), ("nvidia0",), ("nvidia1",)]
    assert {gpu.memory_bytes for gpu in gpus} == {40 << 30}


def test_nvml_tells_the_gpus_and_their_parts(tmp_path: Path) -> None:
    """The package nvidia-ml-py, with a library that answers as the driver's does, tells whole GPUs and parts with their nodes."""
    host, libraries = fake_driver(tmp_path / "host"), nvml_library(tmp_path / "lib")
    program = (
        "import json, sys; from dataclasses import asdict; from pathlib import Path\n"
        "from mlgym_lite.isolation.gpu_discovery import GpuHost, find_gpus\n"
        "host = GpuHost(devices=Path(sys.argv[1]), driver=Path(sys.argv[2]))\n"
        "print(json.dumps([asdict(gpu) for gpu in find_gpus(host)])); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, host.devices, host.driver], env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    gpus, torch = done.stdout.splitlines()
    assert torch == "False"
    found = json.loads(gpus)
    assert [gpu["uuid"] for gpu in found] == [*UUIDS[:2], *PARTS]
    assert [gpu["nodes"] for gpu in found] == [
        ["nvidia2"],
        ["nvidia0"],
        ["nvidia1", "nvidia-caps/nvidia-cap30", "nvidia-caps/nvidia-cap31"],
        ["nvidia1", "nvidia-caps/nvidia-cap40", "nvidia-caps/nvidia-cap41"],
    ]
    assert [gpu["parent"] for gpu in found] == [None, None, UUIDS[2], UUIDS[2]]
    assert asdict(WHOLE[0]).keys() == found[0].keys()


def test_a_host_without_a_driver_is_told(tmp_path: Path) -> None:
    """Where there is no driver the error says what was looked for and what to do."""
    with pytest.raises(LimitError, match=r"no NVIDIA driver.*--gpus 0"):
        find_gpus(GpuHost(devices=tmp_path, driver=tmp_path / "driver"))


def test_a_gpu_that_cannot_be_opened_is_not_granted(tmp_path: Path) -> None:
    """A GPU whose node a cluster keeps from this process is none of ours."""
    host = fake_driver(tmp_path)
    assert is_granted(Gpu(uuid="u", name="n", memory_bytes=1, nodes=("nvidia0",)), host)
    assert not is_granted(Gpu(uuid="u", name="n", memory_bytes=1, nodes=("nvidia7",)), host)
