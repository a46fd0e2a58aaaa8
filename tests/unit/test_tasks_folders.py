"""Each of the first four task folders is complete and says what the engine needs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from grading_harness import TASKS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAMES = ("prisoners_dilemma", "battle_of_sexes", "colonel_blotto", "house_price")
FILES = ("instruction.md", "README.md", "requirements.txt", "tests/test.sh", "tests/grade.py", "solution/solve.sh")
GAME_CHEATS = {
    "background_process",
    "early_reward",
    "edited_judge",
    "every_descriptor",
    "forged_control",
    "forged_result",
    "frame_walk",
    "known_seed",
    "linked_strategy",
    "shadow_modules",
    "startup_hooks",
}
HOUSE_PRICE_CHEATS = {
    "background_process",
    "bundled_labels",
    "duplicated_ids",
    "edited_grader",
    "linked_labels",
    "not_a_number",
    "searched_labels",
    "shadow_modules",
    "without_ids",
}


def task_file(name: str) -> dict[str, Any]:
    """Return what a task's task.toml says."""
    return tomllib.loads(TASKS.joinpath(name, "task.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_is_complete(name: str) -> None:
    """Everything the engine and people look for is there, and the files the task file names as well."""
    task = task_file(name)
    ours = task["metadata"]["mlgym_lite"]
    assert task["task"]["name"] == f"mlgym-lite/{name}"
    assert [file for file in FILES if not TASKS.joinpath(name, file).is_file()] == []
    named = [ours["requirements"], ours.get("player", {}).get("program"), ours.get("data", {}).get("prepare")]
    assert [file for file in named if file and not TASKS.joinpath(name, file).is_file()] == []
    if "data" in ours:
        for tree in ("agent", "judge"):
            assert TASKS.joinpath(name, ours["data"]["mini"], tree).is_dir()


@pytest.mark.parametrize("name", NAMES)
def test_the_baseline_is_given_for_the_metric_that_ranks(name: str) -> None:
    """Both variants say what the baseline scores."""
    ours = task_file(name)["metadata"]["mlgym_lite"]
    assert ours["metric"] in ours["baseline"] and ours["metric"] in ours["variants"]["mini"]["baseline"]


@pytest.mark.parametrize("name", NAMES)
def test_the_grader_is_started_with_the_engines_interpreter(name: str) -> None:
    """test.sh runs grade.py isolated from the environment and from the folder it is started in."""
    text = TASKS.joinpath(name, "tests", "test.sh").read_text(encoding="utf-8")
    assert re.search(r'^exec "\$MLGYM_LITE_PYTHON" -I .*/tests/grade\.py"$', text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_requirements_are_pinned(name: str) -> None:
    """Every line names one version."""
    lines = TASKS.joinpath(name, "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert lines and all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+( ?;.*)?", line) for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_the_known_holes_are_tried(name: str) -> None:
    """There is a cheat for each known hole; each says in its first comment what it tries, and bash can read it."""
    scripts = sorted(TASKS.joinpath(name, "cheats").glob("*.sh"))
    assert (HOUSE_PRICE_CHEATS if name == "house_price" else GAME_CHEATS) <= {script.stem for script in scripts}
    for script in scripts:
        first, second, *_ = script.read_text(encoding="utf-8").splitlines()
        assert first.startswith("#!") and re.fullmatch(r"# .+\.", second), script
        subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_the_agent_sees_tells_what_is_hidden(name: str) -> None:
    """Instruction and starter files do not name the grader's parts or the opponent's rules."""
    seen = [TASKS / name / "instruction.md", *TASKS.joinpath(name, "environment").glob("*")]
    hidden = re.compile(r"/hidden|/tests|grade\.py|judge|tit.for|pavlov|grim|first move|uniform", re.IGNORECASE)
    assert [path for path in seen if path.is_file() and hidden.search(path.read_text(encoding="utf-8"))] == []


def test_the_starters_leave_the_artifacts_the_tasks_declare(tmp_path: Path) -> None:
    """The games' baseline is the starter itself, under the name that is handed in."""
    for name in NAMES[:3]:
        assert task_file(name)["artifacts"] == ["strategy.py"]
        assert TASKS.joinpath(name, "environment", "strategy.py").is_file()
    assert task_file("house_price")["artifacts"] == ["submission.csv"]
