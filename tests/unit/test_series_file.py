"""Tasks of several steps as files: what each step is, and every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from several_steps import STEPS_TOML, make_steps

from mlgym_lite.config.series_file import load_series
from mlgym_lite.errors import TaskError


def test_each_step_is_a_task(tmp_path: Path) -> None:
    """What the whole file says, with what the step says instead; its folder and digest are its own."""
    series = load_series(make_steps(tmp_path / "three"))
    idea, work, end = (step.task for step in series.steps)
    assert (series.name, series.strategy, [step.least for step in series.steps]) == (
        "three", "mean", [{"Score": 2.0}, {"Score": 3.0}, {}],
    )  # fmt: skip
    assert (idea.name, idea.artifacts, idea.instruction) == ("three-idea", ("idea.txt",), "Do the idea.\n")
    assert (work.artifacts, work.metric, work.file.agent.timeout_sec) == (("answer.txt",), "Score", 120.0)
    assert (end.metric, end.file.agent.timeout_sec, end.stated_baseline("full")) == ("Last", 33.0, {"Last": 2.0})
    assert end.file.metadata.mlgym_lite.max_steps == 2 and work.file.metadata.mlgym_lite.max_steps == 20
    assert len({idea.digest, work.digest, end.digest}) == 3


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('name = "idea"', 'name = "../idea"', "steps[0].name"),
        ('name = "idea"', 'name = "work"', "two are called 'work'"),
        ('name = "idea"', 'name = "other"', "steps/other/instruction.md: missing"),
        ('"mean"', '"best"', "multi_step_reward_strategy"),
        ("min_reward = 2.0", "least = 2.0", "least"),
        ('metric = "Last"', 'metrik = "Last"', "step 'end': metadata.mlgym_lite.metrik"),
        ("baseline = { Last = 2.0 }", "baseline = { Score = 2.0 }", "step 'end': metadata.mlgym_lite.baseline: lacks the metric"),
        ('["idea.txt"]', '["../idea.txt"]', "step 'idea': artifacts[0]"),
        ('direction = "maximize"', 'direction = "minimize"', "step 'idea': min_reward: not supported for 'Score'"),
        ("[[steps]]", "[[other]]", "has no [[steps]]"),
        ("mlgym_lite.steps.end]", "mlgym_lite.steps.ned]", "metadata.mlgym_lite.steps.ned: expected the name of a step"),
        ("[metadata.mlgym_lite.steps.end]", "[[metadata.mlgym_lite.steps]]", "steps: expected a table for each step"),
        ('direction = "maximize"', 'direction = "minimize"', 'write "final"'),
        ("mlgym_lite.steps.end]", 'mlgym_lite.steps.end]\ndata = { mini = "mini" }', "steps.end.data: not supported"),
        ("[agent]", '[agent]\nnetwork_mode = "allowlist"', "allow"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """With the step and the key."""
    assert old in STEPS_TOML
    folder = make_steps(tmp_path / "three", STEPS_TOML.replace(old, new))
    with pytest.raises(TaskError) as caught:
        load_series(folder)
    assert any(expected in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize("name", ["cheats", "tests", "solution", "steps/other"])
def test_what_nobody_uses_is_refused(tmp_path: Path, name: str) -> None:
    """A cheat that is never run must not look like one that gained nothing."""
    folder = make_steps(tmp_path / "three")
    (folder / name).mkdir()
    with pytest.raises(TaskError, match=f"{name}: not used"):
        load_series(folder)


def test_a_workdir_is_refused(tmp_path: Path) -> None:
    """Harbor's folder of files for one step is not known here."""
    folder = make_steps(tmp_path / "three")
    (folder / "steps/work/workdir").mkdir()
    with pytest.raises(TaskError, match=r"steps/work/workdir: not supported"):
        load_series(folder)
