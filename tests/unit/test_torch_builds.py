"""Which build of PyTorch uv is told to take, and which of pip's settings it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlgym_lite.isolation.torch_builds import acceptable_builds, needs_torch, torch_variables, with_pip_settings


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        ("torch", True),
        ("torch==2.13.0", True),
        ("  torch >= 2", True),
        ("torch[opt]==2.2; python_version > '3'", True),
        ("torch # newest", True),
        ("torchvision==0.2", False),
        ("torch-geometric", False),
        ("torch_scatter", False),
        ("# torch", False),
        ("pytorch", False),
    ],
)
def test_torch_is_recognised_by_its_own_name(line: str, needed: bool) -> None:
    """Packages whose names only begin with torch are others."""
    assert needs_torch(f"numpy\n{line}\n") is needed


def test_an_episode_with_gpus_takes_only_their_build() -> None:
    """Without GPUs both will do, and the smaller one is made."""
    assert acceptable_builds(uses_gpus=True) == ("gpu",)
    assert acceptable_builds(uses_gpus=False) == ("cpu", "gpu")


def test_the_build_for_the_cpu_is_asked_for_by_name() -> None:
    """uv's own choice would be the build for GPUs."""
    assert torch_variables("cpu", "3.12", {}) == {"UV_TORCH_BACKEND": "cpu"}
    assert torch_variables("gpu", "3.12", {}) == {}
    assert torch_variables("cpu", "3.12", {"UV_TORCH_BACKEND": "cu128"}) == {}


def test_a_wheel_at_hand_decides(tmp_path: Path) -> None:
    """A folder of wheels with a torch for this Python is enough; one for another Python is not."""
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    environment = {"UV_FIND_LINKS": f"/nowhere,{tmp_path}"}
    assert torch_variables("cpu", "3.11", environment) == {}
    assert torch_variables("cpu", "3.12", environment) == {"UV_TORCH_BACKEND": "cpu"}


def test_pips_settings_are_handed_on_where_uvs_are_silent(tmp_path: Path) -> None:
    """find-links and index-url of pip's file reach uv, unless uv has its own."""
    settings = tmp_path / "pip.conf"
    settings.write_text("[global]\nfind-links = /wheels /more\nindex-url = https://example.org/simple\n", encoding="utf-8")
    environment = {"PIP_CONFIG_FILE": str(settings), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    filled = with_pip_settings(environment)
    assert filled["UV_FIND_LINKS"].split(",")[:2] == ["/wheels", "/more"]
    assert filled["UV_INDEX_URL"] == "https://example.org/simple"
    own = {**environment, "UV_FIND_LINKS": "/own", "UV_DEFAULT_INDEX": "https://own.example"}
    assert with_pip_settings(own) == own


def test_a_variable_of_pips_wins_over_its_file(tmp_path: Path) -> None:
    """As it does for pip."""
    settings = tmp_path / "pip.conf"
    settings.write_text("[global]\nfind-links = /wheels\n", encoding="utf-8")
    environment = {"PIP_CONFIG_FILE": str(settings), "PIP_FIND_LINKS": "/other", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    assert with_pip_settings(environment)["UV_FIND_LINKS"] == "/other"
