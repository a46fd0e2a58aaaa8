"""Each shipped task folder is complete, says what the engine needs, and hides what it must."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from grading_harness import TASKS

from mlgym_lite.shipped_files import shipped_task_names

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAMES = tuple(shipped_task_names())
BENCH = {
    "battle_of_sexes",
    "breakout",
    "cifar10",
    "coco_captioning",
    "colonel_blotto",
    "fashion_mnist",
    "fineweb",
    "house_price",
    "meta_maze",
    "mnli",
    "mountain_car",
    "prisoners_dilemma",
    "three_sat",
}
"""MLGym-Bench's thirteen."""
FILES = (
    "instruction.md",
    "README.md",
    "requirements.txt",
    "tests/test.sh",
    "tests/grade.py",
    "solution/solve.sh",
    "solution/better.sh",
)
LARGEST_FILE_BYTES = 300_000
TABLE_CHEATS = {"background_process", "duplicated_ids", "not_a_number", "shadow_modules"}
PLAYER_CHEATS = {"background_process", "forged_result", "shadow_modules", "startup_hooks"}


def task_file(name: str) -> dict[str, Any]:
    """Return what a task's task.toml says."""
    return tomllib.loads(TASKS.joinpath(name, "task.toml").read_text(encoding="utf-8"))


def ours_of(name: str) -> dict[str, Any]:
    """Return the table that is this project's."""
    table: dict[str, Any] = task_file(name)["metadata"]["mlgym_lite"]
    return table


def test_the_whole_bench_ships() -> None:
    """Names are those of MLGym-Bench's tasks, all thirteen."""
    assert set(NAMES) == BENCH


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_is_complete(name: str) -> None:
    """Everything the engine and people look for is there."""
    assert task_file(name)["task"]["name"] == f"mlgym-lite/{name}"
    assert [file for file in FILES if not TASKS.joinpath(name, file).is_file()] == []
    data = ours_of(name).get("data", {})
    for tree in ("agent", "judge") if "mini" in data else ():
        assert TASKS.joinpath(name, data["mini"], tree).is_dir()


@pytest.mark.parametrize("name", NAMES)
def test_the_task_says_what_people_ask(name: str) -> None:
    """It has a domain, a description, a baseline for the mini variant, its noise, and how the paper scored it."""
    ours = ours_of(name)
    assert ours["domain"] and task_file(name)["task"]["description"]
    assert ours["metric"] in ours["variants"]["mini"]["baseline"]
    assert "parity" in ours
    assert "score_noise" in ours or "score_noise" in ours["variants"]["mini"]


@pytest.mark.parametrize("name", NAMES)
def test_the_page_about_the_task_answers_the_same_questions(name: str) -> None:
    """Source, licence, splits, metric, baseline, best known, and what differs from MLGym."""
    text = TASKS.joinpath(name, "README.md").read_text(encoding="utf-8").lower()
    assert [
        word for word in ("source", "licence", "split", "metric", "baseline", "best", "mini", "mlgym") if word not in text
    ] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_grader_is_started_with_the_engines_interpreter(name: str) -> None:
    """test.sh runs grade.py isolated from the environment and from the folder it is started in."""
    text = TASKS.joinpath(name, "tests", "test.sh").read_text(encoding="utf-8")
    assert re.search(r'^exec "\$MLGYM_LITE_PYTHON" -I .*/tests/grade\.py"$', text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_requirements_are_pinned(name: str) -> None:
    """Every line of every list of packages names one version; packages that tasks share have the same one."""
    lists = sorted(TASKS.joinpath(name).glob("*requirements.txt"))
    lines = [line for file in lists for line in file.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert lines and all(re.fullmatch(r"[A-Za-z0-9_.-]+(\[[a-z,]+\])?==[0-9.]+( ?;.*)?", line) for line in lines)
    own = (TASKS / name / "requirements.txt").read_text(encoding="utf-8").split()
    assert [line for line in own if line.startswith("torch==") and line != "torch==2.13.0"] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_judge_brings_no_deep_learning(name: str) -> None:
    """What the grader imports stays small, and none of it loads pickles."""
    ours = ours_of(name)
    packages = (
        TASKS.joinpath(name, ours["grader_requirements"]).read_text(encoding="utf-8") if "grader_requirements" in ours else ""
    )
    assert "torch" not in packages
    for file in TASKS.joinpath(name, "tests").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"import pickle|allow_pickle=True|weights_only=False", text), file


@pytest.mark.parametrize("name", NAMES)
def test_the_known_holes_are_tried(name: str) -> None:
    """There are cheats of the kinds every task of its shape knows; each says first what it tries, and bash can read it."""
    scripts = sorted(TASKS.joinpath(name, "cheats").glob("*.sh"))
    expected = PLAYER_CHEATS if "player" in ours_of(name) else TABLE_CHEATS
    assert expected - {script.stem for script in scripts} == set()
    for script in scripts:
        first, second, *_ = script.read_text(encoding="utf-8").splitlines()
        assert first.startswith("#!") and re.fullmatch(r"# .+[.:,;]?", second), script
        subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_files_are_small_and_none_is_a_pickle(name: str) -> None:
    """The repository stays small, and what agents and graders read can hold no code."""
    for file in TASKS.joinpath(name).rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            assert file.stat().st_size <= LARGEST_FILE_BYTES, file
            assert file.suffix not in {".pkl", ".pickle", ".pt", ".bin"}, file


@pytest.mark.parametrize("name", NAMES)
def test_nothing_the_agent_sees_tells_what_is_hidden(name: str) -> None:
    """Instruction and starter files do not name the grader's parts or the games' opponents' rules."""
    seen = [TASKS / name / "instruction.md", *TASKS.joinpath(name, "environment").rglob("*")]
    hidden = re.compile(r"/hidden|/tests|grade\.py|tit.for|pavlov|grim", re.IGNORECASE)
    texts = [path for path in seen if path.is_file() and path.suffix in {".md", ".py", ".sh", ".txt"}]
    assert [path for path in texts if hidden.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_python_file_says_what_it_is_for(name: str) -> None:
    """Each module of a task begins with a docstring."""
    files = [path for path in TASKS.joinpath(name).rglob("*.py") if "__pycache__" not in path.parts]
    assert [path for path in files if ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None] == []


def test_the_starters_leave_the_artifacts_the_tasks_declare() -> None:
    """The games' baseline is the starter itself, under the name that is handed in."""
    for name in ("battle_of_sexes", "colonel_blotto", "prisoners_dilemma"):
        assert task_file(name)["artifacts"] == ["strategy.py"]
        assert TASKS.joinpath(name, "environment", "strategy.py").is_file()
    assert task_file("house_price")["artifacts"] == ["submission.csv"]


def test_the_page_for_writers_is_there() -> None:
    """The documents a task's author needs."""
    for name in ("writing-a-task.md", "task-file.md", "grading.md"):
        assert Path(TASKS.parent, "docs", "tasks", name).is_file()
