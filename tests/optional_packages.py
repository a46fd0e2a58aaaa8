"""Tests that need packages which `dev` does not bring: a folder without them is left out, and missed where it is required."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence


def left_out(name: str, packages: Sequence[str]) -> list[str]:
    """What a folder's conftest ignores: its tests where a package is missing. Fails where MLGYM_LITE_REQUIRE has the name."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing and name in os.environ.get("MLGYM_LITE_REQUIRE", "").split(","):
        raise RuntimeError(f"MLGYM_LITE_REQUIRE names {name}, but {', '.join(missing)} cannot be imported")
    return ["test_*.py"] if missing else []
