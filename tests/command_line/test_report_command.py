"""`report` through the real program: what it prints, in which forms, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from program_harness import PROGRAM, Program
from recorded_runs import write_mlgym_run, write_our_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Runs of two agents and of MLGym, one unfinished, one broken."""
    folder = tmp_path / "some runs"
    for seed in range(2):
        write_our_run(folder / f"a{seed}", task="battle_of_sexes", seed=seed, validations=[1.1], score=1.2 + seed / 10)
    write_our_run(folder / "b", task="battle_of_sexes", model="openai/y", finished=False)
    write_mlgym_run(folder, model="o1", task="battleOfSexes", scores=[{"Score": 1.4}], baseline={"Score": 1.02})
    broken = write_our_run(folder / "broken")
    (broken / "run.json").write_text("{", encoding="utf-8")
    return folder


def test_tables_are_printed(mlgym: Program, runs: Path) -> None:
    """How many runs there are, each group with its tables, and what could not be read; no file is written."""
    ended = mlgym("report", runs)
    assert ended.status == 0
    assert "5 runs: 3 scored, 0 without a submission's score, 1 unfinished, 1 could not be read." in ended.out
    for text in (
        "full tasks, clean scores, development feedback",
        "full tasks, scored as MLGym's paper did, test feedback",
        "Area under the performance profile",
        "Best attempt@2",
        "Best submission@2",
        "Improvement over the baseline",
        "How runs ended",
        "Actions by kind",
        "What it took",
        "What is missing",
    ):
        assert text in ended.out
    assert "left out:" in ended.err and "broken/run.json" in ended.err
    assert not (runs.parent / "here" / "report.html").exists() and list((runs.parent / "here").iterdir()) == []


def test_json_is_one_value(mlgym: Program, runs: Path) -> None:
    """With the AUP, the range, the scores, and every group."""
    ended = mlgym("report", runs, "--json")
    content = json.loads(ended.out)
    assert ended.status == 0 and set(content["aup"]) >= {"best_attempt", "best_submission", "tau_max"}
    assert content["aup"]["best_submission"].keys() == {"openai/x", "openai/y", "baseline"}
    assert content["group"]["scoring"] == "clean" and len(content["groups"]) == 2
    assert content["scores"]["battle_of_sexes"]["methods"]["openai/x"]["best_submission"] == 1.3
    assert content["runs"] == {"read": 4, "scored": 3, "unfinished": 1, "planned_only": 0, "unreadable": 1}
    assert len(content["problems"]) == 1


def test_csv_is_one_table(mlgym: Program, runs: Path) -> None:
    """A row for each task and agent, with a head; the summary is not on stdout."""
    ended = mlgym("report", runs, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert [(row["scoring"], row["name"], row["best_submission"]) for row in rows] == [
        ("clean", "openai/x", "1.3"),
        ("clean", "openai/y", ""),
        ("parity", "o1", "1.4"),
    ]


@pytest.mark.parametrize(("form", "beginning"), [("markdown", "# Report\n"), ("latex", "% Made by mlgym-lite report")])
def test_texts_for_documents(mlgym: Program, runs: Path, form: str, beginning: str) -> None:
    """Markdown and LaTeX."""
    ended = mlgym("report", runs, "--format", form)
    assert ended.status == 0 and ended.out.startswith(beginning)


def test_a_folder_is_written_where_it_is_asked_for(mlgym: Program, runs: Path, tmp_path: Path) -> None:
    """Everything lies in it, a second time too; nothing but the place is told."""
    out = tmp_path / "new" / "out"
    for _ in range(2):
        ended = mlgym("report", runs, "--output", out)
        assert (ended.status, ended.out) == (0, ""), ended.err
        assert f"wrote {out}/report.html" in ended.err and "3 scored" in ended.err
    assert (out / "report.html").is_file() and (out / "full-parity-test" / "profile.pdf").is_file()


def test_without_matplotlib_everything_but_plots_is_written(runs: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """And how to get it is told, on the page too."""
    program = "import sys; sys.modules['matplotlib'] = None; from mlgym_lite.cli.main import main; main()"
    command = [sys.executable, "-c", program, "report", runs, "--output", tmp_path / "out"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "no plots: plots need matplotlib: pip install 'mlgym-lite[plots]'" in ended.stderr
    assert "plots need matplotlib" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert list((tmp_path / "out").glob("*/*.png")) == []


def test_what_is_no_run_is_told(mlgym: Program, runs: Path, tmp_path: Path) -> None:
    """A folder without runs, one that is not there, and one whose runs are all broken."""
    (tmp_path / "empty").mkdir()
    mlgym("report", tmp_path / "empty").told_one_error(8, "empty: holds no run; expected run directories of mlgym-lite")
    mlgym("report", tmp_path / "nowhere").told_one_error(8, "nowhere: is not a folder")
    ended = mlgym("report", runs / "broken")
    assert ended.status == 8 and "no run could be read, of 1" in ended.err


def test_a_folder_of_other_things_is_left_alone(mlgym: Program, runs: Path, tmp_path: Path) -> None:
    """It is refused before anything is read."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x", encoding="utf-8")
    mlgym("report", runs, "--output", tmp_path / "mine").told_one_error(7, "name another --output")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_two_forms_of_one_output_are_refused(mlgym: Program, runs: Path) -> None:
    """--json with --format."""
    ended = mlgym("report", runs, "--json", "--format", "csv")
    assert ended.status == 2 and "--json and --format" in ended.err


def test_k_is_at_least_one(mlgym: Program, runs: Path) -> None:
    """And keeps the first runs."""
    assert mlgym("report", runs, "--k", "0").status == 2
    ended = mlgym("report", runs, "--k", "1")
    assert "Best attempt@1" in ended.out and "Left out by --k: 1." in ended.out


def test_names_command_no_terminal(mlgym: Program, tmp_path: Path) -> None:
    """Control characters and rich's markup in names are shown as they are written."""
    write_our_run(tmp_path / "a", model="[red]x\x1b[2J\u202e", task="t")
    ended = mlgym("report", tmp_path)
    assert ended.status == 0 and "[red]x\\x1b[2J\\u202e" in ended.out
    assert "\x1b" not in ended.out and "\u202e" not in ended.out


def test_a_narrow_terminal_gets_tables_in_parts(tmp_path: Path, environment: dict[str, str]) -> None:
    """Each with the first column, and no line is wider than the terminal."""
    for number in range(6):
        write_our_run(tmp_path / "runs" / str(number), model=f"provider/model-{number}", task="battle_of_sexes")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "report", tmp_path / "runs"], stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL,
        env={**environment, "COLUMNS": "70", "TERM": "xterm", "NO_COLOR": "1"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(timeout=60) == 0
    lines = [
        line.rstrip() for line in shown.decode().replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "").splitlines()
    ]
    assert max(map(len, lines)) <= 70
    assert sum(line.startswith("battle_of_sexes") for line in lines) > 6
