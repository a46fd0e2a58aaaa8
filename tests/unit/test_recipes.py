"""The recipes' own rules, against values worked out by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mlgym_lite.agents.protocol import Action, Observation, Stop
from mlgym_lite.models.protocol import ModelUsage

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a recipe as Python runs it."""
    monkeypatch.syspath_prepend(str(RECIPES))
    return importlib.import_module


def tree(malt: ModuleType) -> list[Any]:
    """Two generators; the first has verifiers of value 1 and 1/2, the second one of value 0; one has no children."""

    def made(role: str, name: str, *children: Any, is_correct: bool = False) -> Any:
        return malt.Contribution(
            role=role, prompt=f"to {name[:-1]}", response=name, is_correct=is_correct, children=list(children)
        )

    def refiner(name: str, is_correct: bool) -> Any:
        return made("refiner", name, is_correct=is_correct)

    return [
        made(
            "generator", "g1",
            made("verifier", "v1", refiner("a1", True), refiner("a2", True)),
            made("verifier", "v2", refiner("b1", True), refiner("b2", False)),
        ),
        made("generator", "g2", made("verifier", "w1", refiner("c1", False), refiner("c2", False))),
        made("generator", "g3"),
    ]  # fmt: skip


def test_values_are_backed_up_as_means(recipe: Any) -> None:
    """From refiners, which are right or wrong, over verifiers to generators."""
    malt = recipe("malt")
    generators = tree(malt)
    assert [one.value for one in generators] == [0.75, 0.0, 0.0]
    assert [one.value for one in malt.everything(generators) if one.role == "verifier"] == [1.0, 0.5, 0.0]


def test_each_role_has_its_data(recipe: Any, tmp_path: Path) -> None:
    """What is above a half is imitated; siblings on both sides of it are a pair."""
    malt = recipe("malt")
    generators = tree(malt)
    said = {role: [one["response"] for one in malt.examples(generators, role)] for role in malt.ROLES}
    assert said == {"generator": ["g1"], "verifier": ["v1"], "refiner": ["a1", "a2", "b1"]}
    assert malt.preferences(generators, "verifier") == [{"prompt": "to v", "chosen": "v1", "rejected": "v2"}]
    assert malt.preferences(generators, "refiner") == [{"prompt": "to b", "chosen": "b1", "rejected": "b2"}]
    assert malt.write_data(tmp_path / "data", generators) == {
        "generator.jsonl": 1, "verifier.jsonl": 1, "refiner.jsonl": 3, "verifier-pairs.jsonl": 1, "refiner-pairs.jsonl": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ('Sure: [{"tool": "edit", "subtask": "a"}, {"tool": "submit", "subtask": ""}]', ["edit", "submit"]),
        ('```json\n{"tool": "look", "subtask": "b"}\n```', ["look"]),
        ('Plan [v1]: {"tool": "look", "subtask": "b"} as {said}', ["look"]),
    ],
)
def test_plans_are_read(recipe: Any, reply: str, expected: list[str]) -> None:
    """A list or one pair, with words around it."""
    assert [pair.tool for pair in recipe("tptu").read_pairs(reply)] == expected


@pytest.mark.parametrize(
    "reply",
    ["no plan", '[{"tool": "fly", "subtask": "a"}]', '[{"tool": "edit"}]', "[1]", "{", '{"tool": ["look"], "subtask": "a"}'],
)
def test_what_is_no_plan(recipe: Any, reply: str) -> None:
    """Ends the episode, and the reason is told."""
    tptu = recipe("tptu")
    with pytest.raises(ValueError):
        tptu.read_pairs(reply)
    agent = tptu.PlannerAgent(lambda prompt: reply, ModelUsage, "one-step", "m")
    stop = agent.next_action(Observation(text="task", working_directory="/"))
    assert isinstance(stop, Stop) and stop.reason == "format_errors" and "plan" in stop.detail


def test_a_sequential_planner_plans_with_what_it_saw(recipe: Any) -> None:
    """It is asked before every sub-task; the executor is told the sub-task; commands by themselves ask nobody."""
    tptu, prompts = recipe("tptu"), []
    replies = iter(
        ['{"tool": "edit", "subtask": "write 3"}', "```\necho 3\n```", '{"tool": "python", "subtask": "p"}', "two ``` blocks",
         '{"tool": "submit", "subtask": ""}']
    )  # fmt: skip

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return next(replies)

    agent = tptu.PlannerAgent(ask, ModelUsage, "sequential", "m")
    actions = [agent.next_action(Observation(text=text, working_directory="/")) for text in ("TASK", "three", "nothing")]
    assert all(isinstance(action, Action) for action in actions)
    assert [action.text.split("  #")[0] for action in actions] == ["echo 3", "true", "submit"]
    assert all(prompt.startswith("TASK\n") for prompt in prompts) and "write 3" in prompts[1]
    assert "- edit: write 3" in prompts[2] and "three" in prompts[2] and len(prompts) == 5
    assert tptu.completion(agent.planned, agent.done) == 1.0
    assert tptu.order_accuracy(agent.planned, ["edit", "python", "submit"]) == 1.0
    assert tptu.order_accuracy(agent.planned, ["python", "edit", "submit"]) == 0.0 and tptu.completion([], []) == 0.0
