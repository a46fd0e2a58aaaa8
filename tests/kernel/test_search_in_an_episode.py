"""A search in a real episode: states are gone back to, every step is validated and recorded, and the best is handed in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tiny_task import TASK_TOML

from mlgym_lite import Episode
from mlgym_lite.errors import TaskError
from mlgym_lite.search.searches import mcts, step_beam
from mlgym_lite.search.space import EpisodeSpace, Intent, OutOfBudget, Proposal, State
from mlgym_lite.search.tree import Node, best_of

pytestmark = pytest.mark.kernel

OpenEpisode = Callable[..., Episode]
TOML = TASK_TOML.replace("validations = 3", "validations = 30\ngoal = 5.0").replace("max_steps = 20", "max_steps = 30")


class Adds:
    """Adds to the number in answer.txt, or breaks it; so a state shows what it came from."""

    def __init__(self, *what: str) -> None:
        self._what = what

    def propose(self, state: State, count: int, intent: Intent) -> Sequence[Proposal]:
        """The first few."""
        return [
            Proposal(action=f"number=$(( $(cat answer.txt) {what} )); echo $number | tee answer.txt")
            for what in self._what[:count]
        ]


def scores(root: Node) -> list[float | None]:
    """Of everything that was run."""
    return [node.state.score for node in root.below() if node.state is not None and node is not root]


def test_the_best_state_is_handed_in(open_episode: OpenEpisode) -> None:
    """Every state is its parent's with one more action; the record has every step and validation."""
    episode = open_episode(toml=TOML)
    episode.step("echo 1 > answer.txt")
    space = EpisodeSpace(episode, steps=6)
    root = step_beam(space, Adds("+ 1", "- 7"), width=1, samples=2, depth=3)
    assert scores(root) == [2.0, 3.0, 4.0, None, None, None]
    best = best_of(root)
    assert best.state is not None and (best.depth, best.state.value, best.state.observation) == (3, 0.75, "4\n")
    outcome = space.submit(best.state)
    assert (outcome.score, outcome.result["validations_used"], space.steps_used) == (4.0, 6, 6)
    lines = [json.loads(line) for line in (episode.run_directory / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 8))
    assert [line.get("restored") for line in lines] == [None, None, 1, 2, 2, 4, 4]


def test_a_search_ends_with_the_goal_or_the_budget(open_episode: OpenEpisode) -> None:
    """At the task's goal; with its own steps; where the task allows no more validations; before the last step is used."""
    episode = open_episode("goal", toml=TOML)
    episode.step("echo 2 > answer.txt")
    space = EpisodeSpace(episode, steps=20)
    root = mcts(space, Adds("+ 3", "+ 1"), branching=2, depth=3)
    assert scores(root) == [5.0] and space.steps_used == 1
    few = open_episode("few", toml=TOML.replace("validations = 30", "validations = 2"))
    few.step("echo 1 > answer.txt")
    space = EpisodeSpace(few, steps=20)
    mcts(space, Adds("+ 1", "+ 2"), branching=2, depth=3)
    assert space.steps_used == 2 and few.budget.validations_left == 0
    short = open_episode("short", toml=TOML.replace("max_steps = 30", "max_steps = 4"))
    short.step("echo 1 > answer.txt")
    space = EpisodeSpace(short, steps=20)
    root = mcts(space, Adds("+ 1"), branching=1, depth=9)
    assert space.steps_used == 2 and short.budget.steps_left == 1
    best = best_of(root).state
    assert best is not None and space.submit(best).score == 3.0
    with pytest.raises(OutOfBudget):
        space.run(space.first, Proposal(action="ls"))


def test_without_a_baseline_there_is_no_value(open_episode: OpenEpisode) -> None:
    """Which is told."""
    episode: Any = open_episode()
    episode.baseline = None
    with pytest.raises(TaskError, match="has no baseline of Score"):
        EpisodeSpace(episode, steps=1)
