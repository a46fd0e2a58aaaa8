"""What the documentation shows runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_task import TASK_TOML

from mlgym_lite.models.script_server import ScriptServer

ROOT = Path(__file__).resolve().parents[2]


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of one language in a document."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.kernel
def test_the_readme_s_python_runs(tmp_path: Path, environment: dict[str, str]) -> None:
    """The Python of the README runs in an empty folder and prints a score and a run directory."""
    (program,) = blocks("README.md", "python")
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert result.returncode == 0, result.stderr
    score, run_directory = result.stdout.split(maxsplit=1)
    assert float(score) > 0.9
    assert (Path(run_directory.strip()) / "result.json").is_file()


@pytest.mark.kernel
def test_mini_swe_agent_plays_in_the_python_api(tmp_path: Path, environment: dict[str, str]) -> None:
    """The Python of docs/agents.md plays with a scripted model and prints a score."""
    (program,) = blocks("docs/agents.md", "python")
    call = {"name": "bash", "arguments": {"command": "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"}}
    with ScriptServer([{"content": "Done.", "tool_calls": [call], "usage": [100, 10]}]) as server:
        variables = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": server.base_url, "HOME": str(tmp_path)}
        result = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env={**environment, **variables, "MSWEA_SILENT_STARTUP": "1"},
            capture_output=True, text=True, timeout=150, check=False,
        )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) > 0.9
    first = server.requests[0]["messages"]
    assert first[0]["content"] == "You are at a shell." and first[1]["content"].endswith("You have 50 steps.")


@pytest.mark.kernel
def test_the_grader_of_the_documentation_grades(
    make_task: Callable[..., Path], tmp_path: Path, environment: dict[str, str]
) -> None:
    """The grader shown in docs/tasks/grading.md scores a submission and rejects an empty one."""
    import mlgym_lite
    from mlgym_lite.config.run_settings import RunSettings

    grader = next(block for block in blocks("docs/tasks/grading.md", "python") if "DictReader" in block)
    toml = TASK_TOML.replace("answer.txt", "submission.csv").replace("Score", "accuracy")
    task = make_task(
        toml=toml,
        grader='exec "$MLGYM_LITE_PYTHON" -I /tests/grade.py\n',
        files={"tests/grade.py": grader, "environment/submission.csv": "id\n1\n"},
    )
    settings = RunSettings(output=tmp_path / "run")
    with mlgym_lite.Episode(mlgym_lite.load_task(task), settings=settings, environment=environment) as episode:
        assert episode.validate().metrics == {"accuracy": 0.5}
        episode.step("echo id > submission.csv")
        assert episode.validate().message == "submission.csv has no rows"


@pytest.mark.parametrize(
    "document", sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    """Every relative link in the documentation names a file or folder of the project."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not target.startswith("http"):
            assert (ROOT / document).parent.joinpath(target).exists(), target


def test_every_exit_code_is_in_the_readme() -> None:
    """The README's table of exit codes names the code of every error."""
    from mlgym_lite import errors

    (table,) = re.findall(r"\| exit status \|.*?(?=\n\n)", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    shown = {int(number) for row in re.findall(r"^\| ([\d, ]+) \|", table, flags=re.MULTILINE) for number in row.split(",")}
    codes = {
        kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.MLGymLiteError)
    }
    assert codes - {errors.MLGymLiteError.exit_code} <= shown
    assert os.EX_OK in shown
