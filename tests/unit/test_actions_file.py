"""Files of recorded actions: read exactly, or refused with the line that is wrong."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlgym_lite.config.actions_file import Recording, read_recording
from mlgym_lite.errors import ActionsError

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
KEYS = st.sampled_from(["trajectory", "action", "observation", "scores", "metrics", "info", "score"]) | TEXT
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)


def _read(data: bytes, name: str) -> Recording:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        return read_recording(path)


def _readable(recording: Recording) -> None:
    assert recording.steps
    for step in recording.steps:
        assert isinstance(step.action, str)
        assert step.observation is None or isinstance(step.observation, str)
        assert all(isinstance(score, dict) for score in step.scores)


@given(st.binary(max_size=200) | TEXT.map(str.encode), st.sampled_from(["a.jsonl", "a.traj", "trajectory.jsonl"]))
@settings(deadline=None)
def test_any_file_is_read_or_refused(data: bytes, name: str) -> None:
    """Whatever a file holds, reading it gives actions or ActionsError."""
    try:
        _readable(_read(data, name))
    except ActionsError as error:
        assert name in str(error)


@given(st.lists(JSON, max_size=4))
@example([{"action": "ls", "scores": 5}])
@example([{"action": "ls", "scores": [{"metrics": 5}]}])
@settings(deadline=None)
def test_any_json_lines_are_read_or_refused(values: list[Any]) -> None:
    """Whatever JSON the lines hold, reading them gives actions or ActionsError."""
    try:
        _readable(_read("\n".join(json.dumps(value) for value in values).encode(), "a.jsonl"))
    except ActionsError:
        return


@given(st.dictionaries(KEYS, JSON, max_size=4) | JSON)
@example({"trajectory": [{"action": "ls"}], "info": None})
@example({"trajectory": [{"action": "ls"}], "info": {"score": 5}})
@example({"trajectory": [{"action": "ls", "observation": 5}]})
@settings(deadline=None)
def test_any_json_traj_is_read_or_refused(value: Any) -> None:
    """Whatever JSON a .traj file holds, reading it gives actions or ActionsError."""
    try:
        _readable(_read(json.dumps(value).encode(), "a.traj"))
    except ActionsError:
        return


@pytest.mark.parametrize("name", ["a.jsonl", "a.traj"])
def test_deeply_nested_json_is_refused(name: str) -> None:
    """A line nested too deep to read is refused like any other."""
    with pytest.raises(ActionsError):
        _read(b"[" * 100_000, name)


@given(st.lists(TEXT, min_size=1))
@settings(deadline=None)
def test_actions_come_back_exactly(actions: list[str]) -> None:
    """Texts and objects with an `action` give the same actions, in order, whatever characters they hold."""
    lines = [json.dumps(action if number % 2 else {"action": action}) for number, action in enumerate(actions)]
    assert [step.action for step in _read("\n".join(lines).encode(), "a.jsonl").steps] == actions


def test_blank_lines_and_foreign_line_ends_do_not_matter() -> None:
    """Empty lines are skipped and lines may end as Windows ends them."""
    assert [step.action for step in _read(b'\r\n"a"\r\n\r\n"b"\r\n', "a.jsonl").steps] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"a"\n\nnot json\n', ("line 3", "is not JSON")),
        ('"a"\n{"action": 3}\n', ("line 2", 'a text "action"', '{"action": 3}')),
        ("[1]\n", ("line 1", "expected a text")),
        ('{"observation": "x"}\n', ("line 1", '"action"')),
        ("\n \n", ("holds no action",)),
        ("", ("holds no action",)),
    ],
)
def test_a_bad_line_is_told_by_its_number(text: str, words: tuple[str, ...]) -> None:
    """The error names the file, the line, and what was expected."""
    with pytest.raises(ActionsError) as caught:
        _read(text.encode(), "actions.jsonl")
    for word in (*words, "actions.jsonl"):
        assert word in str(caught.value)


def test_a_line_that_a_killed_run_left_unfinished_is_left_out() -> None:
    """The last line of a trajectory may be cut short; the steps before it count."""
    data = b'{"action": "a", "observation": "x"}\n{"action": "b", "obs'
    assert [step.action for step in _read(data, "trajectory.jsonl").steps] == ["a"]
    with pytest.raises(ActionsError, match="line 2"):
        _read(data, "other.jsonl")


def test_an_unfinished_line_in_the_middle_is_no_killed_run() -> None:
    """Only the very last line may be cut short."""
    with pytest.raises(ActionsError, match="line 1"):
        _read(b'{"action": "a"\n{"action": "b"}\n', "trajectory.jsonl")


def test_a_run_directory_stands_for_its_trajectory(tmp_path: Path) -> None:
    """A directory is read by its trajectory.jsonl, with observations and scores."""
    line = {"action": "validate", "observation": "ok\n", "scores": [{"kind": "validate", "metrics": {"Score": 1.0}}]}
    (tmp_path / "trajectory.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    (step,) = read_recording(tmp_path).steps
    assert (step.action, step.observation, step.scores) == ("validate", "ok\n", ({"Score": 1.0},))


def test_a_traj_gives_actions_observations_and_scores() -> None:
    """MLGym's trajectories are read as they are; entries without an action are left out."""
    content = {
        "environment": "mlgym_main",
        "trajectory": [
            {"action": "ls\n", "observation": "a", "response": "r", "state": "{}", "thought": "t", "execution_time": 0.1},
            {"action": "", "observation": "b"},
            {"action": "submit", "observation": None},
        ],
        "history": [],
        "info": {"exit_status": "submitted", "score": [{"Score": 1.5}]},
    }
    recording = _read(json.dumps(content).encode(), "run.traj")
    assert [(step.action, step.observation) for step in recording.steps] == [("ls\n", "a"), ("submit", None)]
    assert [step.scores for step in recording.steps] == [(), ({"Score": 1.5},)]


@pytest.mark.parametrize(
    "content", ["[]", "3", "{}", '{"trajectory": 3}', '{"trajectory": []}', '{"trajectory": [{"action": 5}]}', "x"]
)
def test_another_file_named_traj_is_refused(content: str) -> None:
    """What is no MLGym trajectory is told as that."""
    with pytest.raises(ActionsError, match=r"run\.traj: .*trajectory"):
        _read(content.encode(), "run.traj")


def test_a_missing_file_is_told_with_what_was_expected(tmp_path: Path) -> None:
    """The error for a missing file lists the kinds of files that can be read."""
    with pytest.raises(ActionsError, match=r"cannot be read: No such file.*JSON Lines.*\.traj.*run directory"):
        read_recording(tmp_path / "none.jsonl")
