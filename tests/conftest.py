"""What every test shares: marks that need a part of the host, and a task small enough for hundreds of episodes.

A test marked `kernel` is skipped where bubblewrap puts up no sandbox, `landlock` where that puts up none, `cgroup` where
control groups cannot be written, `network` where no package index can be reached, `reference` where the packages of that
extra are not installed, `browser` without Chromium and playwright. Where MLGYM_LITE_REQUIRE names the mark (CI sets it), a
missing part is a failure instead.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from chromium import chromium
from slurm_cluster import missing_programs
from tiny_task import GRADER, TASK_TOML

from mlgym_lite.config.run_settings import IsolationChoice
from mlgym_lite.errors import MLGymLiteError
from mlgym_lite.isolation.host_check import try_sandbox
from mlgym_lite.isolation.limits import choose_limits

MECHANISMS = [
    pytest.param("bubblewrap", marks=pytest.mark.kernel),
    pytest.param("landlock", marks=pytest.mark.landlock),
]


@functools.cache
def _missing(mark: str) -> str:
    """Why the part a mark stands for is not there; empty where it is."""
    if mark == "kernel":
        try:
            try_sandbox("bubblewrap")
        except (MLGymLiteError, OSError) as error:
            return f"no sandbox starts here: {error}"
    if mark == "landlock":
        try:
            try_sandbox("landlock")
        except MLGymLiteError as error:
            return f"landlock puts up no sandbox here: {error}"
    if mark == "cgroup" and choose_limits().name == "watchdog":
        return "no control group is writable here"
    if mark == "network":
        index = os.environ.get("UV_INDEX_URL") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
        try:
            urllib.request.urlopen(f"{index.rstrip('/')}/pip/", timeout=20).close()
        except (OSError, ValueError) as error:
            return f"no package index answers at {index}: {error}"
    if mark == "slurm":
        absent = missing_programs()
        if importlib.util.find_spec("submitit") is None:
            absent.append("submitit (the extra `slurm`)")
        return f"{', '.join(absent)}: not installed" if absent else ""
    if mark == "browser":
        if importlib.util.find_spec("playwright") is None:
            return "playwright is not installed; the extra `dev` brings it"
        if chromium() is None:
            return "Chromium is not installed (Debian's package chromium), or CHROMIUM does not name it"
    if mark == "reference":
        absent = [name for name in ("gymnasium", "gymnax", "minatar") if importlib.util.find_spec(name) is None]
        return f"{', '.join(absent)}: not installed; the extra `reference` brings them" if absent else ""
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test whose mark names a part that is missing."""
    required = os.environ.get("MLGYM_LITE_REQUIRE", "").split(",")
    for mark in ("kernel", "landlock", "cgroup", "network", "reference", "browser", "slurm"):
        if item.get_closest_marker(mark) is None:
            continue
        reason = _missing(mark)
        if reason and mark in required:
            pytest.fail(f"MLGYM_LITE_REQUIRE names {mark}, but {reason}")
        if reason:
            pytest.skip(reason)


@pytest.fixture(params=MECHANISMS)
def mechanism(request: pytest.FixtureRequest) -> IsolationChoice:
    """Each mechanism in turn, for what all of them must keep; a test marked `only_bubblewrap` says why another cannot."""
    choice: IsolationChoice = request.param
    alone = request.node.get_closest_marker("only_bubblewrap")
    if alone is not None and choice != "bubblewrap":
        pytest.skip(f"bubblewrap only: {alone.args[0]}")
    return choice


@pytest.fixture
def make_task(tmp_path: Path) -> Callable[..., Path]:
    """Makes a task folder whose score is the number in answer.txt; the parts may be given otherwise."""

    def make(name: str = "tiny", *, toml: str = TASK_TOML, grader: str = GRADER, files: dict[str, str] | None = None) -> Path:
        folder = tmp_path / name
        contents = {
            "task.toml": toml,
            "instruction.md": "Write a number into answer.txt.\n",
            "environment/answer.txt": "0.5\n",
            "tests/test.sh": grader,
            "solution/solve.sh": "echo 1.0 > answer.txt\n",
            "cheats/forge.sh": "# Leaves a reward of its own.\nmkdir -p /logs/verifier; echo '{\"Score\": 9}' > reward.json\n",
            **(files or {}),
        }
        for path, text in contents.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        return folder

    return make


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder the tests use: the user's own where MLGYM_LITE_CACHE names one, so that environments build once."""
    named = os.environ.get("MLGYM_LITE_CACHE")
    return Path(named) if named else tmp_path_factory.getbasetemp() / "cache"


@pytest.fixture
def environment(cache: Path) -> dict[str, str]:
    """The environment an engine under test reads."""
    return {**os.environ, "MLGYM_LITE_CACHE": str(cache)}
