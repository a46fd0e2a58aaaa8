"""Tasks of several steps are run: each goes on with what the one before left, until one does not reach what is needed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from several_steps import STEPS_TOML, make_steps

from mlgym_lite.agents.protocol import Action, Observation, PlainAgent, Stop
from mlgym_lite.config.run_settings import IsolationChoice, RunSettings
from mlgym_lite.config.series_file import load_series
from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.runner import Listeners
from mlgym_lite.episode.series import SeriesOutcome, run_series
from mlgym_lite.errors import OutputError


class Typist(PlainAgent):
    """Types inputs, and remembers what it is shown first."""

    def __init__(self, inputs: Sequence[str]) -> None:
        self._inputs = list(inputs)
        self.shown: list[str] = []

    def next_action(self, observation: Observation) -> Action | Stop:
        """The next input."""
        self.shown.append(observation.text)
        return Action(text=self._inputs.pop(0)) if self._inputs else Stop(reason="gave_up")


class Team:
    """A typist for each step."""

    def __init__(self, inputs: dict[str, Sequence[str]]) -> None:
        self._inputs = inputs
        self.typists: dict[str, Typist] = {}

    def __call__(self, task: Task) -> Typist:
        self.typists[task.step] = Typist(self._inputs[task.step])
        return self.typists[task.step]


def played(folder: Path, team: Team, cache: Path, isolation: IsolationChoice = "auto") -> SeriesOutcome:
    """The series in a folder of its own."""
    settings = RunSettings(output=folder.with_name("out"), isolation=isolation)
    return run_series(load_series(folder), team, settings, cache=cache)


def test_steps_go_on_from_one_another(
    tmp_path: Path, cache: Path, mechanism: IsolationChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files, directory, variables; instruction, budget and grading are the step's own; the mean of the scores is the reward."""
    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))
    team = Team(
        {
            "idea": ["mkdir deep; cd deep; export KEPT=kept", "echo 3 > ../idea.txt", "submit"],
            "work": ["pwd; echo $KEPT; cat ../idea.txt", "validate", "echo 4 > ../answer.txt; submit"],
            "end": ["cat ../answer.txt", "echo 5 > ../answer.txt"],
        }
    )
    made = played(make_steps(tmp_path / "three"), team, cache, mechanism)
    assert made.reward == (3 + 4 + 5) / 3
    first, second, third = team.typists.values()
    assert [one.shown[0].splitlines()[0] for one in (first, second, third)] == ["Do the idea.", "Do the work.", "Do the end."]
    assert second.shown[1].endswith("workspace/deep\nkept\n3\n")
    assert "Validation 1 of 3" in second.shown[2] and third.shown[1] == "4\n"
    record = json.loads((made.folder / "series.json").read_text())
    assert [(step["name"], step["reached"]) for step in record["steps"]] == [("idea", True), ("work", True), ("end", True)]
    assert record["reward"] == made.reward and record["not_begun"] == []
    for name, outcome in made.outcomes.items():
        result = json.loads((made.folder / name / "result.json").read_text())
        assert result == outcome.result and result["task"] == f"three-{name}"
    assert made.outcomes["end"].ending.reason == "step_limit" and made.outcomes["end"].result["steps"] == 2


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("idea", "strategy", "reward"),
    [("echo 1 > idea.txt; submit", "mean", 1 / 3), ("submit", "mean", 0.0), ("echo 1 > idea.txt; submit", "final", None)],
)
def test_a_step_that_is_not_good_enough_ends_it(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, idea: str, strategy: str, reward: float | None
) -> None:
    """Below its min_reward, or without a score; steps that were not reached count as 0, and the last one's score is none."""
    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))
    folder = make_steps(tmp_path / "three", STEPS_TOML.replace('"mean"', f'"{strategy}"'))
    made = played(folder, Team({"idea": [idea]}), cache)
    assert made.reward == reward and [*made.outcomes] == ["idea"]
    record = json.loads((made.folder / "series.json").read_text())
    assert record["not_begun"] == ["work", "end"] and record["steps"][0]["reached"] is False
    assert record["steps"][0]["unmet"] == {"Score": {"least": 2.0, "value": 1.0 if "1" in idea else None}}
    with pytest.raises(OutputError, match="already exists; a run is never overwritten"):
        played(folder, Team({}), cache)


@pytest.mark.kernel
def test_a_step_begins_where_the_one_before_it_was(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the variables say that were looked at earlier."""
    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))
    team = Team(
        {
            "idea": ["echo 2 > idea.txt; export KEPT=1; cd /tmp", 'cd "$MLGYM_LITE_ROOT/workspace"', "submit"],
            "work": ['pwd; echo "$PWD"', "echo 3 > answer.txt", "submit"],
            "end": ["echo 4 > answer.txt; submit"],
        }
    )
    assert played(make_steps(tmp_path / "three"), team, cache).reward == 3.0
    here, told = team.typists["work"].shown[1].splitlines()
    assert here == told and here.endswith("/workspace")


@pytest.mark.kernel
def test_listeners_are_told_of_every_step(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each beginning and end."""
    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))
    told: list[str] = []
    listeners = Listeners(
        on_start=lambda episode: told.append(f"{episode.task.step} begins"),
        on_end=lambda episode: told.append(f"{episode.task.step} ends"),
    )
    series = load_series(make_steps(tmp_path / "three"))
    team = Team({"idea": ["echo 2 > idea.txt; submit"], "work": ["submit"]})
    run_series(series, team, RunSettings(output=tmp_path / "out"), cache=cache, listeners=listeners)
    assert told == ["idea begins", "idea ends", "work begins", "work ends"]
