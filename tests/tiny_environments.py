"""Environments of the tiny task, whose goal is 5 and whose baseline is 1."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_task import TASK_TOML


def tiny_environments(make_task: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path) -> Any:
    """Makes makers of them, with options; what they leave would be in `temporary`."""
    from mlgym_lite.gym.environment import TaskEnvironment

    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))
    (tmp_path / "temporary").mkdir(mode=0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    task = make_task(toml=TASK_TOML.replace("validations = 3", "validations = 9\ngoal = 5.0"))
    return lambda **options: lambda: TaskEnvironment(task, **options)
