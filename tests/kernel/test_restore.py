"""Going back to a snapshot within an episode, and many forks of one; with each mechanism that puts up sandboxes."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_task import TASK_TOML

from mlgym_lite import Episode, RunSettings
from mlgym_lite.errors import EpisodeStateError

pytestmark = pytest.mark.kernel

OpenEpisode = Callable[..., Episode]
FORKS = 30


def blobs(episode: Episode) -> int:
    """How many contents of files are kept."""
    folder = episode.run_directory / ".state" / "snapshots"
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_an_episode_goes_back(episode: Episode) -> None:
    """Files, environment, directory and variables are the snapshot's; what was used stays used; the record tells it."""
    episode.step("mkdir sub; cd sub; echo 1 > file; export A=1; touch $MLGYM_LITE_ROOT/venv/mark; echo before")
    snapshot = episode.snapshot()
    episode.step("echo 2 > file; rm ../answer.txt; export A=2 B=3; cd /; rm $MLGYM_LITE_ROOT/venv/mark; validate")
    observation = episode.restore(snapshot)
    assert (observation.text, observation.exit_status) == ("before\n", 0)
    assert observation.working_directory == "/workspace/sub"
    assert (observation.steps, observation.validations_left) == (2, 2)
    step = episode.step("cat file ../answer.txt; echo $A$B; ls $MLGYM_LITE_ROOT/venv/mark; echo ${PWD#$MLGYM_LITE_ROOT}")
    assert step.observation.split() == ["1", "0.5", "1", f"{episode.root}/venv/mark", "/workspace/sub"]
    assert not step.changes.files, "going back is not the action's doing"
    episode.step("echo 7 > ../answer.txt; submit")
    lines = [json.loads(line) for line in (episode.run_directory / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line.get("restored") for line in lines] == [None, None, 1, None]
    assert episode.outcome is not None and episode.outcome.score == 7.0 and len(episode.attempts) == 2


def test_processes_end_and_what_they_hold_does_not_come_back(episode: Episode) -> None:
    """A background job cannot write into the state that one has gone back to."""
    episode.step("echo kept > file")
    snapshot = episode.snapshot()
    episode.step("(while :; do echo $RANDOM >> file; echo x > more; done) & sleep 0.2")
    episode.restore(snapshot)
    assert episode.step("sleep 0.3; cat file; ls").observation == "kept\nanswer.txt\nfile\n"


def test_back_and_forth(episode: Episode) -> None:
    """As a search does, a hundred times; contents that several states have are kept once."""
    snapshots = []
    for number in range(4):
        episode.step(f"echo {number} > answer.txt; mkdir d{number}; head -c 100000 /dev/zero > d{number}/big")
        snapshots.append(episode.snapshot())
    for at in [3, 0, 2, 1] * 4:
        episode.restore(snapshots[at])
        assert episode.step("cat answer.txt; ls -d d*").observation.split() == [
            str(at), *(f"d{number}" for number in range(at + 1))
        ]  # fmt: skip
    kept = blobs(episode)
    del snapshots
    gc.collect()
    assert blobs(episode) < kept


def test_another_episode_s_state(open_episode: OpenEpisode, tmp_path: Path) -> None:
    """Of the same task: it can be gone back to, whatever becomes of the other; of another task it is refused."""
    one = open_episode()
    one.step("echo from one > file")
    snapshot = one.snapshot()
    other = open_episode(chosen={"output": tmp_path / "other"})
    other.step("echo 9 > answer.txt")
    other.restore(snapshot)
    one.step("echo changed > file")
    one.close()
    del one, snapshot
    gc.collect()
    state = other.snapshot()
    other.step("rm file")
    other.restore(state)
    assert other.step("cat file answer.txt").observation == "from one\n0.5\n"
    foreign = open_episode("foreign", toml=TASK_TOML.replace("validations = 3", "validations = 4"))
    with pytest.raises(EpisodeStateError, match="the snapshot is of tiny"):
        foreign.restore(state)
    assert foreign.step("echo goes on").observation == "goes on\n"
    foreign.close()
    with pytest.raises(EpisodeStateError, match="has ended"):
        foreign.restore(state)


def test_many_forks(open_episode: OpenEpisode, environment: dict[str, str], tmp_path: Path) -> None:
    """Of one state, each with its own; none sees another's, nor the original's."""
    episode = open_episode()
    episode.step("for n in {1..50}; do echo $n > f$n; done; export A=5")
    snapshot = episode.snapshot()
    with contextlib.ExitStack() as stack:
        for number in range(FORKS):
            settings = RunSettings(output=tmp_path / f"fork-{number}", isolation=episode.settings.isolation)
            with Episode.fork(snapshot, settings=settings, environment=environment) as fork:
                assert fork.step(f"cat f7; echo $A; ls mine* 2>/dev/null; echo {number} > f7; touch mine").observation == "7\n5\n"
        kept = [
            stack.enter_context(
                Episode.fork(
                    snapshot,
                    settings=RunSettings(output=tmp_path / f"open-{number}", isolation=episode.settings.isolation),
                    environment=environment,
                )
            )
            for number in range(8)
        ]
        for number, fork in enumerate(kept):
            fork.step(f"echo open{number} > f7")
        assert [fork.step("cat f7").observation for fork in kept] == [f"open{number}\n" for number in range(8)]
    assert episode.step("cat f7; ls mine 2>/dev/null").observation == "7\n"
