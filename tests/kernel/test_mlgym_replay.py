"""Recorded episodes of MLGym run on tasks imported from its checkout, and their scores are compared step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from mlgym_checkout import make_checkout, trajectory, validated

import mlgym_lite
from mlgym_lite.agents.baseline import BaselineAgent
from mlgym_lite.authoring.mlgym_import import ImportChoices, import_task
from mlgym_lite.config.run_settings import IsolationChoice, RunSettings
from mlgym_lite.episode.replay import Comparison, plan_replay, replay
from mlgym_lite.episode.runner import run_episode

Replay = Callable[..., Comparison]


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., Path]:
    """Imports a task of the checkout."""
    checkout = make_checkout(tmp_path / "checkout")

    def run(name: str) -> Path:
        return import_task(checkout, name, tmp_path / name, ImportChoices()).folder

    return run


@pytest.fixture
def replayed(tmp_path: Path, mechanism: IsolationChoice, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Replay:
    """Replays actions, each with what was seen, on a task."""
    monkeypatch.setenv("MLGYM_LITE_CACHE", environment["MLGYM_LITE_CACHE"])

    def run(
        task: Path, steps: Sequence[tuple[str, str]], scores: Sequence[dict[str, float]], status: str = "submitted"
    ) -> Comparison:
        path = tmp_path / "run.traj"
        path.write_text(trajectory(steps, scores, status), encoding="utf-8")
        return replay(plan_replay(path, str(task), RunSettings(output=tmp_path / "run", isolation=mechanism)))

    return run


def test_a_recorded_episode_scores_as_it_did(task: Callable[..., Path], replayed: Replay) -> None:
    """Commands name MLGym's workspace, edit, validate and submit; every score is the recorded one."""
    before, after = {"Points": 0.25}, {"Points": 0.75}
    steps = [
        ("cd /home/agent/workspace && ls\n", "evaluate.py\nopponent.py\nstrategy.py\n"),
        ("validate\n", validated(before)),
        ("edit 2:2\n    return False\nend_of_edit\n", ""),
        ("open strategy.py 1\nedit 2:2\n    return False\nend_of_edit\n", ""),
        ("cat /home/agent/workspace/strategy.py\n", "def my_side(number):\n    return False\n"),
        ("validate\n", validated(after)),
        ("submit\n", "Exited (submit)"),
    ]
    found = replayed(task("coinGame"), steps, [before, after, after])
    assert [(pair.step, pair.expected, pair.got, pair.agrees) for pair in found.scores] == [
        (2, before, before, True), (6, after, after, True), (7, after, after, True),
    ]  # fmt: skip
    assert {entry.step for entry in found.differences} == {2, 3, 4, 6, 7}


def test_a_score_that_was_forged_is_told(task: Callable[..., Path], replayed: Replay) -> None:
    """A recorded gain from a changed opponent is not had again, and stands beside the score that is."""
    forged = {"Points": 1.0}
    steps = [("echo 'their_side = lambda number: True' > opponent.py; validate", validated(forged)), ("submit", "")]
    found = replayed(task("coinGame"), steps, [forged, forged])
    assert [(pair.got, pair.agrees) for pair in found.scores] == [({"Points": 0.25}, False)] * 2
    assert not found.agrees


def test_an_episode_that_a_limit_ended_is_scored_at_its_end(task: Callable[..., Path], replayed: Replay) -> None:
    """What MLGym scored by itself at the end is scored here too, and belongs to the last step."""
    found = replayed(task("coinGame"), [("ls", ""), ("exit_cost", "")], [{"Points": 0.25}], "autosubmission (exit_cost)")
    assert [(pair.step, pair.got) for pair in found.scores] == [(1, {"Points": 0.25})]
    assert found.steps == 1


def test_a_step_with_a_score_on_one_side_only_is_told(task: Callable[..., Path], replayed: Replay) -> None:
    """A validation that failed when it was recorded and scores now stands alone, and the others stay in their places."""
    steps = [("validate", "EvaluationFormatError"), ("submit", "Exited (submit)")]
    found = replayed(task("coinGame"), steps, [{"Points": 0.25}])
    assert [(pair.step, pair.expected, pair.agrees) for pair in found.scores] == [(1, None, False), (2, {"Points": 0.25}, True)]


@pytest.mark.parametrize(
    ("name", "scores"),
    [("beanWeights", {"mean_error": 5.0, "worst": 5.0}), ("leverPolicy", {"Reward Mean": 1.0, "Reward Std": 0.0}),
     ("letterModel", {"val_loss": 2.0}), ("coinGame", {"Points": 0.25})],
)  # fmt: skip
def test_the_baseline_scores_what_the_configuration_states(
    task: Callable[..., Path],
    tmp_path: Path,
    environment: dict[str, str],
    mechanism: IsolationChoice,
    name: str,
    scores: dict[str, float],
) -> None:
    """Each kind of task runs its own baseline program, at MLGym's paths, and its own evaluator."""
    if name == "beanWeights" and mechanism == "landlock":
        pytest.skip("its program opens /home/agent/workspace, which only a sandbox with mounts shows")
    loaded = mlgym_lite.load_task(task(name))
    settings = RunSettings(output=tmp_path / "run", isolation=mechanism)
    outcome = run_episode(loaded, BaselineAgent(loaded, environment), settings, cache=Path(environment["MLGYM_LITE_CACHE"]))
    assert outcome.result["score"]["metrics"] == scores


def test_links_and_data_in_the_workspace_do_not_hinder(task: Callable[..., Path], replayed: Replay) -> None:
    """Of a whole workspace a link is refused by name, and once it is gone the rest is scored."""
    steps = [("ln -s /etc/passwd x; validate", ""), ("rm x; mkdir -p deep/er; touch deep/er/y; submit", "")]
    found = replayed(task("coinGame"), steps, [{"Points": 0.25}])
    assert [(pair.step, pair.got) for pair in found.scores] == [(2, {"Points": 0.25})]
