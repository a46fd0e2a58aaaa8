"""Reports on generated run directories of both systems: what is read, what is computed, and how it is shown."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded_runs import PUBLISHED_MODELS, published_tables, write_mlgym_run, write_our_run

from mlgym_lite.analysis.action_kinds import kind_of
from mlgym_lite.analysis.bootstrap import mean_of
from mlgym_lite.analysis.mlgym_names import ending_of, parsed_name
from mlgym_lite.analysis.reading_runs import ReadRuns, read_runs
from mlgym_lite.analysis.report import Report, report_on
from mlgym_lite.analysis.report_files import write_report
from mlgym_lite.analysis.report_json import report_json
from mlgym_lite.analysis.report_page import report_page
from mlgym_lite.analysis.report_tables import summary, tables_of
from mlgym_lite.analysis.report_texts import csv_text, latex_text, markdown_text
from mlgym_lite.analysis.run_folders import run_folders
from mlgym_lite.analysis.score_curves import curves_of
from mlgym_lite.analysis.tables import Cell, Table, amount, as_csv, as_html, as_latex, as_markdown, number_text, words
from mlgym_lite.authoring.mlgym_known import KNOWN_TASKS
from mlgym_lite.errors import ActionsError, OutputError
from mlgym_lite.trajectories.mlgym import results_text, traj_text

HOSTILE = "<script>alert(1)</script> $x_{1}$ [red]|`a` \\end{table} \x1b[2J \u202egnp\n=1+1"


def read(*folders: Path) -> ReadRuns:
    """Everything below the folders."""
    return read_runs(run_folders(folders))


def report(*folders: Path, k: int | None = None) -> Report:
    """The report on everything below the folders."""
    found = read(*folders)
    return report_on(found.runs, found.problems, k=k)


def as_json(*folders: Path, k: int | None = None) -> dict[str, Any]:
    """The same as JSON, through JSON."""
    content: dict[str, Any] = json.loads(json.dumps(report_json(report(*folders, k=k)), allow_nan=False))
    return content


def test_the_published_runs_of_mlgym_give_the_published_aup(tmp_path: Path) -> None:
    """Run folders with MLGym's published best attempts and submissions, four a model and task, give its AUP."""
    for (name, direction, best), (_, _, last) in zip(published_tables(0), published_tables(1), strict=True):
        metric = KNOWN_TASKS[name].metric
        baseline = {metric: best["baseline"]}
        for model in PUBLISHED_MODELS:
            for run in range(4):
                attempt, submission = best[model], last[model]
                if attempt is None or submission is None:
                    write_mlgym_run(tmp_path, model=model, task=name, run=run, baseline=baseline, exit_status="", scores=[])
                    continue
                worse = (0.1 * run) * abs(attempt) * (1 if direction == "minimize" else -1)
                scores = [{metric: attempt + worse}, {metric: submission + worse}]
                write_mlgym_run(tmp_path, model=model, task=name, run=run, baseline=baseline, scores=scores)
    content = as_json(tmp_path)
    assert content["aup"]["tau_max"] == 1.2 and content["aup"]["tasks"] == 13
    assert content["aup"]["best_attempt"] == {
        "o1-preview": 1.150, "Claude-3.5": 1.142, "Gemini-1.5": 1.140, "Llama-405B": 1.015, "GPT-4o": 1.0, "baseline": 0.953,
    }  # fmt: skip
    assert content["aup"]["best_submission"] == {
        "o1-preview": 1.176, "Claude-3.5": 1.135, "Gemini-1.5": 1.124, "Llama-405B": 1.039, "GPT-4o": 1.029, "baseline": 0.980,
    }  # fmt: skip
    missing = content["scores"]["fineweb"]["methods"]["Llama-405B"]
    assert (missing["runs"], missing["scored"], missing["best_attempt"]) == (4, 0, None)
    assert content["group"]["scoring"] == "parity"


def test_scores_of_a_run_of_ours(tmp_path: Path) -> None:
    """The best attempt is the best of validations and submission; the best submission the best of those alone."""
    write_our_run(tmp_path / "a", seed=0, validations=[1.5, 3.0], score=2.0)
    write_our_run(tmp_path / "b", seed=1, validations=[1.2], score=2.5)
    content = as_json(tmp_path)
    cell = content["scores"]["tiny"]["methods"]["openai/x"]
    assert (cell["best_attempt"], cell["best_submission"], cell["runs"], cell["scored"]) == (3.0, 2.5, 2, 2)
    assert cell["mean_submission"]["mean"] == 2.25 and cell["improvement"]["mean"] == 1.25
    assert cell["better_than_baseline"] == 2
    assert content["groups"][0]["k"] == 2


def test_less_is_better(tmp_path: Path) -> None:
    """Where a task says so, the lowest is the best, and an improvement is what is below the baseline."""
    write_our_run(tmp_path / "a", direction="minimize", metric="loss", validations=[0.6, 0.9], score=0.8)
    cell = as_json(tmp_path)["scores"]["tiny"]["methods"]["openai/x"]
    assert (cell["best_attempt"], cell["best_submission"]) == (0.6, 0.8)
    assert cell["improvement"]["mean"] == pytest.approx(0.2)


def test_kinds_of_scores_are_never_mixed(tmp_path: Path) -> None:
    """Mini, parity and clean runs of one agent stand in groups of their own, full and clean ones first."""
    write_our_run(tmp_path / "mini", variant="mini", score=9.0)
    write_our_run(tmp_path / "parity", scoring="parity", feedback="test", score=8.0)
    write_our_run(tmp_path / "clean", score=2.0)
    write_our_run(tmp_path / "test", feedback="test", score=7.0)
    content = as_json(tmp_path)
    kinds = [(group["group"]["variant"], group["group"]["scoring"], group["group"]["feedback"]) for group in content["groups"]]
    assert kinds == [
        ("full", "clean", "development"),
        ("full", "clean", "test"),
        ("full", "parity", "test"),
        ("mini", "clean", "development"),
    ]
    best = [group["scores"]["tiny"]["methods"]["openai/x"]["best_submission"] for group in content["groups"]]
    assert best == [2.0, 7.0, 8.0, 9.0]
    assert content["scores"]["tiny"]["methods"]["openai/x"]["best_submission"] == 2.0


def test_parity_runs_stand_beside_mlgym_s(tmp_path: Path) -> None:
    """A task of MLGym has our name, and the model is named without the client."""
    write_mlgym_run(tmp_path, model="litellm-o1", task="battleOfSexes", scores=[{"Score": 1.4}], baseline={"Score": 1.02})
    write_our_run(tmp_path / "ours", task="battle_of_sexes", model="o3", scoring="parity", feedback="test", score=1.3)
    (group,) = as_json(tmp_path)["groups"]
    methods = group["scores"]["battle_of_sexes"]["methods"]
    assert {name: cell["best_submission"] for name, cell in methods.items()} == {"o1": 1.4, "o3": 1.3}


def test_the_model_of_args_yaml_keeps_its_slash(tmp_path: Path) -> None:
    """MLGym makes a folder of it; the name comes from the arguments that it keeps."""
    folder = write_mlgym_run(tmp_path / "litellm-openai", model="gpt-4o", task="blotto", scores=[{"Score": 0.1}])
    (folder / "args.yaml").write_text("agent:\n  model:\n    model_name: litellm:openai/gpt-4o\n", encoding="utf-8")
    (run,) = read(tmp_path).runs
    assert run.method == ("MLGym default", "openai/gpt-4o")


def test_a_results_file_alone_is_a_run(tmp_path: Path) -> None:
    """Of which the scores are known, and not how it ended."""
    write_mlgym_run(tmp_path, model="m", task="blotto", scores=[{"Score": 0.2}, {"Score": 0.1}], traj=False)
    (run,) = read(tmp_path).runs
    assert (run.values, run.submission, run.reason, run.actions) == ((0.2, 0.1), 0.1, "not recorded", ())


def test_scores_that_are_no_numbers_do_not_count(tmp_path: Path) -> None:
    """NaN, infinity and texts in a results.json."""
    values: list[Any] = [float("nan"), 0.2, "high", float("inf"), 10**400, 1e300, None, True]
    scores = [{"Score": value} for value in values] + [{}]
    write_mlgym_run(tmp_path, model="m", task="blotto", scores=scores, baseline={"Score": float("nan")})
    (run,) = read(tmp_path).runs
    assert (run.values, run.baseline) == ((0.2,), None)


def test_scores_are_tied_to_the_steps_that_show_them(tmp_path: Path) -> None:
    """As MLGym's observations do."""
    folder = write_mlgym_run(tmp_path, model="m", task="blotto", scores=[{"Score": 0.2}, {"Score": 0.1}])
    path = folder / "blotto.traj"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["trajectory"][1]["observation"] = "Baseline Score: {}\nEvaluation Score: {'Score': 0.2}"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read(tmp_path).runs[0].steps == (2, 3)


def test_a_task_of_mlgym_that_is_not_known(tmp_path: Path) -> None:
    """It keeps its name; what its scores name first ranks, and a loss is to be small."""
    write_mlgym_run(tmp_path, model="m", task="mine", scores=[{"val_loss": 3.0, "n": 9}, {"val_loss": 2.0, "n": 1}])
    (run,) = read(tmp_path).runs
    assert run.task == ("mine", "val_loss", "minimize") and run.best_attempt == 2.0


def test_a_killed_run_of_mlgym_is_unfinished(tmp_path: Path) -> None:
    """It has no results.json; one whose model never answered has no step either."""
    write_mlgym_run(tmp_path, model="m", task="blotto", run=0, finished=False)
    write_mlgym_run(tmp_path, model="m", task="blotto", run=1, actions=[], exit_status="", scores=[])
    killed, silent = read(tmp_path).runs
    assert (killed.finished, killed.reason, killed.submission) == (False, "unfinished", None)
    assert (silent.finished, silent.reason, silent.fault, silent.actions) == (True, "runner_error", "us", (0,) * 7)


def test_a_trajectory_alone_names_its_task(tmp_path: Path) -> None:
    """A folder that is not named as MLGym names them; args.yaml tells the model."""
    folder = write_mlgym_run(tmp_path, model="m", task="blotto", scores=[{"Score": 0.2}]).rename(tmp_path / "copied")
    (folder / "args.yaml").write_text("    model_name: 'o1'\n", encoding="utf-8")
    (run,) = read(tmp_path).runs
    assert (run.task.name, run.method.model, run.seed) == ("colonel_blotto", "o1", 0)


def test_an_export_is_read_as_the_run_it_was_made_of(tmp_path: Path) -> None:
    """An export in MLGym's form holds our records."""
    from mlgym_lite.episode.run_reader import read_run

    run = read_run(write_our_run(tmp_path / "run", variant="mini", actions=["ls", "submit"]))
    out = tmp_path / "exported"
    out.mkdir()
    (out / "tiny.traj").write_text(traj_text(run), encoding="utf-8")
    (out / "results.json").write_text(results_text(run), encoding="utf-8")
    original, exported = (read(folder).runs[0] for folder in (tmp_path / "run", out))
    assert (exported.group, exported.method, exported.task) == (original.group, original.method, original.task)
    assert (exported.submission, exported.actions) == (original.submission, original.actions)


def test_runs_without_a_result_are_shown(tmp_path: Path) -> None:
    """Unfinished runs are counted, in the cell, in the endings, and among what is missing."""
    write_our_run(tmp_path / "a", seed=0)
    write_our_run(tmp_path / "b", seed=1, finished=False)
    write_our_run(tmp_path / "c", seed=0, model="openai/y", score=None, reason="agent_error")
    made = report(tmp_path)
    assert summary(made) == "3 runs: 1 scored, 1 without a submission's score, 1 unfinished."
    tables = {table.name: table for table in tables_of(made.groups[0])}
    (row,) = tables["best-submission"].rows
    assert [cell.text for cell in row] == ["tiny", "more", "1.000", "2.000 (1 of 2)", "— (0 of 2)"]
    assert [[cell.text for cell in row] for row in tables["missing"].rows] == [
        ["tiny", "openai/x", "0", "1"],
        ["tiny", "openai/y", "1", "1"],
    ]
    assert tables["endings"].rows[0][-1].value == 1
    assert made.groups[0].methods["openai/x"].unfinished == 1


def test_a_method_without_any_run_of_a_task_is_shown(tmp_path: Path) -> None:
    """With a dash, and among what is missing; in the AUP it counts as not feasible."""
    write_our_run(tmp_path / "a", task="one")
    write_our_run(tmp_path / "b", task="two", score=4.0)
    write_our_run(tmp_path / "c", task="one", model="openai/y")
    (group,) = report(tmp_path).groups
    tables = {table.name: table for table in tables_of(group)}
    assert tables["best-submission"].rows[1][-1].text == "—"
    assert [cell.text for cell in tables["missing"].rows[0]] == ["two", "openai/y", "1", "0"]
    assert group.aup.fixed_best_submission["openai/y"] == 0.5


def test_broken_files_are_told_and_stop_nothing(tmp_path: Path) -> None:
    """Each with its path; the other runs are read."""
    write_our_run(tmp_path / "good")
    contents: list[tuple[str, str]] = [
        ("run.json", "{"),
        ("run.json", "[]"),
        ("result.json", '{"attempts": 3}'),
        ("result.json", '{"score": {"value": "high"}}'),
        ("result.json", "[" * 100_000),
        ("result.json", "\udcff"),
    ]
    for number, (name, text) in enumerate(contents):
        folder = write_our_run(tmp_path / f"bad {number}")
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    mlgym = write_mlgym_run(tmp_path, model="m", task="blotto", scores=[{"Score": 0.2}])
    (mlgym / "results.json").write_text('{"agent": 1}', encoding="utf-8")
    found = read(tmp_path)
    assert len(found.runs) == 1 and len(found.problems) == len(contents) + 1
    for number in range(len(contents)):
        assert any(f"bad {number}" in problem for problem in found.problems)
    assert "7 could not be read" in summary(report_on(found.runs, found.problems))


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=ANYTHING, place=st.integers(0, 200))
@pytest.mark.parametrize("kind", ["run.json", "result.json", "results.json", "blotto.traj"])
def test_whatever_a_file_holds_it_is_a_run_or_a_problem(tmp_path: Path, kind: str, value: Any, place: int) -> None:
    """One value of a record is replaced by anything: the report is made all the same, and is JSON."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        if kind in ("run.json", "result.json"):
            run = write_our_run(Path(folder) / "run", validations=[1.5])
        else:
            run = write_mlgym_run(Path(folder), model="m", task="blotto", scores=[{"Score": 0.2}], baseline={"Score": 0.1})
        content = json.loads((run / kind).read_text(encoding="utf-8"))
        places = list(places_of(content))
        parent, key = places[place % len(places)]
        parent[key] = value
        (run / kind).write_text(json.dumps(content), encoding="utf-8")
        found = read(Path(folder))
        assert len(found.runs) + len(found.problems) == 1
        made = report_on(found.runs, found.problems)
        json.dumps(report_json(made), allow_nan=False)
        markdown_text(made)


def places_of(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every object or list within JSON, with each of its keys."""
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else []
    for key in keys:
        yield content, key
        yield from places_of(content[key])


def test_a_killed_run_s_last_line_does_not_matter(tmp_path: Path) -> None:
    """Of trajectory.jsonl only the lines that are steps count."""
    folder = write_our_run(tmp_path / "a", actions=["ls", "python x"])
    with (folder / "trajectory.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"action": "edit 1:2", "step": 3}\n{"step": 4, "action": "\\nvalidate"}\n[]\n{"step": 5, "acti')
    (run,) = read(tmp_path).runs
    assert run.actions == (1, 0, 1, 0, 0, 1, 1)


def test_runs_are_found_at_any_depth_and_once(tmp_path: Path) -> None:
    """Not inside of other runs, not through links, and not twice."""
    outer = write_our_run(tmp_path / "a" / "b" / "run")
    write_our_run(outer / "workspace" / "forged", score=99.0)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = read(tmp_path, tmp_path / "a", outer)
    assert [run.submission for run in found.runs] == [2.0]


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    """With what was expected; as is one that is not there."""
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")
    write_our_run(tmp_path / "runs" / "a")
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(ActionsError, match=r"expected run directories .* at any depth"):
            run_folders([tmp_path / "runs", folder])


def test_k_keeps_the_first_runs_by_seed(tmp_path: Path) -> None:
    """And tells how many are left out."""
    for seed in (2, 0, 1):
        write_our_run(tmp_path / str(seed), seed=seed, score=float(seed))
    content = as_json(tmp_path, k=2)
    cell = content["scores"]["tiny"]["methods"]["openai/x"]
    assert (cell["runs"], cell["best_submission"]) == (2, 1.0)
    assert content["groups"][0]["left_out"] == 1


def test_methods_have_short_names_where_they_differ(tmp_path: Path) -> None:
    """The model's, the agent's where there is none, both where two would be alike; the agent baseline is not the baseline."""
    for number, (agent, model) in enumerate(
        [("react", "m"), ("react-tools", "m"), ("react", "n"), ("scripted", None), ("baseline", None), ("react", "baseline")]
    ):
        write_our_run(tmp_path / str(number), agent=agent, model=model)
    expected = {"react, m", "react-tools, m", "n", "scripted", "baseline, run here", "react, baseline"}
    content = as_json(tmp_path)
    assert set(content["groups"][0]["methods"]) == expected
    assert set(content["aup"]["best_submission"]) == {*expected, "baseline"}


def test_what_runs_took_is_summed_over_those_that_recorded_it(tmp_path: Path) -> None:
    """With their number; what none recorded is not 0."""
    write_our_run(tmp_path / "a", seed=0)
    write_our_run(tmp_path / "b", seed=1, usage={"input_tokens": 100, "output_tokens": 10, "cost_usd": None})
    totals = as_json(tmp_path)["groups"][0]["methods"]["openai/x"]
    assert totals["cost_usd"] == {"total": 0.5, "runs": 1}
    assert totals["input_tokens"] == {"total": 1000.0, "runs": 2}
    assert totals["endings"] == {"agent": {"submitted": 2}}
    assert totals["actions"]["python"] == 2


def test_notes_tell_what_makes_runs_differ(tmp_path: Path) -> None:
    """Versions of a task, baselines, metrics, and runs without a sandbox."""
    write_our_run(tmp_path / "a", seed=0)
    write_our_run(tmp_path / "b", seed=1, baseline=1.5, mechanism="none", task_version=2)
    run = json.loads((tmp_path / "b" / "run.json").read_text(encoding="utf-8"))
    run["task"]["digest"] = "d2"
    (tmp_path / "b" / "run.json").write_text(json.dumps(run), encoding="utf-8")
    write_our_run(tmp_path / "c", metric="Other")
    notes = " ".join(report(tmp_path).groups[0].notes)
    assert "1 of 3 runs had no sandbox" in notes and "tiny was played in 2 versions" in notes
    assert "baselines from 1 to 1.5" in notes and "ranked by Other (maximize), Score (maximize)" in notes


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("litellm-o1__blotto__default__t-0.00__p-0.95__c-4.00__install-0_run_3", ("o1", "blotto", "default", 3)),
        ("a__b__c__t-0.00__p-0.95__c-4.00__install-0__suffix_run_12", ("a", "b", "c", 12)),
        ("a__b__t-0.00_run_1", ("a", "b", "", 1)),
        ("a__b_run_2", ("a", "b", "", 2)),
        ("a__b", ("a", "b", "", 0)),
        ("blotto", None),
    ],
)
def test_names_of_mlgym_s_folders(name: str, parts: tuple[str, str, str, int] | None) -> None:
    """The model, the task, the agent's configuration and the number of the run."""
    found = parsed_name(name)
    assert (found and (found.model, found.task, found.config, found.run)) == parts


@pytest.mark.parametrize(
    ("status", "reason", "fault"),
    [
        ("submitted", "submitted", "agent"),
        ("autosubmission (max_steps)", "step_limit", "limit"),
        ("autosubmission (exit_context)", "context_limit", "limit"),
        ("evaluation_format_error (exit_cost)", "evaluation_error", "unknown"),
        ("submission_not_found (max_steps)", "no_submission", "agent"),
        ("PermissionError, no, (submit)", "evaluation_error", "unknown"),
        ("early_exit", "sandbox_error", "us"),
        ("", "runner_error", "us"),
    ],
)
def test_endings_of_mlgym(status: str, reason: str, fault: str) -> None:
    """Each way to end, in our words."""
    assert (ending_of(status).reason, ending_of(status).fault) == (reason, fault)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("create a.py", "edit"), ("edit 1:2\nx\nend_of_edit", "edit"), ("open a 3", "view"), ("scroll_down", "view"),
        ("validate", "validate"), ("submit", "submit"), ("search_dir x", "search"), ("python3 a.py", "python"),
        ("torchrun a.py", "python"), ("ls", "bash"), ("", "bash"), ("\n validate", "validate"), ("cd a && python b.py", "bash"),
    ],
)  # fmt: skip
def test_kinds_of_actions(action: str, kind: str) -> None:
    """Told from how an action begins."""
    assert kind_of(action) == kind


def test_a_bootstrap_interval() -> None:
    """It holds the mean, is the same at each call, whatever the order, and is narrower with more values; one value has none."""
    few, many = mean_of([1.0, 2.0, 3.0, 4.0]), mean_of([1.0, 2.0, 3.0, 4.0] * 100)
    assert few and many and few.low and few.high and many.low and many.high
    assert few.low < few.mean == 2.5 < few.high and few == mean_of([4.0, 2.0, 3.0, 1.0])
    assert many.high - many.low < (few.high - few.low) / 5
    alone = mean_of([3.0])
    assert alone and (alone.mean, alone.low, alone.high) == (3.0, None, None)
    assert mean_of([]) is None


def test_a_bootstrap_interval_of_a_known_spread() -> None:
    """1.96 standard errors of the mean to each side, for many values."""
    values = [float(number % 2) for number in range(4000)]
    found = mean_of(values)
    assert found and found.low and found.high
    assert found.low == pytest.approx(0.5 - 1.96 * 0.5 / 4000**0.5, abs=0.002)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.5 / 4000**0.5, abs=0.002)


def test_curves_are_means_of_the_best_so_far(tmp_path: Path) -> None:
    """Over those runs that had a score by then."""
    write_our_run(tmp_path / "a", seed=0, validations=[1.0, 0.5], score=3.0)
    write_our_run(tmp_path / "b", seed=1, validations=[], score=5.0)
    curve = curves_of(read(tmp_path).runs)
    assert (curve.steps, curve.values) == ((2, 3, 4), (1.0, 1.0, 4.0))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"), (0.0, "0.000"), (-0.24797, "-0.248"), (0.0001, "0.0001"), (12345.678, "12,345.678"), (-3.1e13, "-3.1e+13"),
    ],
)  # fmt: skip
def test_numbers_for_people(value: float | None, text: str) -> None:
    """Three decimals where they tell something."""
    assert number_text(value) == text


def hostile_table() -> Table:
    """Names that mean something to every form."""
    rows = ((words(HOSTILE), amount(1.0, best=True)), (words("=cmd()"), Cell(text="—")), (words("[x]"), amount(-2.0)))
    return Table(name="t", title=HOSTILE, heads=("", HOSTILE), rows=rows, note=HOSTILE)


def test_html_shows_names_as_text() -> None:
    """No element, no control or direction character."""
    text = as_html(hostile_table())
    assert "<script" not in text and "\x1b" not in text and "\u202e" not in text
    assert "&lt;script&gt;" in text


def test_markdown_shows_names_as_text() -> None:
    """One line for each row, with as many cells; nothing is markup."""
    text = as_markdown(hostile_table())
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 5
    assert all(line.replace("\\|", "").count("|") == 3 for line in lines)
    assert "<script" not in text and "\\`a\\`" in text and "\x1b" not in text


def test_latex_shows_names_as_text() -> None:
    """Every character that means something is written out; a cell that begins with [ is no option of the row before it."""
    text = as_latex(hostile_table())
    assert text.count("\\end{table}") == 1 and "\\textbackslash{}end\\{table\\}" in text
    assert "\\$x\\_\\{1\\}\\$" in text and "\n{}[x] & -2.000 \\\\" in text


def test_csv_holds_numbers_unrounded_and_no_formulas() -> None:
    """A negative number stays one."""
    rows = list(csv.reader(io.StringIO(as_csv(hostile_table()))))
    assert [row[1] for row in rows[1:]] == ["1.0", "", "-2.0"]
    assert rows[2][0] == "'=cmd()" and all(len(row) == 2 for row in rows)


def hostile_runs(folder: Path) -> Path:
    """Two runs whose names are hostile in every place where others can put one."""
    write_our_run(folder / "a", task=HOSTILE, model=HOSTILE, metric=HOSTILE, reason=HOSTILE, fault=HOSTILE, validations=[1.5])
    write_our_run(folder / "b", task="_b", agent="_agent $", model=None, variant="../../x", scoring=HOSTILE, feedback=HOSTILE)
    return folder


def test_many_problems_and_groups_on_the_page(tmp_path: Path) -> None:
    """The first 200 problems are listed, the others counted."""
    write_our_run(tmp_path / "a")
    text = report_page(report_on(read(tmp_path).runs, [f"problem {number}" for number in range(205)]), {}, "no plots here")
    assert "problem 199<" in text and "problem 200<" not in text and "and 5 more" in text and "no plots here" in text


def test_hostile_names_harm_no_form(tmp_path: Path) -> None:
    """The page, Markdown, LaTeX and CSV of runs with hostile names; plots of them are drawn."""
    made = report(hostile_runs(tmp_path / "runs"))
    written = write_report(made, tmp_path / "out")
    assert written.remark == "" and {path.parts[0] for path in map(Path, written.files)} >= {"report.html"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "runs"]
    for text in (report_page(made, {}), markdown_text(made), latex_text(made), csv_text(made)):
        assert "\x1b" not in text and "\u202e" not in text
    for text in (report_page(made, {}), markdown_text(made)):
        assert "<script>" not in text


def test_a_report_as_a_folder(tmp_path: Path) -> None:
    """The page, JSON, CSV, Markdown, LaTeX, and each plot as PNG and PDF; a report is replaced, other files never."""
    write_our_run(tmp_path / "runs" / "a", validations=[1.5])
    out = tmp_path / "out"
    files = write_report(report(tmp_path / "runs"), out).files
    plots = {
        f"full-clean-development/{name}.{kind}"
        for name in ("profile", "aup-cost", "scores", "endings")
        for kind in ("png", "pdf")
    }
    texts = {"report.html", "report.json", "report.md", "report.tex", "scores.csv", "full-clean-development/aup.csv"}
    assert {*plots, *texts} <= set(files)
    assert (out / "full-clean-development/profile.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "full-clean-development/profile.pdf").read_bytes().startswith(b"%PDF")
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["runs"]["read"] == 1
    assert write_report(report(tmp_path / "runs"), out).files == files
    with pytest.raises(OutputError, match="something else"):
        write_report(report(tmp_path / "runs"), tmp_path / "runs")


def test_the_long_csv_has_a_row_for_each_task_and_method(tmp_path: Path) -> None:
    """Of every group, those without runs too."""
    write_our_run(tmp_path / "a", task="one")
    write_our_run(tmp_path / "b", task="two", model="openai/y")
    write_our_run(tmp_path / "c", variant="mini")
    rows = list(csv.DictReader(io.StringIO(csv_text(report(tmp_path)))))
    keys: Sequence[tuple[str, ...]] = [(row["variant"], row["task"], row["model"], row["runs"]) for row in rows]
    assert keys == [
        ("full", "one", "openai/x", "1"), ("full", "one", "openai/y", "0"), ("full", "two", "openai/x", "0"),
        ("full", "two", "openai/y", "1"), ("mini", "tiny", "openai/x", "1"),
    ]  # fmt: skip
    assert rows[0]["best_submission"] == "2.0" and rows[1]["best_submission"] == ""


def test_runs_of_every_kind_of_ending_are_reported(tmp_path: Path) -> None:
    """By whose doing it was."""
    from mlgym_lite.episode.outcome import FAULTS

    for number, (reason, fault) in enumerate(FAULTS.items()):
        write_our_run(tmp_path / str(number), seed=number, reason=reason, fault=fault, score=None)
    endings = as_json(tmp_path)["groups"][0]["methods"]["openai/x"]["endings"]
    assert {reason: fault for fault, reasons in endings.items() for reason in reasons} == dict(FAULTS)


def test_of_an_episode_of_a_bench_the_last_try_counts(tmp_path: Path) -> None:
    """Earlier tries were killed or failed; what is beside them is no run."""
    folder = tmp_path / "mini" / "one" / "react" / "seed-0"
    for number in (1, 2, 10):
        (folder / f"try-{number}").mkdir(parents=True)
        (folder / f"try-{number}" / "run.json").write_text("{}", encoding="utf-8")
    (folder / "episode.json").write_text("{}", encoding="utf-8")
    assert [Path(found.place).name for found in run_folders([tmp_path])] == ["try-10"]


def write_plan(folder: Path, *, seeds: int = 3, **tasks: Any) -> None:
    """What a bench of two agents and two tasks planned."""
    folder.mkdir(exist_ok=True)
    ranking = {"metric": "Score", "direction": "maximize", "feedback": "development"}
    planned = [
        {"task": task, "agent": agent, "model": "openai/x" if agent == "react" else None, "seed": seed,
         "folder": f"full/{task}/{agent}/seed-{seed}"}
        for task in ("one", "two") for agent in ("react", "player") for seed in range(seeds)
    ]  # fmt: skip
    content = {
        "schema_version": 1, "variant": "full", "scoring": "clean", "tasks": {"one": ranking, "two": ranking, **tasks},
        "episodes": planned,
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(content), encoding="utf-8")


def test_what_a_bench_planned_and_did_not_begin_is_missing(tmp_path: Path) -> None:
    """Tasks and agents of which nothing was begun have their rows; what was begun is counted once."""
    write_plan(tmp_path)
    for seed in (0, 2):
        write_our_run(tmp_path / f"full/one/react/seed-{seed}/try-1", task="one", seed=seed)
        (tmp_path / f"full/one/react/seed-{seed}/episode.json").write_text("{}", encoding="utf-8")
    (tmp_path / "full/two/react/seed-0/try-1").mkdir(parents=True)
    found = report(tmp_path)
    assert summary(found) == "2 runs: 2 scored, 0 without a submission's score, 0 unfinished, 10 more were planned and not begun."
    [group] = found.groups
    assert (group.k, group.runs, group.left_out) == (3, 2, 0)
    assert [task.name for task in group.tasks] == ["one", "two"] and set(group.methods) == {"openai/x", "player"}
    missing = next(table for table in tables_of(group) if table.name == "missing")
    assert {(row[0].text, row[1].text): (row[2].text, row[3].text) for row in missing.rows} == {
        ("one", "openai/x"): ("1", "0"), ("one", "player"): ("3", "0"),
        ("two", "openai/x"): ("3", "0"), ("two", "player"): ("3", "0"),
    }  # fmt: skip
    content = as_json(tmp_path)
    assert content["runs"] == {"read": 2, "scored": 2, "unfinished": 0, "planned_only": 10, "unreadable": 0}
    assert content["groups"][0]["methods"]["player"]["runs"] == 0
    assert report_page(found, {}) and csv_text(found) and latex_text(found) and markdown_text(found)


def test_a_plan_of_which_nothing_was_begun(tmp_path: Path) -> None:
    """Every episode is missing, and nothing breaks."""
    write_plan(tmp_path)
    found = report(tmp_path)
    assert summary(found).startswith("0 runs: 0 scored") and "12 more were planned" in summary(found)
    assert report_page(found, {}) and csv_text(found) and as_json(tmp_path)["runs"]["planned_only"] == 12


def test_a_plan_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """With its file; the runs beside it are reported all the same."""
    write_our_run(tmp_path / "run")
    for content in ("{", "[]", '{"episodes": 1}', '{"episodes": [{"task": "x"}]}', '{"episodes": [], "tasks": 1}'):
        (tmp_path / "plan.json").write_text(content, encoding="utf-8")
        found = report(tmp_path)
        assert found.runs == 1 and len(found.problems) == 1 and str(tmp_path / "plan.json") in found.problems[0], content


def test_rounding_does_not_make_a_score_worse_than_the_baseline(tmp_path: Path) -> None:
    """A program that is run again may differ in the last digit."""
    write_our_run(tmp_path / "run", baseline=0.5130224126549043, score=0.5130224126549041, validations=[0.5130224126549042])
    content = as_json(tmp_path)
    assert content["aup"]["fixed"]["best_submission"] == {"openai/x": 1.0, "baseline": 1.0}
    assert content["scores"]["tiny"]["methods"]["openai/x"]["improvement"]["mean"] == 0.0
    assert content["scores"]["tiny"]["methods"]["openai/x"]["missing"] == 0
