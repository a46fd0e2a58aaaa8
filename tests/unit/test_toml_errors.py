"""Mistakes in a TOML file: all told at once, each with its file, its key, and what was expected."""

from __future__ import annotations

import string
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlgym_lite.config.harbor import TaskFile
from mlgym_lite.config.sandbox_profile import SandboxProfile
from mlgym_lite.config.toml_errors import TomlProblems, parse, read_toml

MINIMAL = {"artifacts": ["a"], "metadata": {"mlgym_lite": {"metric": "Score", "direction": "maximize"}}}

KEYS = st.sampled_from(
    sorted({"artifacts", "metadata", "mlgym_lite", "metric", "direction", "baseline", "environment", "env", "agent", "steps"})
) | st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def problems(content: dict[str, Any]) -> tuple[str, ...]:
    """The mistakes found in a task file's content."""
    with pytest.raises(TomlProblems) as caught:
        parse(TaskFile, content, "task.toml")
    return caught.value.problems


def merged(table: str, **keys: Any) -> dict[str, Any]:
    """The minimal content with keys added to a table such as `metadata.mlgym_lite`."""
    content: dict[str, Any] = {"artifacts": ["a"], "metadata": {"mlgym_lite": dict(MINIMAL["metadata"]["mlgym_lite"])}}  # type: ignore[call-overload]
    place = content
    for part in table.split(".") if table else ():
        place = place.setdefault(part, {})
    place.update(keys)
    return content


def _read(data: bytes) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        return read_toml(Path(file.name))


@given(st.binary(max_size=200) | st.text(string.ascii_letters + "[]{}=.\"'#\n 0123456789-", max_size=200).map(str.encode))
@settings(deadline=None)
def test_any_file_is_read_or_refused(data: bytes) -> None:
    """Whatever a file holds, reading it gives a table or TomlProblems."""
    try:
        assert isinstance(_read(data), dict)
    except TomlProblems as error:
        assert error.problems


def test_deeply_nested_toml_is_refused() -> None:
    """A file nested too deep to read is refused like any other ill-formed file."""
    with pytest.raises(TomlProblems):
        _read(b"a = " + b"[" * 100_000)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
@example({"A": None})
@settings(deadline=None)
def test_any_content_is_parsed_or_refused_with_the_file(content: dict[str, Any]) -> None:
    """Whatever a table holds, parsing gives a model or TomlProblems, and each problem starts with the file."""
    for model in (TaskFile, SandboxProfile):
        try:
            parse(model, content, "some.toml")
        except TomlProblems as error:
            assert error.problems
            assert all(problem.startswith("some.toml: ") for problem in error.problems)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a = \n", ("is not TOML", "line 1")),
        (b"a = 1\nb = 2\na = 3\n", ("is not TOML", "line 3")),
        (b"a = '\xff'", ("is not UTF-8", "byte 5")),
    ],
)
def test_an_ill_formed_file_is_told_with_its_place(data: bytes, words: tuple[str, ...]) -> None:
    """Ill-formed TOML is told with its line, and other encodings with the byte."""
    with pytest.raises(TomlProblems) as caught:
        _read(data)
    assert len(caught.value.problems) == 1
    for word in words:
        assert word in caught.value.problems[0]


def test_a_file_that_cannot_be_read_is_told_with_the_reason(tmp_path: Path) -> None:
    """A missing file or a folder in its place is told with the reason, not as ill-formed."""
    with pytest.raises(TomlProblems, match=r"none\.toml: cannot be read: No such file"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(TomlProblems, match="cannot be read: Is a directory"):
        read_toml(tmp_path)


@pytest.mark.parametrize(
    ("table", "key", "nearest"),
    [
        ("", "artefacts", "artifacts"),
        ("", "enviroment", "environment"),
        ("metadata.mlgym_lite", "metrik", "metric"),
        ("metadata.mlgym_lite", "max_step", "max_steps"),
        ("metadata.mlgym_lite.data", "prepair", "prepare"),
        ("metadata.mlgym_lite.variants", "fulll", "full"),
        ("environment", "cpu", "cpus"),
        ("agent", "timeout_seconds", "timeout_sec"),
        ("solution", "envs", "env"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_that_exists(table: str, key: str, nearest: str) -> None:
    """A misspelt key is named in full, with the key that was probably meant."""
    place = f"{table}.{key}".lstrip(".")
    assert f"task.toml: {place}: unknown key; did you mean '{nearest}'?" in problems(merged(table, **{key: 1}))


def test_a_key_like_no_other_is_told_with_the_known_ones() -> None:
    """Where nothing is near, all keys of that table are listed."""
    (told,) = problems(merged("solution", zzz=1))
    assert told == "task.toml: solution.zzz: unknown key; known here: env"


def test_a_key_that_is_refused_is_never_suggested() -> None:
    """The nearest key is one that may be used."""
    (told,) = problems(merged("environment", memory_MB=1))
    assert "did you mean 'memory_mb'?" in told


@pytest.mark.parametrize("key", ["Metric", "str", "float", "Max_Steps", "[x]"])
def test_an_unknown_key_is_named_whatever_it_is_called(key: str) -> None:
    """A key with a capital letter, a bracket or a type's name is named like any other."""
    (told,) = problems(merged("metadata.mlgym_lite", **{key: 1}))
    assert told.startswith(f"task.toml: metadata.mlgym_lite.{key}: unknown key")


def test_a_wrong_value_is_told_with_its_whole_key() -> None:
    """The name of a metric or a variable is part of the place."""
    told = problems(merged("environment", env={"FOO": 1, "BAR": 2}))
    assert [problem.split(": ")[1] for problem in told] == ["environment.env.FOO", "environment.env.BAR"]


@pytest.mark.parametrize(
    ("table", "key", "value", "expected"),
    [
        ("metadata.mlgym_lite", "metric", 3, "expected a text in quotes, not 3"),
        ("metadata.mlgym_lite", "max_steps", 2.5, "expected a whole number, not 2.5"),
        ("metadata.mlgym_lite", "max_steps", True, "expected a whole number, not True"),
        ("metadata.mlgym_lite", "command_timeout_sec", "30", "expected a number, not '30'"),
        ("metadata.mlgym_lite", "direction", "up", "expected 'maximize' or 'minimize', not 'up'"),
        ("metadata.mlgym_lite", "player", "x", "expected a table, not 'x'"),
        ("metadata.mlgym_lite", "baseline", 3, "expected a table, not 3"),
        ("environment", "memory_mb", "512", "expected a whole number, not '512'"),
        ("", "artifacts", "a", "expected a list: [...], not 'a'"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(table: str, key: str, value: Any, expected: str) -> None:
    """A value of the wrong kind is told with its key, what was expected, and what was found."""
    place = f"{table}.{key}".lstrip(".")
    assert problems(merged(table, **{key: value})) == (f"task.toml: {place}: {expected}",)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
def test_a_time_limit_is_a_positive_finite_number(value: float) -> None:
    """No limit may be nothing, infinite or not a number."""
    (told,) = problems(merged("agent", timeout_sec=value))
    assert told.startswith("task.toml: agent.timeout_sec: ")


def test_a_required_key_is_told_as_missing() -> None:
    """A missing key is told as required, with its whole place."""
    assert problems({"artifacts": ["a"], "metadata": {"mlgym_lite": {}}}) == (
        "task.toml: metadata.mlgym_lite.metric: this key is required",
        "task.toml: metadata.mlgym_lite.direction: this key is required",
    )


def test_all_mistakes_are_told_at_once() -> None:
    """Mistakes in different tables come together, each once."""
    content = {"artifacts": [], "metadata": {"mlgym_lite": {"metric": 1}}, "agent": {"timeout": 1}, "zzz": 1}
    told = problems(content)
    assert len(told) == len(set(told)) == 5


def test_a_refused_key_hides_no_other_mistake_of_its_table() -> None:
    """Keys this project cannot keep are told together with misspelt ones."""
    told = "\n".join(problems(merged("environment", docker_image="x", mcp_servers=[{"name": "x"}], cpu=1)))
    assert "docker_image" in told
    assert "mcp_servers" in told
    assert "environment.cpu: unknown key" in told


@pytest.mark.parametrize("artifact", [3, {"src": "a"}, {"source": "a", "service": "b"}])
def test_an_entry_that_may_be_text_or_table_is_told_once(artifact: Any) -> None:
    """An artifact that is wrong has one thing to put right, told once."""
    told = problems(merged("", artifacts=[artifact]))
    assert not any("expected a text in quotes" in problem and len(told) > 1 for problem in told)


def test_no_words_of_the_library_reach_a_person() -> None:
    """Limits are told in the words of this project."""
    told = "\n".join(
        problems(merged("metadata.mlgym_lite", max_steps=0, validations=-1, baseline={}))
        + problems(merged("", artifacts=[]))
        + problems(merged("environment", allow_internet=True))
    )
    assert "input should" not in told
    assert "after validation" not in told
    assert "False" not in told


def test_a_file_without_mistakes_is_parsed() -> None:
    """The smallest task file is enough."""
    assert parse(TaskFile, MINIMAL, "task.toml").metadata.mlgym_lite.metric == "Score"
