"""The house-price task splits, grades and hides its data as promised."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pandas
import pytest
from grading_harness import TASKS, Verdict, graded, grading_interpreter, module_at
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

TASK = TASKS / "house_price"
MINI = TASK / "mini"
BASELINE_R2 = 0.5130224126549043
PUBLISHED_R2 = 0.879989147
REAL_TABLE = os.environ.get("MLGYM_LITE_HOUSE_PRICE_CSV", "")
prepare: Any = module_at(TASK / "prepare.py")
baseline: Any = module_at(TASK / "environment" / "baseline.py")


class Desk:
    """Grades submissions given as text, for one test."""

    def __init__(self, interpreter: Path, folder: Path) -> None:
        """Keep submissions and gradings under a folder."""
        self._interpreter = interpreter
        self._folder = folder
        self._numbers = count()

    def grade(self, submission: str | bytes | None, *, hidden: Path = MINI / "judge", split: str = "test") -> Verdict:
        """Grade a submission.csv with this text, or none at all."""
        number = next(self._numbers)
        folder = self._folder / f"submission-{number}"
        folder.mkdir()
        if submission is not None:
            content = submission.encode() if isinstance(submission, str) else submission
            folder.joinpath("submission.csv").write_bytes(content)
        grading = self._folder / f"grading-{number}"
        return graded(self._interpreter, grading, TASK, folder, hidden=hidden, split=split)


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that can import the grading files."""
    return grading_interpreter(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def desk(interpreter: Path, tmp_path: Path) -> Desk:
    """Where submissions are graded."""
    return Desk(interpreter, tmp_path)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the baseline submits in the mini variant."""
    return baseline_submission(tmp_path_factory.mktemp("baseline"), MINI / "agent")


@pytest.fixture(scope="module")
def ames_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated table in the shape of the real one."""
    path = tmp_path_factory.mktemp("ames") / "train.csv"
    write_ames_like(path, random.Random(4))
    return path


def write_ames_like(path: Path, generator: random.Random) -> None:
    """Write 1,460 rows and 81 columns of numbers and categories, with gaps, commas and quotes."""
    columns = [f"Number{at}" for at in range(37)] + [f"Kind{at}" for at in range(42)]
    kinds = ["plain", "with, comma", 'with "quotes"', "NA", "two words"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Id", *columns, "SalePrice"])
        for identifier in range(1, 1461):
            numbers = [generator.randrange(10_000) for _ in range(37)]
            texts = ["NA" if generator.random() < 0.1 else str(number) for number in numbers]
            price = 50_000 + sum(numbers) // 4 + generator.randrange(5_000)
            writer.writerow([identifier, *texts, *generator.choices(kinds, k=42), price])


def baseline_submission(workspace: Path, data: Path) -> str:
    """Run the starter as the agent would and return the file it wrote."""
    program = TASK / "environment" / "baseline.py"
    subprocess.run([sys.executable, program, "--data", data], cwd=workspace, check=True)
    return workspace.joinpath("submission.csv").read_text(encoding="utf-8")


def prepared(folder: Path, source: Path) -> Path:
    """Run prepare.py as the engine does and return the folder it filled."""
    subprocess.run([sys.executable, TASK / "prepare.py", folder, source], check=True)
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return a table's rows as text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def r2_of(verdict: Verdict) -> float:
    """Return the score of a grading that must have given one."""
    assert verdict.reward is not None, (verdict.rejection, verdict.stderr)
    return verdict.reward["r2"]


@pytest.mark.parametrize("rows", [1460, 442, 1461])
def test_the_split_is_that_of_scikit_learn(rows: int) -> None:
    """Two calls of train_test_split with random state 42 give the same rows in the same order."""
    rest, test = train_test_split(list(range(rows)), test_size=0.2, random_state=42)
    train, development = train_test_split(rest, test_size=0.125, random_state=42)
    split = prepare.split_positions(rows)
    assert (split.train, split.development, split.test) == (train, development, test)
    if rows == 1460:
        assert (len(train), len(development), len(test)) == (1022, 146, 292)


def test_the_agent_sees_no_price_of_the_rows_to_predict(ames_like: Path, tmp_path: Path) -> None:
    """Each row of the table is in exactly one place, and the rows to predict have every column but the price."""
    folder = prepared(tmp_path, ames_like)
    whole = {row["Id"]: row for row in rows_of(ames_like)}
    train, asked = rows_of(folder / "agent" / "train.csv"), rows_of(folder / "agent" / "test.csv")
    dev, test = rows_of(folder / "judge" / "dev.csv"), rows_of(folder / "judge" / "test.csv")
    assert (len(train), len(asked), len(dev), len(test)) == (1022, 438, 146, 292)
    assert len(whole) == 1460 and len(train[0]) == 81
    assert {row["Id"] for row in train} | {row["Id"] for row in dev} | {row["Id"] for row in test} == set(whole)
    assert {row["Id"] for row in asked} == {row["Id"] for row in dev + test}
    assert all(row == whole[row["Id"]] for row in train)
    assert all(row | {"SalePrice": whole[row["Id"]]["SalePrice"]} == whole[row["Id"]] for row in asked)
    assert all("SalePrice" not in row for row in asked)
    assert all(row == {"Id": row["Id"], "SalePrice": whole[row["Id"]]["SalePrice"]} for row in dev + test)


def test_the_order_of_the_rows_does_not_tell_development_from_test(ames_like: Path, tmp_path: Path) -> None:
    """The rows to predict come in the order of their ids."""
    asked = [int(row["Id"]) for row in rows_of(prepared(tmp_path, ames_like) / "agent" / "test.csv")]
    assert asked == sorted(asked)


def test_the_baseline_runs_on_a_table_like_the_real_one(ames_like: Path, desk: Desk, tmp_path: Path) -> None:
    """Gaps, quotes and categories do not trouble the baseline, and its file is graded on both splits."""
    data, workspace = tmp_path / "data", tmp_path / "workspace"
    data.mkdir()
    workspace.mkdir()
    prepared(data, ames_like)
    submission = baseline_submission(workspace, data / "agent")
    for split in ("dev", "test"):
        assert r2_of(desk.grade(submission, hidden=data / "judge", split=split)) > 0.5


@pytest.mark.parametrize("content", ["Id,Price\n1,2\n", "", "Id,SalePrice\n1\n", "Id,SalePrice\n1,2,3\n"])
def test_another_table_is_refused(tmp_path: Path, content: str) -> None:
    """A file that is not Kaggle's table ends the preparation with a message."""
    source = tmp_path / "other.csv"
    source.write_text(content, encoding="utf-8")
    done = subprocess.run([sys.executable, TASK / "prepare.py", tmp_path, source], stderr=subprocess.PIPE, encoding="utf-8")
    assert done.returncode != 0 and "other.csv" in done.stderr and "expected" in done.stderr
    assert not tmp_path.joinpath("judge").exists()


@pytest.mark.skipif(not REAL_TABLE, reason="MLGYM_LITE_HOUSE_PRICE_CSV does not name Kaggle's train.csv")
def test_the_published_baseline_is_reproduced(desk: Desk, tmp_path: Path) -> None:
    """On the real table the baseline's submission scores what was published."""
    data, workspace = tmp_path / "data", tmp_path / "workspace"
    data.mkdir()
    workspace.mkdir()
    prepared(data, Path(REAL_TABLE).resolve())
    submission = baseline_submission(workspace, data / "agent")
    assert r2_of(desk.grade(submission, hidden=data / "judge")) == pytest.approx(PUBLISHED_R2, abs=1e-5)


def test_the_shipped_mini_table_is_what_its_generator_makes(tmp_path: Path) -> None:
    """The generator makes the shipped files again, up to what other library versions round differently."""
    subprocess.run([sys.executable, MINI / "make_mini.py", tmp_path], check=True)
    for name in ("agent/train.csv", "agent/test.csv", "judge/dev.csv", "judge/test.csv"):
        made, shipped = pandas.read_csv(tmp_path / name), pandas.read_csv(MINI / name)
        pandas.testing.assert_frame_equal(made, shipped, rtol=0, atol=0.21)


def test_the_mini_baseline_scores_what_the_task_says(desk: Desk, honest: str) -> None:
    """The baseline's score in the mini variant is the one written down, on either split."""
    assert r2_of(desk.grade(honest)) == pytest.approx(BASELINE_R2, abs=1e-3)
    assert r2_of(desk.grade(honest, split="dev")) == pytest.approx(0.5393863478, abs=1e-3)
    text = TASK.joinpath("task.toml").read_text(encoding="utf-8")
    assert f"r2 = {BASELINE_R2}" in text and "r2 = 0.87998914" in text


def mini_tables() -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Return the mini variant's rows to learn from, and the test rows with their hidden prices."""
    asked, prices = pandas.read_csv(MINI / "agent" / "test.csv"), pandas.read_csv(MINI / "judge" / "test.csv")
    return pandas.read_csv(MINI / "agent" / "train.csv"), asked.merge(prices, on="Id")


def r2_of_model(model: Any, train: pandas.DataFrame, test: pandas.DataFrame) -> float:
    """Return how well a model predicts the test rows."""
    model.fit(train.drop(columns=["Id", "SalePrice"]), train["SalePrice"])
    return float(r2_score(test["SalePrice"], model.predict(test.drop(columns=["Id", "SalePrice"]))))


def test_a_better_model_is_better_on_the_mini_table() -> None:
    """Boosted trees, which follow curves, beat the linear baseline clearly."""
    train, test = mini_tables()
    trees = clone(baseline.ridge_on_all_columns())
    trees.steps[-1] = (
        "trees",
        GradientBoostingRegressor(n_estimators=150, learning_rate=0.05, subsample=0.6, random_state=0),
    )
    assert r2_of_model(trees, train, test) > BASELINE_R2 + 0.05


def with_bundled_target(table: pandas.DataFrame) -> pandas.DataFrame:
    """Return the table with scikit-learn's own target beside each row, found by the features."""
    features, target = load_diabetes(return_X_y=True, scaled=False)
    names = dict(zip(["Age", "BodyMass", "Pressure", *(f"Serum{at}" for at in range(1, 7))], [0, *range(2, 10)], strict=True))
    bundled = []
    for _, row in table.iterrows():
        known = {place: row[name] for name, place in names.items() if pandas.notna(row[name])}
        distances = [sum((line[place] - value) ** 2 for place, value in known.items()) for line in features]
        assert min(distances) < 1e-3
        bundled.append(target[distances.index(min(distances))])
    return table.assign(Bundled=bundled)


def test_the_bundled_target_does_not_tell_the_labels() -> None:
    """scikit-learn's target scores worse than the baseline, and does not help the baseline as a feature."""
    train, test = (with_bundled_target(table) for table in mini_tables())
    assert r2_score(test["SalePrice"], test["Bundled"]) < 0 < BASELINE_R2
    assert r2_of_model(baseline.ridge_on_all_columns(), train, test) < BASELINE_R2 + 0.001


def test_rows_are_joined_by_their_ids(desk: Desk, honest: str) -> None:
    """Order of rows and columns, a byte-order mark, line ends and empty lines make no difference."""
    header, *lines = honest.splitlines()
    random.Random(1).shuffle(lines)
    turned = ["SalePrice,Id", *(",".join(reversed(line.split(","))) for line in lines)]
    for text in ("\n".join([header, *lines]), "\ufeff" + "\r\n".join(turned) + "\r\n\r\n"):
        assert r2_of(desk.grade(text)) == r2_of(desk.grade(honest))


def test_the_metrics_are_those_of_scikit_learn(desk: Desk, honest: str, tmp_path: Path) -> None:
    """r2 and rmse agree with the library's."""
    path = tmp_path / "honest.csv"
    path.write_text(honest, encoding="utf-8")
    both = pandas.read_csv(MINI / "judge" / "test.csv").merge(pandas.read_csv(path), on="Id")
    truth, guess = both["SalePrice_x"], both["SalePrice_y"]
    verdict = desk.grade(honest)
    assert verdict.reward == {
        "r2": pytest.approx(r2_score(truth, guess), abs=1e-12),
        "rmse": pytest.approx(((truth - guess) ** 2).mean() ** 0.5, rel=1e-12),
    }


def changed_line(text: str, number: int, line: str) -> str:
    """Return the text with one of its lines, counted from 1, replaced."""
    lines = text.splitlines()
    lines[number - 1] = line
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("2,NaN", "line 2, column SalePrice: 'NaN' is not a finite number"),
        ("2,inf", "line 2, column SalePrice: 'inf' is not a finite number"),
        ("2,-1e308", "line 2, column SalePrice: '-1e308' is not a finite number"),
        ("2,dear", "line 2, column SalePrice: 'dear' is not a number"),
        ("2,", "line 2, column SalePrice: '' is not a number"),
        ("2,\x1b[31m", "line 2, column SalePrice: '\\\\x1b[31m' is not a number"),
        ("2", "line 2: 1 values, expected 2"),
        ("2,1,1", "line 2: 3 values, expected 2"),
        ("16,100", "line 3, column Id: '16' is there twice"),
        ("999999,100", "1 ids of test.csv are missing, for example '2'"),
        ("2,100\n999999,100", "1 ids are not in test.csv, for example '999999'"),
        ('2,"100', "not a CSV file"),
        ("2," + "9" * 200_000, "not a CSV file"),
    ],
)
def test_a_wrong_line_is_rejected_by_name(desk: Desk, honest: str, line: str, shown: str) -> None:
    """The agent is told the line, the column and what was expected."""
    verdict = desk.grade(changed_line(honest, 2, line))
    assert (verdict.status, verdict.reward) == (65, None), verdict.stderr
    assert verdict.rejection is not None and shown in verdict.rejection


@pytest.mark.parametrize(
    ("submission", "shown"),
    [
        (None, "submission.csv is missing"),
        ("", "line 1: the columns are '', expected Id,SalePrice"),
        ("SalePrice\n1\n", "line 1: the columns are 'SalePrice'"),
        ("Id,SalePrice,SalePrice\n", "line 1: the columns are"),
        ("Id,SalePrice\n", "134 ids of test.csv are missing"),
        (b"Id,SalePrice\n2,\xff\n", "not UTF-8: byte 15"),
        (b"Id,SalePrice\n" + b"\n" * 1024 * 1024, "at most 1048576 are taken"),
        (b"Id,SalePrice\n2,\x00\n", "submission.csv, line 2"),
    ],
)
def test_a_file_of_another_kind_is_rejected(desk: Desk, submission: str | bytes | None, shown: str) -> None:
    """A missing, foreign or oversized file is the submission's fault, and the message says which."""
    verdict = desk.grade(submission)
    assert (verdict.status, verdict.reward) == (65, None), verdict.stderr
    assert verdict.rejection is not None and shown in verdict.rejection


def test_missing_labels_are_the_graders_failure(desk: Desk, honest: str, tmp_path: Path) -> None:
    """Where the engine gives no labels, the agent is not blamed."""
    verdict = desk.grade(honest, hidden=tmp_path)
    assert verdict.status not in (0, 65) and verdict.reward is None and verdict.rejection is None
