"""The image tasks, CIFAR-10 and Fashion-MNIST, make, prepare, grade and hide their data as promised."""

from __future__ import annotations

import csv
import os
import random
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pytest
from grading_harness import TASKS, Desk, grading_interpreter, module_at
from hypothesis import given
from hypothesis import strategies as st
from preparing_harness import Preparer
from preparing_harness import preparing_python as python_for_preparing

REPOSITORY_PROGRAM = Path(__file__).with_name("image_repository.py")
TRAIN_ROWS, TEST_ROWS = 600, 200
"""Of the small copy that the preparation is tried on."""


@dataclass(frozen=True, kw_only=True)
class ImageTask:
    """What differs between the two tasks."""

    name: str
    shape: tuple[int, ...]
    image: str
    mode: str
    rows: tuple[int, int]
    """Of the real train and test splits."""

    @property
    def folder(self) -> Path:
        """The task's folder."""
        return TASKS / self.name


IMAGE_TASKS = [
    ImageTask(name="cifar10", shape=(32, 32, 3), image="img", mode="RGB", rows=(50_000, 10_000)),
    ImageTask(name="fashion_mnist", shape=(28, 28), image="image", mode="L", rows=(60_000, 10_000)),
]


@pytest.fixture(scope="module", params=IMAGE_TASKS, ids=lambda task: task.name)
def task(request: pytest.FixtureRequest) -> ImageTask:
    """Each of the two tasks in turn."""
    chosen: ImageTask = request.param
    return chosen


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that can import the grading files."""
    return grading_interpreter(tmp_path_factory.mktemp("environment") / "venv")


def made(task: ImageTask, folder: Path) -> Path:
    """Run make_mini.py as the engine does and return the folder it filled."""
    subprocess.run([sys.executable, task.folder / "make_mini.py", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def mini(task: ImageTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mini data."""
    return made(task, tmp_path_factory.mktemp("mini") / "data")


@pytest.fixture(scope="module")
def other_mini(task: ImageTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mini data, made once more."""
    return made(task, tmp_path_factory.mktemp("other") / "data")


@dataclass(frozen=True, kw_only=True)
class Trees:
    """What the two trees hold, by row of test_images.npy where a row is to be predicted."""

    train_images: Any
    train_labels: Any
    images: Any
    identifiers: list[str]
    labels: Any
    is_test: Any


def read_trees(folder: Path) -> Trees:
    """Read what the agent and the judge see."""
    agent = folder / "agent"
    assert sorted(path.name for path in agent.rglob("*")) == [
        "test_ids.txt",
        "test_images.npy",
        "train_images.npy",
        "train_labels.npy",
    ]
    assert sorted(path.name for path in folder.joinpath("judge").rglob("*")) == ["dev.csv", "test.csv"]
    identifiers = agent.joinpath("test_ids.txt").read_text(encoding="ascii").splitlines()
    labels, is_test = {}, {}
    for split in ("dev", "test"):
        for row in rows_of(folder / "judge" / f"{split}.csv"):
            assert row["id"] not in labels
            labels[row["id"]], is_test[row["id"]] = int(row["label"]), split == "test"
    assert set(labels) == set(identifiers) and len(labels) == len(identifiers)
    return Trees(
        train_images=numpy.load(agent / "train_images.npy", allow_pickle=False),
        train_labels=numpy.load(agent / "train_labels.npy", allow_pickle=False),
        images=numpy.load(agent / "test_images.npy", allow_pickle=False),
        identifiers=identifiers,
        labels=numpy.array([labels[identifier] for identifier in identifiers]),
        is_test=numpy.array([is_test[identifier] for identifier in identifiers]),
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return a table's rows as text."""
    with path.open(encoding="ascii", newline="") as file:
        return list(csv.DictReader(file))


def require_no_pattern(trees: Trees) -> None:
    """Check that neither places nor ids tell labels or splits, up to chance (five standard deviations)."""
    size = len(trees.identifiers)
    assert all(re.fullmatch("[0-9a-f]{16}", identifier) for identifier in trees.identifiers)
    numbers = [int(identifier, 16) for identifier in trees.identifiers]
    clues = [numpy.arange(size), numpy.argsort(numpy.argsort(numbers)), *(numpy.array([n % m for n in numbers]) for m in (2, 10))]
    for clue in clues:
        for what in (trees.labels, trees.is_test, *(trees.labels == label for label in range(10))):
            assert abs(numpy.corrcoef(clue, what)[0, 1]) < 5 / size**0.5
    share = float(numpy.mean(trees.is_test))
    for what, chance in ((trees.labels, 0.1), (trees.is_test, share**2 + (1 - share) ** 2)):
        alike = float(numpy.mean(what[1:] == what[:-1]))
        assert abs(alike - chance) < 5 * (chance * (1 - chance) / size) ** 0.5


def small(images: Any) -> Any:
    """Return pictures at a quarter of their size, without their mean brightness."""
    flat = images[:, ::4, ::4].astype(numpy.float32).reshape(len(images), -1)
    return flat - flat.mean(axis=1, keepdims=True)


def nearest_error(left: Any, right: Any, *, same: bool = False) -> float:
    """Return the least mean squared difference between a picture of the left and one of the right."""
    least = numpy.inf
    squares = (right**2).sum(axis=1)
    for first in range(0, len(left), 500):
        part = left[first : first + 500]
        distances = (part**2).sum(axis=1, keepdims=True) - 2 * part @ right.T + squares
        if same:
            distances[numpy.arange(len(part)), first + numpy.arange(len(part))] = numpy.inf
        least = min(least, float(distances.min()))
    return least / left.shape[1]


def test_the_mini_data_has_the_form_the_agent_is_told(task: ImageTask, mini: Path) -> None:
    """Arrays have the stated shapes, types and sizes, and classes are balanced."""
    trees = read_trees(mini)
    assert trees.train_images.shape == (4_000, *task.shape) and trees.train_images.dtype == numpy.uint8
    assert trees.images.shape == (5_000, *task.shape) and trees.images.dtype == numpy.uint8
    assert trees.train_labels.dtype == numpy.uint8
    assert numpy.bincount(trees.train_labels).tolist() == [400] * 10
    assert numpy.bincount(trees.labels[trees.is_test]).tolist() == [400] * 10
    assert numpy.bincount(trees.labels[~trees.is_test]).tolist() == [100] * 10


def test_places_and_ids_tell_nothing_in_the_mini_data(mini: Path) -> None:
    """Neither the order of the rows to predict nor their ids goes with labels or splits."""
    require_no_pattern(read_trees(mini))


def test_only_the_rows_to_learn_from_are_the_same_everywhere(mini: Path, other_mini: Path) -> None:
    """Two hosts learn from the same rows and predict different ones, so that the generator's code forges no label."""
    one, other = read_trees(mini), read_trees(other_mini)
    assert numpy.array_equal(one.train_images, other.train_images)
    assert numpy.array_equal(one.train_labels, other.train_labels)
    assert not set(one.identifiers) & set(other.identifiers)
    assert not numpy.array_equal(one.labels, other.labels)
    assert nearest_error(small(one.images), small(other.images)) > 50


def test_no_row_to_predict_is_nearly_a_copy(mini: Path) -> None:
    """No mini picture to predict is close to one with a label, nor to another one."""
    trees = read_trees(mini)
    known, asked = small(trees.train_images), small(trees.images)
    assert nearest_error(asked, known) > 50
    assert nearest_error(asked, asked, same=True) > 50


def identifier_of(number: int) -> str:
    """Return the id of a row of the small answers."""
    return f"{number:016x}"


@pytest.fixture
def desk(interpreter: Path, tmp_path: Path, task: ImageTask) -> Desk:
    """Where submissions for 10 development rows and 30 test rows are graded; row 3 has the label 3, row 13 too."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for split, rows in (("dev", range(10)), ("test", range(10, 40))):
        lines = [f"{identifier_of(row)},{row % 10},{row}\n" for row in rows]
        hidden.joinpath(f"{split}.csv").write_text("".join(["id,label,row\n", *lines]), encoding="ascii")
    return Desk(interpreter, tmp_path, task.folder, hidden, "submission.csv")


def answers(wrong: int = 0) -> list[str]:
    """Return the lines of a right submission, of which the last ones are wrong."""
    lines = [f"{identifier_of(row)},{(row + (row >= 40 - wrong)) % 10}" for row in range(40)]
    return ["id,label", *lines]


def test_the_score_is_the_share_of_right_labels(desk: Desk) -> None:
    """A validation counts the development rows, a submission the test rows, with the standard error."""
    verdict = desk.grade("\n".join(answers(wrong=6)))
    assert verdict.reward == {"accuracy": 0.8, "standard_error": pytest.approx((0.16 / 30) ** 0.5), "rows": 30.0}
    assert desk.grade("\n".join(answers(wrong=6)), split="dev").reward == {"accuracy": 1.0, "standard_error": 0.0, "rows": 10.0}


def test_rows_are_joined_by_their_ids(desk: Desk) -> None:
    """Order of rows and columns, a byte-order mark, blanks, line ends and empty lines make no difference."""
    _, *lines = answers(wrong=6)
    random.Random(1).shuffle(lines)
    turned = ["label, id", *(" , ".join(reversed(line.split(","))) for line in lines)]
    for text in ("\n".join(["id,label", *lines]), "\ufeff" + "\r\n".join(turned) + "\r\n\r\n"):
        assert (desk.grade(text).reward or {})["accuracy"] == 0.8


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"{identifier_of(0)},NaN", "line 2, column label: 'NaN' is not one of the whole numbers from 0 to 9"),
        (f"{identifier_of(0)},10", "line 2, column label: '10'"),
        (f"{identifier_of(0)},-1", "line 2, column label: '-1'"),
        (f"{identifier_of(0)},0.0", "line 2, column label: '0.0'"),
        (f"{identifier_of(0)},\u0663", "line 2, column label: '\u0663'"),
        (f"{identifier_of(0)},", "line 2, column label: ''"),
        (f'{identifier_of(0)},"0|1"', "line 2, column label: '0|1'"),
        (f"{identifier_of(0)},\x1b[31m", "line 2, column label: '\\\\x1b[31m'"),
        (f"{identifier_of(0)}", "line 2: 1 values, expected 2"),
        (f"{identifier_of(0)},1,1", "line 2: 3 values, expected 2"),
        (f"{identifier_of(1)},1", f"line 3, column id: '{identifier_of(1)}' is there twice"),
        ("ffff,1", f"1 ids of test_ids.txt are missing, for example '{identifier_of(0)}'"),
        (f"{identifier_of(0)},1\nffff,1", "1 ids are not in test_ids.txt, for example 'ffff'"),
        (f'{identifier_of(0)},"1', "not a CSV file"),
        (f"{identifier_of(0)}," + "9" * 200_000, "not a CSV file"),
    ],
)
def test_a_wrong_line_is_rejected_by_name(desk: Desk, line: str, shown: str) -> None:
    """The agent is told the line, the column and what was expected."""
    header, _, *lines = answers()
    verdict = desk.grade("\n".join([header, line, *lines]))
    assert (verdict.status, verdict.reward) == (65, None), verdict.stderr
    assert verdict.rejection is not None and shown in verdict.rejection


@pytest.mark.parametrize(
    ("submission", "shown"),
    [
        (None, "submission.csv is missing"),
        ("", "line 1: the columns are '', expected id,label"),
        ("label\n1\n", "line 1: the columns are 'label'"),
        ("id,label,label\n", "line 1: the columns are"),
        ("id,label\n", "40 ids of test_ids.txt are missing"),
        (b"id,label\n2,\xff\n", "not UTF-8: byte 11"),
        (b"\x93NUMPY\x01\x00", "not UTF-8: byte 0"),
        (b"id,label\n" + b"\n" * 4 * 1024 * 1024, "at most 4194304 are taken"),
        (b"id,label\n2,\x00\n", "submission.csv, line 2"),
    ],
)
def test_a_file_of_another_kind_is_rejected(desk: Desk, submission: str | bytes | None, shown: str) -> None:
    """A missing, foreign or oversized file is the submission's fault, and the message says which."""
    verdict = desk.grade(submission)
    assert (verdict.status, verdict.reward) == (65, None), verdict.stderr
    assert verdict.rejection is not None and shown in verdict.rejection


def test_missing_labels_are_the_graders_failure(desk: Desk, tmp_path: Path) -> None:
    """Where the engine gives no labels, the agent is not blamed."""
    verdict = desk.grade("\n".join(answers()), hidden=tmp_path / "nothing")
    assert verdict.status not in (0, 65) and verdict.reward is None and verdict.rejection is None


@pytest.mark.parametrize("name", [task.name for task in IMAGE_TASKS])
@given(
    content=st.one_of(st.binary(max_size=300), st.text(alphabet='id,label"\n\r0123456789\x00abc', max_size=300).map(str.encode))
)
def test_whatever_is_handed_in_is_read_or_rejected(name: str, tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """No file, however odd, makes the grader fail."""
    grader: Any = module_at(TASKS / name / "tests" / "grade.py")
    path = tmp_path_factory.getbasetemp() / f"odd-{name}.csv"
    for text in (content, b"id,label\n" + content):
        path.write_bytes(text)
        try:
            predictions = grader.read_predictions(path)
        except grader.Rejected:
            continue
        assert set(predictions.values()) <= set("0123456789")


def test_the_task_file_states_what_the_paper_published(task: ImageTask) -> None:
    """The full baseline is the published number, in either scoring."""
    text = task.folder.joinpath("task.toml").read_text(encoding="utf-8")
    published = {"cifar10": 0.4971, "fashion_mnist": 0.7835}[task.name]
    assert text.count(f"baseline = {{ accuracy = {published} }}") == 2


# The preparation, in an environment of its own


@pytest.fixture(scope="module")
def preparing_python(task: ImageTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python that prepare.py runs with."""
    return python_for_preparing(task.folder, tmp_path_factory)


def copy_of(task: ImageTask, python: Path, folder: Path, train_rows: int, test_rows: int) -> Path:
    """Write a copy of the task's repository with so many rows."""
    words = [task.image, task.mode, task.shape[0], train_rows, test_rows]
    environment = os.environ | {"HF_HOME": f"{folder}-hf", "HF_HUB_OFFLINE": "1"}
    subprocess.run([python, REPOSITORY_PROGRAM, folder, *map(str, words)], check=True, env=environment)
    return folder


@pytest.fixture(scope="module")
def source(task: ImageTask, preparing_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small copy of the repository."""
    return copy_of(task, preparing_python, tmp_path_factory.mktemp("source") / "copy", TRAIN_ROWS, TEST_ROWS)


@pytest.fixture
def preparer(preparing_python: Path, task: ImageTask, tmp_path: Path) -> Preparer:
    """What prepares the small copy."""
    made = Preparer(preparing_python, task.folder, tmp_path, options=("--any-size",))
    made.partial.mkdir()
    return made


def rows_and_splits(images: Any) -> list[tuple[int, int]]:
    """Return row and split that the copy's pictures hold in their first pixels."""
    flat = images.reshape(len(images), images.shape[1], images.shape[2], -1)[..., 0].astype(int)
    return [(int(picture[0, 0]) * 256 + int(picture[0, 1]), int(picture[0, 2])) for picture in flat]


def label_of(row: int, split: int) -> int:
    """Return the label that the copy gives a row."""
    return (row * 7 + row // 10 + split) % 10


@pytest.mark.network
def test_the_preparation_keeps_every_row_and_its_label(task: ImageTask, preparer: Preparer, source: Path) -> None:
    """Pictures and labels stay together, all are in one place, and the test rows are the source's."""
    output, text, status = preparer.run(source)
    assert status == 0, text
    trees = read_trees(output)
    known, asked = rows_and_splits(trees.train_images), rows_and_splits(trees.images)
    small_rows = range(400)  # the copy repeats its pictures' files beyond that many
    assert {row for row, _ in known + [pair for pair in asked if pair[1] == 0]} == set(small_rows)
    assert trees.train_images.shape[1:] == task.shape and trees.train_images.dtype == numpy.uint8
    assert all(split == 0 for _, split in known)
    unrepeated = [(row, label) for (row, _), label in zip(known, trees.train_labels, strict=True) if row >= TRAIN_ROWS - 400]
    assert unrepeated and all(label_of(row, 0) == label for row, label in unrepeated)
    assert [split for _, split in asked] == trees.is_test.astype(int).tolist()
    assert sorted(row for row, split in asked if split == 1) == list(range(TEST_ROWS))
    assert all(label_of(row, 1) == label for (row, split), label in zip(asked, trees.labels, strict=True) if split == 1)
    for name, split in (("dev", 0), ("test", 1)):
        place = {identifier: at for at, identifier in enumerate(trees.identifiers)}
        for line in rows_of(output / "judge" / f"{name}.csv"):
            assert asked[place[line["id"]]] == (int(line["row"]) % 400, split)
            assert int(line["label"]) == label_of(int(line["row"]), split)


@pytest.mark.network
def test_development_rows_are_the_same_share_of_each_class(preparer: Preparer, task: ImageTask, source: Path) -> None:
    """The same rows of each class are held out every time, and nobody learns from them."""
    first, second = (preparer.run(source)[0] for _ in range(2))
    one, other = read_trees(first), read_trees(second)
    share = round(5_000 / task.rows[0] * TRAIN_ROWS / 10)
    assert numpy.bincount(one.labels[~one.is_test]).tolist() == [share] * 10
    assert len(one.train_labels) == TRAIN_ROWS - 10 * share
    held_out = [sorted(line["row"] for line in rows_of(folder / "judge" / "dev.csv")) for folder in (first, second)]
    assert held_out[0] == held_out[1]
    assert numpy.array_equal(one.train_images, other.train_images) and numpy.array_equal(one.train_labels, other.train_labels)
    assert not set(one.identifiers) & set(other.identifiers) and not numpy.array_equal(one.labels, other.labels)


@pytest.mark.network
def test_places_and_ids_tell_nothing_in_the_prepared_data(preparer: Preparer, source: Path) -> None:
    """Neither the order of the rows to predict nor their ids goes with labels or splits."""
    output, _, _ = preparer.run(source)
    require_no_pattern(read_trees(output))


@pytest.mark.network
def test_a_broken_off_preparation_goes_on(preparer: Preparer, source: Path) -> None:
    """Killed after the training pictures were decoded, it takes them from the partial folder and yields whole trees."""
    output, process = preparer.start(source)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"train: {TRAIN_ROWS} pictures decoded"):
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not output.joinpath("judge", "test.csv").exists()
    again, text, status = preparer.run(source)
    assert status == 0, text
    assert f"train: {TRAIN_ROWS} pictures were decoded by an earlier attempt" in text
    fresh, _, _ = preparer.run(source)
    assert len(read_trees(again).identifiers) == len(read_trees(fresh).identifiers)
    assert numpy.array_equal(read_trees(again).train_images, read_trees(fresh).train_images)


@pytest.mark.network
def test_what_is_kept_of_another_copy_is_not_taken(
    task: ImageTask, preparer: Preparer, preparing_python: Path, source: Path, tmp_path: Path
) -> None:
    """A second copy, prepared with the partial folder of the first, yields its own rows."""
    other = copy_of(task, preparing_python, tmp_path / "other", 300, 100)
    preparer.run(source)
    output, text, status = preparer.run(other)
    assert status == 0 and "earlier attempt" not in text
    assert int(read_trees(output).is_test.sum()) == 100


@pytest.mark.network
def test_a_copy_that_is_not_whole_is_refused(task: ImageTask, preparer: Preparer, source: Path, tmp_path: Path) -> None:
    """Other sizes, other columns and folders without Parquet files end with a message and no trees."""
    empty = tmp_path / "empty"
    empty.mkdir()
    missing_split = tmp_path / "train-only"
    missing_split.mkdir()
    name = "train-00000-of-00001.parquet"
    missing_split.joinpath(name).write_bytes(source.joinpath("plain_text", name).read_bytes())
    for folder, shown in (
        (source, f"train: has {TRAIN_ROWS} rows, expected {task.rows[0]}"),
        (empty, "expected a folder with the Parquet files"),
        (tmp_path / "nowhere", "expected a folder with the Parquet files"),
        (missing_split, "expected train and test"),
    ):
        output, text, status = preparer.run(folder, options=())
        assert status != 0 and shown in text, text
        assert not list(output.iterdir())


@pytest.mark.network
def test_another_repository_is_refused(preparer: Preparer, preparing_python: Path, tmp_path: Path) -> None:
    """A copy whose pictures have another column name or size is refused by name."""
    odd = ImageTask(name="odd", shape=(20, 20), image="picture", mode="L", rows=(0, 0))
    _, text, status = preparer.run(copy_of(odd, preparing_python, tmp_path / "odd", 100, 50))
    assert status != 0 and "has the columns picture, label, expected" in text


@pytest.mark.network
def test_pictures_of_another_size_are_refused(
    task: ImageTask, preparer: Preparer, preparing_python: Path, tmp_path: Path
) -> None:
    """A picture of another size is told with its row."""
    odd = ImageTask(name="odd", shape=(20, 20), image=task.image, mode=task.mode, rows=(0, 0))
    _, text, status = preparer.run(copy_of(odd, preparing_python, tmp_path / "odd", 100, 50))
    assert status != 0 and "train, row 0: a picture of (20, 20" in text


@pytest.mark.network
def test_the_command_prepares_a_copy_of_full_size(task: ImageTask, preparing_python: Path, tmp_path: Path) -> None:
    """`mlgym-lite prepare TASK --source FOLDER` fills the data folder, offline, and a second run finds it complete."""
    copy = copy_of(task, preparing_python, tmp_path / "copy", *task.rows)
    environment = os.environ | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    cache = preparing_python.parents[3]
    program = (
        "import sys, os, pathlib\n"
        "from mlgym_lite.config.places import Places\n"
        "from mlgym_lite.config.task_file import load_task\n"
        "from mlgym_lite.episode.data_preparation import prepare_full_data\n"
        "cache, data, name, source = sys.argv[1:]\n"
        "places = Places(cache=pathlib.Path(cache), data=pathlib.Path(data))\n"
        "prepare_full_data(load_task(name), places, os.environ, pathlib.Path(source) if source else None, print)\n"
    )
    for given_source, shown in ((str(copy), "rows to learn from"), ("", "is complete")):
        words = [str(cache), str(tmp_path / "data"), str(task.folder), given_source]
        done = subprocess.run([sys.executable, "-c", program, *words], env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and shown in done.stdout, done.stdout + done.stderr
    folder = tmp_path / "data" / task.name
    trees = read_trees(folder)
    assert trees.train_images.shape == (task.rows[0] - 5_000, *task.shape) and len(trees.images) == 15_000
    assert numpy.bincount(trees.labels[~trees.is_test]).tolist() == [500] * 10
    require_no_pattern(trees)
