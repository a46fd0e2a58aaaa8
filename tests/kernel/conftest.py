"""What attacks share: episodes opened with each mechanism that puts up sandboxes.

A test marked `only_bubblewrap` attacks something that another mechanism cannot wall off; the mark gives the reason.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attack_harness import SECRET, OpenEpisode

import mlgym_lite
from mlgym_lite import Episode
from mlgym_lite.config.run_settings import IsolationChoice, RunSettings


@pytest.fixture
def open_episode(
    make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path, mechanism: IsolationChoice
) -> Iterator[OpenEpisode]:
    """Opens episodes of a task given by its parts, by an engine that has a secret in its environment, and closes them."""
    with contextlib.ExitStack() as stack:

        def open_one(name: str = "tiny", *, chosen: Mapping[str, Any] | None = None, **parts: Any) -> Episode:
            task = mlgym_lite.load_task(make_task(name, **parts))
            settings = RunSettings(**{"output": tmp_path / f"run-{name}", "isolation": mechanism, **(chosen or {})})
            return stack.enter_context(Episode(task, settings=settings, environment={**environment, "SECRET_KEY": SECRET}))

        yield open_one


@pytest.fixture
def episode(open_episode: OpenEpisode) -> Episode:
    """One open episode."""
    return open_episode()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder in the host's real /tmp that every user reaches and may write, with a path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="mlgym-lite-", dir="/tmp"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
