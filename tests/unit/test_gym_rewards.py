"""Rewards from scores, against values worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_task import TASK_TOML

from mlgym_lite.config.task_file import Task, load_task
from mlgym_lite.gym.rewards import ImprovementReward, Scale, final_reward


@pytest.fixture
def task(make_task: Callable[..., Path]) -> Callable[..., Task]:
    """The tiny task with a direction and a goal."""

    def make(direction: str = "maximize", goal: str = "") -> Task:
        toml = TASK_TOML.replace('direction = "maximize"', f'direction = "{direction}"\n{goal}')
        return load_task(make_task(f"{direction}-{len(goal)}", toml=toml))

    return make


@pytest.mark.parametrize(
    ("direction", "goal", "baseline", "score", "expected"),
    [
        ("maximize", "goal = 3.0", 1.0, 2.0, 0.5),
        ("maximize", "goal = 3.0", 1.0, 3.0, 1.0),
        ("maximize", "goal = 3.0", 1.0, 9.0, 1.0),
        ("maximize", "goal = 3.0", 1.0, 0.5, -0.25),
        ("maximize", "goal = 3.0", 1.0, -9.0, -1.0),
        ("minimize", "goal = 1.0", 5.0, 2.0, 0.75),
        ("minimize", "goal = 1.0", 5.0, 6.0, -0.25),
        ("maximize", "", 1.0, 9.0, 8.0),
        ("minimize", "", 5.0, 2.0, 3.0),
        ("minimize", "", 5.0, 9.0, -4.0),
        ("maximize", "goal = 1.0", 1.0, 4.0, 3.0),  # a goal that is no better than the baseline says nothing
    ],
)
def test_scores_are_told_over_the_baseline(
    task: Callable[..., Task], direction: str, goal: str, baseline: float, score: float, expected: float
) -> None:
    """In units of what the goal is better, whatever the direction."""
    scale = Scale(task(direction, goal), "full", baseline)
    assert scale(score) == pytest.approx(expected)
    assert final_reward(scale, {"value": score}) == pytest.approx(expected) and final_reward(scale, None) == -1.0


def test_a_variant_may_have_its_own_goal(make_task: Callable[..., Path]) -> None:
    """Mini data may allow less."""
    toml = (
        TASK_TOML.replace("validations = 3", "validations = 3\ngoal = 3.0") + "[metadata.mlgym_lite.variants.full]\ngoal = 2.0\n"
    )
    made = load_task(make_task(toml=toml))
    assert (made.goal("full"), made.goal("mini")) == (2.0, 3.0)


def test_improvements_add_up_to_the_best_validation(task: Callable[..., Task]) -> None:
    """A worse validation takes nothing away; what is below the baseline gains nothing."""
    reward = ImprovementReward(Scale(task("minimize", "goal = 0.0"), "full", 10.0))
    gains = [reward.gain(scores) for scores in ([12.0], [8.0], [], [9.0, 5.0], [6.0], [5.0], [1.0])]
    assert gains == pytest.approx([0.0, 0.2, 0.0, 0.3, 0.0, 0.0, 0.4]) and sum(gains) == pytest.approx(0.9)
