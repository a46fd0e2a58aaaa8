"""Which build of PyTorch a base environment gets: one for the CPU alone, or one for GPUs, which is gigabytes larger.

The plain `torch` of PyPI is a build for GPUs on Linux. Where an episode uses none, uv is told to take the CPU's build, from a
folder of wheels where one is known, else from PyTorch's own index (uv's UV_TORCH_BACKEND, which a user's setting overrides).
An environment for GPUs serves an episode without one just as well, so it is used where it is there already.

uv does not read pip's settings; its find-links and index-url are handed on where uv's own are silent, as many clusters and
sites configure only pip.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from mlgym_lite.processes import run_program

Accelerator = Literal["cpu", "gpu"]

_TORCH = re.compile(r"^\s*torch\s*($|[=<>!~\[;#@])", re.MULTILINE)
_INDEX_VARIABLES = ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_NO_INDEX")


def needs_torch(requirements: str) -> bool:
    """Whether a requirements file asks for torch."""
    return bool(_TORCH.search(requirements))


def acceptable_builds(*, uses_gpus: bool) -> tuple[Accelerator, ...]:
    """Which builds an episode can use; the first is the one to make where none is there."""
    return ("gpu",) if uses_gpus else ("cpu", "gpu")


def with_pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """uv's environment with pip's find-links and index-url where uv's own are not set."""
    filled = dict(environment)
    if "UV_FIND_LINKS" in filled and any(name in filled for name in _INDEX_VARIABLES):
        return filled
    settings = _pip_settings(environment)
    if "UV_FIND_LINKS" not in filled and settings.get("find-links"):
        filled["UV_FIND_LINKS"] = ",".join(settings["find-links"].split())
    if settings.get("index-url") and not any(name in filled for name in _INDEX_VARIABLES):
        filled["UV_INDEX_URL"] = settings["index-url"]
    return filled


def torch_variables(accelerator: Accelerator, version: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What to tell uv so that it takes the right build for a Python version such as "3.12"."""
    if accelerator == "gpu" or "UV_TORCH_BACKEND" in environment or _has_wheel(version, environment):
        return {}
    return {"UV_TORCH_BACKEND": "cpu"}


def _has_wheel(version: str, environment: Mapping[str, str]) -> bool:
    """Whether a folder of wheels decides: it has a torch for this Python."""
    tag = f"-cp{version.replace('.', '')}-"
    folders = [Path(place) for place in environment.get("UV_FIND_LINKS", "").split(",") if place]
    return any(tag in wheel.name for folder in folders if folder.is_dir() for wheel in folder.glob("torch-*.whl"))


def _pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """pip's settings by name, its files and variables together; none where there is no pip."""
    try:
        result = run_program([sys.executable, "-m", "pip", "config", "list"], environment=environment, timeout_seconds=30)
    except (OSError, TimeoutError):
        return {}
    found: dict[str, str] = {}
    for line in result.output.splitlines() if result.status == 0 else ():
        name, _, value = line.partition("=")
        try:
            text = str(ast.literal_eval(value))
        except (ValueError, SyntaxError):
            continue
        setting = name.rpartition(".")[2]
        if setting not in found or name.startswith(":env:"):  # a variable wins over a file
            found[setting] = text
    return found
