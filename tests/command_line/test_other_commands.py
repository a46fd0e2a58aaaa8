"""`tasks`, `check`, `prepare` and `doctor` through the real program."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from program_harness import Program
from tiny_task import TASK_TOML

import mlgym_lite
from mlgym_lite.cli.tasks_command import command as tasks_command
from mlgym_lite.errors import TaskError
from mlgym_lite.shipped_files import shipped_task_names, tasks_folder

Make = Callable[..., Path]


def test_the_version_is_the_packages(mlgym: Program) -> None:
    """--version prints the program and its version."""
    assert mlgym("--version").out == f"mlgym-lite, version {mlgym_lite.__version__}\n"


def test_without_a_command_the_commands_are_listed(mlgym: Program) -> None:
    """A bare `mlgym-lite` shows how to start, and each command with a line."""
    ended = mlgym()
    for word in ("run", "tasks", "check", "prepare", "doctor", "shell", "replay", "prisoners_dilemma --agent baseline"):
        assert word in ended.out + ended.err


def test_tasks_lists_every_shipped_task(mlgym: Program, tmp_path: Path) -> None:
    """The list has a line for each task, with its metric, baseline and what is ready on this host."""
    lines = mlgym("tasks", "--data", tmp_path).out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == shipped_task_names()
    (house,) = (line for line in lines if line.startswith("house_price"))
    assert house.split()[-2:] == ["mini", "—"] and "maximize" in house


def test_tasks_as_json_is_one_list(mlgym: Program, tmp_path: Path) -> None:
    """--json prints one list with an object for each task."""
    ended = mlgym("tasks", "--json", "--data", tmp_path)
    rows = {row["name"]: row for row in json.loads(ended.out)}
    assert set(rows) == set(shipped_task_names())
    assert rows["house_price"]["variants"] == {"full": False, "mini": True}
    assert ended.err == ""


@pytest.mark.kernel
def test_doctor_says_that_this_host_works(mlgym: Program) -> None:
    """Each thing that was tried has a line that begins with how it went."""
    ended = mlgym("doctor")
    assert ended.status == 0
    assert all(line.startswith(("ok   ", "weak ", "       ")) for line in ended.out.splitlines())
    findings = json.loads(mlgym("doctor", "--json").out)
    assert {finding["name"] for finding in findings} >= {"bubblewrap", "landlock", "sandbox", "limits", "cache folder", "slurm"}
    assert all(finding["works"] for finding in findings if finding["needed"])


def test_doctor_tells_a_cache_that_cannot_be_written(mlgym: Program) -> None:
    """A needed thing that fails ends with status 5 and its name."""
    ended = mlgym("doctor", MLGYM_LITE_CACHE="/proc/nowhere")
    assert ended.status == 5
    assert "FAIL cache folder" in ended.out
    assert "cache folder" in ended.err and "Traceback" not in ended.err


def test_tasks_lists_the_others_where_one_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One task file that cannot be read is told at the end and hides no other task."""
    for name in ("battle_of_sexes", "colonel_blotto"):
        shutil.copytree(tasks_folder() / name, tmp_path / name)
    (tmp_path / "colonel_blotto" / "task.toml").write_text("schema_version = 3\n", encoding="utf-8")
    monkeypatch.setattr("mlgym_lite.shipped_files._shipped", lambda _: tmp_path)
    ended = CliRunner().invoke(tasks_command, ["--json"])
    assert [task["name"] for task in json.loads(ended.stdout)] == ["battle_of_sexes"]
    assert isinstance(ended.exception, TaskError)
    assert "colonel_blotto" in str(ended.exception)


def test_check_reads_files_only_where_asked(mlgym: Program, make_task: Make) -> None:
    """`check --file-only` runs nothing."""
    ended = mlgym("check", "--file-only", make_task())
    assert (ended.status, ended.out) == (0, "")
    assert "the files are sound" in ended.err


def test_check_all_reads_every_shipped_task(mlgym: Program) -> None:
    """`check --all --file-only` finds every shipped task sound."""
    ended = mlgym("check", "--all", "--file-only")
    assert ended.status == 0
    assert ended.err.count("the files are sound") == len(shipped_task_names())


@pytest.mark.kernel
def test_check_tells_each_check(mlgym: Program, make_task: Make) -> None:
    """A sound task passes: baseline, empty submission and each cheat, as lines and as one object."""
    folder = make_task()
    ended = mlgym("check", folder)
    assert (ended.status, ended.out) == (0, "")
    for word in ("ok   tiny: baseline: 1", "ok   tiny: empty submission", "ok   tiny: forge.sh", "3 checks passed"):
        assert word in ended.err
    content = json.loads(mlgym("check", folder, "--json").out)
    assert [(result["name"], result["passed"]) for result in content["results"]] == [
        ("baseline", True), ("empty submission", True), ("forge.sh", True),
    ]  # fmt: skip
    assert content["problems"] == []


@pytest.mark.kernel
def test_check_catches_a_score_that_can_be_forged(mlgym: Program, make_task: Make) -> None:
    """A cheat that gains, a baseline that is not the stated one and a scored empty submission each fail the check."""
    grader = 'number=$(cat /submission/answer.txt || echo 0.1)\nprintf \'{"Score": %s}\' "$number" > /logs/verifier/reward.json\n'
    folder = make_task(
        grader=grader, files={"cheats/gain.sh": "echo 5 > answer.txt\n", "solution/solve.sh": "echo 2 > answer.txt\n"}
    )
    ended = mlgym("check", folder)
    ended.told_one_error(14, "2 of 4 checks failed", "baseline: stated as 1", "gain.sh: gained over the baseline")


@pytest.mark.kernel
def test_check_compares_with_the_score_that_is_stated(mlgym: Program, make_task: Make) -> None:
    """A baseline measured low by chance does not make a cheat look like a gain; one that is measured high hides none."""
    grader = 'printf \'{"Score": %s}\' "$(cat /submission/answer.txt)" > /logs/verifier/reward.json\n'
    cheats = {"cheats/alike.sh": "echo 1.09 > answer.txt\n", "cheats/gain.sh": "echo 1.11 > answer.txt\n"}
    for name, measured in (("low", 0.91), ("high", 1.09)):
        folder = make_task(name, grader=grader, files=cheats | {"solution/solve.sh": f"echo {measured} > answer.txt\n"})
        file = folder / "task.toml"
        file.write_text(file.read_text().replace("[metadata.mlgym_lite]\n", "[metadata.mlgym_lite]\nscore_noise = 0.1\n"))
        ended = mlgym("check", folder)
        ended.told_one_error(14, "1 of 5 checks failed", "gain.sh: gained over the baseline")
        assert f"ok   {name}: baseline: {measured}" in ended.err


@pytest.mark.kernel
def test_check_knows_rounding(mlgym: Program, make_task: Make) -> None:
    """What differs in the last digit from the score that is stated is no gain."""
    grader = "printf '{\"Score\": 1.0000000000000002}' > /logs/verifier/reward.json; test -s /submission/answer.txt\n"
    assert mlgym("check", make_task(grader=grader)).status == 0


@pytest.mark.kernel
def test_check_runs_the_better_method_where_asked(mlgym: Program, make_task: Make) -> None:
    """`--better` passes where solution/better.sh gains, and says so where it does not, fails or is missing."""
    grader = 'printf \'{"Score": %s}\' "$(cat /submission/answer.txt)" > /logs/verifier/reward.json\n'
    task = {"solution/solve.sh": "echo 1 > answer.txt\n"}
    better = make_task(grader=grader, files=task | {"solution/better.sh": "echo 2 > answer.txt\n"})
    assert "better method" not in mlgym("check", better).err
    ended = mlgym("check", better, "--better", "--json")
    found = {result["name"]: result for result in json.loads(ended.out)["results"]}["better method"]
    assert (ended.status, found["passed"], found["score"], found["detail"]) == (0, True, 2, "gained over the baseline's 1")
    assert found["seconds"] > 0
    poor = make_task("poor", grader=grader, files=task | {"solution/better.sh": "echo 1 > answer.txt\n"})
    mlgym("check", poor, "--better").told_one_error(14, "better method: gained nothing over the baseline's 1")
    failing = make_task("failing", grader=grader, files=task | {"solution/better.sh": "exit 3\n"})
    mlgym("check", failing, "--better").told_one_error(14, "solution/better.sh ended with exit status 3")
    mlgym("check", make_task("bare"), "--better").told_one_error(14, "better method: solution/better.sh is missing")


@pytest.mark.kernel
def test_check_of_several_tells_all(mlgym: Program, make_task: Make) -> None:
    """A task that cannot be read does not keep the others from being checked."""
    ended = mlgym("check", make_task(), "nothing", "--json")
    assert ended.status == 14
    content = json.loads(ended.out)
    assert len(content["results"]) == 3
    assert len(content["problems"]) == 1
    assert "1 of 4 checks failed" in ended.err


def test_prepare_without_anything_to_do_is_quick_and_repeatable(mlgym: Program, make_task: Make) -> None:
    """A task without requirements and data is prepared at once, as often as one likes."""
    folder = make_task()
    for _ in range(2):
        assert mlgym("prepare", folder).status == 0
    content = json.loads(mlgym("prepare", folder, "--json").out)
    assert set(content) == {"prepared", "cache", "data"}


DATA = """\
schema_version = "1.4"
artifacts = ["answer.txt"]
[metadata.mlgym_lite]
metric = "Score"
direction = "maximize"
[metadata.mlgym_lite.data]
prepare = "prepare.py"
[metadata.mlgym_lite.data.source]
name = "train.csv"
sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
instructions = "Download it from https://example.org."
"""

PREPARE = """\
import pathlib, shutil, sys
out = pathlib.Path(sys.argv[1])
for name in ("agent", "judge"):
    (out / name).mkdir()
shutil.copy(sys.argv[2], out / "agent" / "train.csv")
(out / "judge" / "labels.csv").write_text("1")
"""


def test_prepare_takes_a_file_only_a_person_can_get(mlgym: Program, make_task: Make, tmp_path: Path) -> None:
    """Without the file, with a missing one, and with another one, prepare says what it needs; with it, the data is ready."""
    folder, data = make_task("needs_file", toml=DATA, files={"prepare.py": PREPARE}), tmp_path / "data"
    mlgym("prepare", folder, "--data", data).told_one_error(4, "train.csv, which only you can get", "--source train.csv")
    mlgym("prepare", folder, "--data", data, "--source", "none").told_one_error(4, "none: no such file; expected train.csv")
    (tmp_path / "other").write_text("y", encoding="utf-8")
    ended = mlgym("prepare", folder, "--data", data, "--source", tmp_path / "other")
    ended.told_one_error(4, "is not the train.csv", "expected 2d711642", "https://example.org")
    assert not (data / "needs_file").exists()
    (tmp_path / "train.csv").write_text("x", encoding="utf-8")
    assert mlgym("prepare", folder, "--data", data, "--source", tmp_path / "train.csv").status == 0
    assert (data / "needs_file" / "agent" / "train.csv").read_text(encoding="utf-8") == "x"
    assert "is complete" in mlgym("prepare", folder, "--data", data).err
    (data / "needs_file" / "agent" / "train.csv").write_text("z", encoding="utf-8")
    mlgym("prepare", folder, "--data", data).told_one_error(4, "is not what was prepared", "prepare again")


def test_a_failed_preparation_leaves_nothing(mlgym: Program, make_task: Make, tmp_path: Path) -> None:
    """A prepare.py that fails is told with its words, and no half-made data is left."""
    toml = DATA.partition("[metadata.mlgym_lite.data.source]")[0]
    folder = make_task("fails", toml=toml, files={"prepare.py": "raise SystemExit('no disk today')\n"})
    mlgym("prepare", folder, "--data", tmp_path / "data").told_one_error(
        4, "prepare.py failed with exit status 1", "no disk today"
    )
    assert not list((tmp_path / "data").iterdir())


COPYING = """\
import os, pathlib, sys
out, source = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
done = pathlib.Path(os.environ["MLGYM_LITE_PARTIAL"], "done")
print("going on" if done.exists() else "from the start", flush=True)
done.touch()
if (source / "broken").exists():
    sys.exit("the download broke off")
for tree in ("agent", "judge"):
    (out / tree).mkdir()
(out / "agent" / "rows").write_bytes((source / "rows").read_bytes())
"""


def test_prepare_takes_a_folder_instead_of_the_download_and_goes_on_after_a_break(
    mlgym: Program, make_task: Make, tmp_path: Path
) -> None:
    """What was kept in the partial folder is there at the next try, and goes once the data is in place."""
    toml = DATA.partition("[metadata.mlgym_lite.data.source]")[0]
    toml += '[metadata.mlgym_lite.data.download]\nrepositories = ["someone/rows"]\nmegabytes = 7\n'
    folder, data, source = make_task("copies", toml=toml, files={"prepare.py": COPYING}), tmp_path / "data", tmp_path / "a copy"
    source.mkdir()
    (source / "broken").touch()
    (source / "rows").write_text("rows", encoding="utf-8")
    ended = mlgym("prepare", folder, "--data", data, "--source", source)
    ended.told_one_error(4, "from the start", "the download broke off", "again to go on from there", "--source FOLDER")
    (source / "broken").unlink()
    ended = mlgym("prepare", folder, "--data", data, "--source", source)
    assert ended.status == 0 and "going on" in ended.err
    assert (data / "copies" / "agent" / "rows").read_text(encoding="utf-8") == "rows"
    (data / "copies" / "manifest.json").unlink()
    assert "from the start" in mlgym("prepare", folder, "--data", data, "--source", source).err
    run = mlgym("run", folder, "--agent", "baseline", "--data", tmp_path / "none")
    run.told_one_error(4, "downloads about 7 MB from someone/rows", "--source FOLDER")


def test_a_source_nobody_asked_for_is_told(mlgym: Program, make_task: Make, tmp_path: Path) -> None:
    """A file handed over for a task that needs none is a mistake, not ignored."""
    (tmp_path / "x").write_text("x", encoding="utf-8")
    assert mlgym("prepare", make_task(), "--source", tmp_path / "x").status != 0


@pytest.mark.kernel
def test_check_tells_how_a_solution_failed(mlgym: Program, make_task: Make) -> None:
    """A failing solve.sh is told with its exit status, its last lines and its record; one line stands for the cheats."""
    solution = "for number in $(seq 40); do echo line $number; done\necho broken >&2\nexit 7\n"
    ended = mlgym("check", make_task(files={"solution/solve.sh": solution, "cheats/other.sh": "true\n"}))
    ended.told_one_error(14, "2 of 3 checks failed", "solution/solve.sh ended with exit status 7", "line 40\n", "broken")
    assert "line 20\n" not in ended.err
    assert ended.err.count("2 scripts were not run") == 2 and "forge.sh" not in ended.err
    record = Path(ended.err.partition("its record: ")[2].splitlines()[0])
    assert (record / "trajectory.jsonl").is_file()
    shutil.rmtree(record.parent)


@pytest.mark.kernel
def test_check_says_what_it_wants_a_solution_for(mlgym: Program, make_task: Make) -> None:
    """A task without solve.sh runs, but cannot be checked, and the check says why."""
    folder = make_task()
    (folder / "solution" / "solve.sh").unlink()
    ended = mlgym("check", folder)
    ended.told_one_error(14, "solution/solve.sh is missing; a task runs without it", "1 scripts were not run")


@pytest.mark.kernel
def test_check_says_which_variant_has_no_baseline(mlgym: Program, make_task: Make) -> None:
    """A baseline that is stated for the other variant only is not there to compare with."""
    ended = mlgym(
        "check", make_task(toml=TASK_TOML.replace("[metadata.mlgym_lite.variants.mini]\nbaseline = { Score = 1.0 }", ""))
    )
    assert ended.status == 0, ended.err
    assert "task.toml states no baseline for the mini variant" in ended.err


@pytest.mark.kernel
def test_check_cuts_no_reason_for_a_failure(mlgym: Program, make_task: Make) -> None:
    """What is wrong with a baseline is shown to its end, and its record is named."""
    words = " ".join(f"word{number}" for number in range(60))
    grader = f'echo "{words}" > "$MLGYM_LITE_ROOT"/logs/verifier/rejection.txt\nexit 65\n'
    ended = mlgym("check", make_task(grader=grader))
    assert ended.err.count("word59") >= 2 and "its record: " in ended.err
    shutil.rmtree(Path(ended.err.partition("its record: ")[2].splitlines()[0]).parent)
