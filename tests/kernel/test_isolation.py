"""Promises of the sandbox that are not kept yet; the attacks it holds against are in the files test_attack_*.py."""

from __future__ import annotations

import pytest

from mlgym_lite import Episode

pytestmark = pytest.mark.kernel


def test_the_workspace_cannot_take_more_than_its_storage(episode: Episode) -> None:
    """An agent cannot put more into its workspace than the task's storage_mb, but for what a disk takes until it is seen."""
    episode.step("for i in $(seq 30); do head -c 40M /dev/zero > big$i; done; rm answer.txt")
    used = sum(path.stat().st_blocks * 512 for path in (episode.run_directory / "workspace").iterdir())
    assert used <= 600 << 20
