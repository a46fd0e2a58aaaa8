"""Runs as other systems' trajectories, and back: nothing that a format can hold is lost."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mlgym_lite
from mlgym_lite.agents.protocol import Action, Observation, PlainAgent, Stop
from mlgym_lite.config.actions_file import Recording, read_recording
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.episode.run_reader import read_run
from mlgym_lite.episode.runner import run_episode
from mlgym_lite.errors import ActionsError
from mlgym_lite.models.protocol import ModelUsage
from mlgym_lite.services.pictures import PictureService
from mlgym_lite.trajectories.atif import atif_text
from mlgym_lite.trajectories.mlgym import results_text, traj_text

pytestmark = pytest.mark.kernel
ACTIONS = [
    "echo '<b>é\u2028</b>'; printf '\\033[31m'",
    "false",
    "echo 7 > answer.txt\nvalidate",
    "echo x > answer.txt; validate",
    "echo 8 > answer.txt; submit",
]
PROMPT = [{"role": "system", "content": "Be good."}, {"role": "user", "content": "Write a number."}]


PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="


class Thinker(PlainAgent):
    """Plays the actions with thoughts and usage, as a language model does."""

    name = "thinker"
    model = "openai/x"

    def __init__(self) -> None:
        self._left = list(enumerate(ACTIONS))

    def next_action(self, observation: Observation) -> Action | Stop:
        """The next of them."""
        at, text = self._left.pop(0)
        details = {"reply": {"role": "assistant", "content": f"reply {at}"}, **({"prompt": PROMPT} if at == 0 else {})}
        usage = ModelUsage(input_tokens=10, output_tokens=at, cost_usd=0.5, calls=1)
        return Action(text=text, thought=f"thought {at}", usage=usage, details=details)


@pytest.fixture
def run_directory(make_task: Callable[..., Path], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with thoughts, scores, a rejected validation and a submission."""
    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))
    task = mlgym_lite.load_task(make_task())
    return run_episode(task, Thinker(), RunSettings(output=tmp_path / "run"), cache=cache).run_directory


def pairs(recording: Recording) -> list[tuple[str, str | None]]:
    """Actions and observations."""
    return [(step.action, step.observation) for step in recording.steps]


def test_atif_holds_pictures_and_changes(
    make_task: Callable[..., Path], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the agent looked at stands as a part of the observation; the text reads back."""
    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))
    task = mlgym_lite.load_task(make_task())
    with mlgym_lite.Episode(task, settings=RunSettings(output=tmp_path / "run"), services=[PictureService()]) as episode:
        episode.step(f"echo {PICTURE} | base64 -d > a.png; echo 2 > answer.txt; view_image a.png")
    file = tmp_path / "a.json"
    file.write_text(atif_text(read_run(tmp_path / "run")), encoding="utf-8")
    if sys.version_info >= (3, 11):
        import atif

        atif.Trajectory.model_validate_json(file.read_text(encoding="utf-8"))
    assert pairs(read_recording(file)) == pairs(read_recording(tmp_path / "run"))
    (result,) = json.loads(file.read_text(encoding="utf-8"))["steps"][-1]["observation"]["results"]
    source = result["content"][1]["source"]
    assert source["media_type"] == "image/png" and Path(source["path"]).read_bytes().startswith(b"\x89PNG")
    assert [change["path"] for change in result["extra"]["changes"]] == ["answer.txt", "a.png"]


def test_atif_holds_everything(run_directory: Path, tmp_path: Path) -> None:
    """The document is valid by the format's own package, and reads back with every action, observation and score."""
    file = tmp_path / "a.json"
    file.write_text(atif_text(read_run(run_directory)), encoding="utf-8")
    if sys.version_info >= (3, 11):
        import atif

        atif.Trajectory.model_validate_json(file.read_text(encoding="utf-8"))
    back, recorded = read_recording(file), read_recording(run_directory)
    assert pairs(back) == pairs(recorded)
    assert [step.scores for step in back.steps] == [(), (), ({"Score": 7.0},), (), ({"Score": 8.0},)]
    document = json.loads(file.read_text(encoding="utf-8"))
    assert [step["source"] for step in document["steps"]] == ["system", "user", *["agent"] * len(ACTIONS)]
    assert document["steps"][3]["message"] == "thought 1"
    assert document["steps"][3]["metrics"] == {"prompt_tokens": 10, "completion_tokens": 1, "cost_usd": 0.5}
    assert document["steps"][3]["observation"]["results"][0]["extra"]["exit_status"] == 1
    assert document["final_metrics"]["total_cost_usd"] == 2.5
    assert document["extra"]["result"] == json.loads((run_directory / "result.json").read_text(encoding="utf-8"))


def test_mlgyms_trajectory_holds_what_it_can(run_directory: Path, tmp_path: Path) -> None:
    """Every action, observation, thought and score is where MLGym's own readers look."""
    file = tmp_path / "task.traj"
    file.write_text(traj_text(read_run(run_directory)), encoding="utf-8")
    back, recorded = read_recording(file), read_recording(run_directory)
    assert pairs(back) == pairs(recorded)
    assert back.exported is not None and back.exported["run"]["task"]["name"] == "tiny"
    content = json.loads(file.read_text(encoding="utf-8"))
    assert [entry["thought"] for entry in content["trajectory"]] == [f"thought {at}" for at in range(len(ACTIONS))]
    assert [message["role"] for message in content["history"]] == ["system", "user", *["assistant", "user"] * len(ACTIONS)]
    assert content["info"]["exit_status"] == "submitted"
    assert content["info"]["model_stats"] == {
        "total_cost": 2.5, "task_cost": 2.5, "tokens_sent": 50, "tokens_received": 10, "api_calls": 5,
    }  # fmt: skip
    results = json.loads(results_text(read_run(run_directory)))
    assert results == {"agent": [{"Score": 7.0}, {"Score": 8.0}], "baseline": {"Score": 1.0}}
    assert content["info"]["score"] == results["agent"]


def test_a_killed_run_can_be_exported(run_directory: Path) -> None:
    """Without result.json and with half a line at the end."""
    (run_directory / "result.json").unlink()
    with (run_directory / "trajectory.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 6, "act')
    run = read_run(run_directory)
    assert len(json.loads(atif_text(run))["steps"]) == 2 + len(ACTIONS)
    assert json.loads(traj_text(run))["info"]["score"] == [{"Score": 7.0}]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("run.json", "[]", "expected a JSON object"),
        ("run.json", "{", "cannot be read"),
        ("trajectory.jsonl", "{\n\n", "line 1"),
    ],
)
def test_broken_runs_are_told(run_directory: Path, name: str, content: str, words: str) -> None:
    """With file and line."""
    (run_directory / name).write_text(content, encoding="utf-8")
    with pytest.raises(ActionsError, match=words):
        read_run(run_directory)


@pytest.mark.parametrize(
    "content", ["[]", '{"schema_version": "2"}', '{"schema_version": "ATIF-v1.8", "steps": [{"source": "user"}]}']
)
def test_what_is_no_atif_is_told(tmp_path: Path, content: str) -> None:
    """A JSON file of another kind, or one without actions."""
    file = tmp_path / "a.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ActionsError, match=r"ATIF|no action"):
        read_recording(file)
