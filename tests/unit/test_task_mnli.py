"""The MNLI task makes, splits, hides and grades its data as promised."""

from __future__ import annotations

import csv
import json
import math
import random
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from grading_harness import TASKS, Desk, grading_interpreter, module_at
from hypothesis import given, settings
from hypothesis import strategies as st

TASK = TASKS / "mnli"
mini: Any = module_at(TASK / "make_mini.py")
grader: Any = module_at(TASK / "tests" / "grade.py")

Row = dict[str, Any]


def rows_of(path: Path) -> list[Row]:
    """Return the rows of a file with one JSON object a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def labels_of(folder: Path) -> dict[str, dict[str, int]]:
    """Return the hidden labels of both splits, by id."""
    found = {}
    for split in ("dev", "test"):
        with folder.joinpath("judge", f"{split}.csv").open(encoding="utf-8", newline="") as file:
            found[split] = {row["id"]: int(row["label"]) for row in csv.DictReader(file)}
    return found


def pair_of(row: Row) -> tuple[str, str]:
    """Return what a row says."""
    return row["premise"], row["hypothesis"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mini data, made as the engine makes it."""
    folder = tmp_path_factory.mktemp("mini")
    subprocess.run([sys.executable, "-I", TASK / "make_mini.py", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that can import the grading files."""
    return grading_interpreter(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Hidden labels of six rows: two for development, four for the test."""
    folder = tmp_path / "hidden"
    folder.mkdir()
    folder.joinpath("dev.csv").write_text("id,label,row\na,0,1\nb,1,2\n", encoding="utf-8")
    folder.joinpath("test.csv").write_text("id,label,row\nc,0,1\nd,1,2\ne,2,3\nf,2,4\n", encoding="utf-8")
    return folder


@pytest.fixture
def desk(interpreter: Path, tmp_path: Path, small: Path) -> Desk:
    """Where submissions are graded."""
    return Desk(interpreter, tmp_path, TASK, small, "predictions.csv")


HONEST = "id,label\na,0\nb,0\nc,0\nd,1\ne,2\nf,0\n"


def test_a_grading_counts_the_rows_of_its_split(desk: Desk) -> None:
    """A validation scores the development rows, a submission the others, in percent with a standard error."""
    assert desk.grade(HONEST, split="dev").reward == {
        "validation_accuracy": 50.0,
        "validation_accuracy_standard_error": pytest.approx(100 * math.sqrt(0.25 / 2)),
        "rows": 2.0,
    }
    assert desk.grade(HONEST).reward == {
        "validation_accuracy": 75.0,
        "validation_accuracy_standard_error": pytest.approx(100 * math.sqrt(0.75 * 0.25 / 4)),
        "rows": 4.0,
    }


def test_rows_are_joined_by_their_ids(desk: Desk) -> None:
    """Order of rows and columns, a byte-order mark, line ends and empty lines make no difference."""
    header, *lines = HONEST.splitlines()
    random.Random(1).shuffle(lines)
    turned = ["label,id", *(",".join(reversed(line.split(","))) for line in lines)]
    for text in ("\n".join([header, *lines]), "\ufeff" + "\r\n".join(turned) + "\r\n\r\n"):
        assert desk.grade(text).reward == desk.grade(HONEST).reward


@pytest.mark.parametrize(
    ("submission", "shown"),
    [
        (None, "predictions.csv is missing"),
        ("", "line 1: the columns are '', expected id,label"),
        ("id,label,label\n", "line 1: the columns are 'id,label,label'"),
        ("label\n1\n", "line 1: the columns are 'label'"),
        ("id,label\n", "6 ids of test.jsonl are missing, for example 'a'"),
        (HONEST + "g,1\n", "1 ids are not in test.jsonl, for example 'g'"),
        (HONEST + "f,2\n", "line 8, column id: 'f' is there twice"),
        (HONEST.replace("a,0", "a,3"), "line 2, column label: '3' is no label, expected 0, 1 or 2"),
        (HONEST.replace("a,0", "a,NaN"), "line 2, column label: 'NaN' is no label"),
        (HONEST.replace("a,0", "a,0.0"), "line 2, column label: '0.0' is no label"),
        (HONEST.replace("a,0", "a,"), "line 2, column label: '' is no label"),
        (HONEST.replace("a,0", "a,\x1b[31m"), "line 2, column label: '\\\\x1b[31m' is no label"),
        (HONEST.replace("a,0", "a"), "line 2: 1 values, expected 2"),
        (HONEST.replace("a,0", 'a,"0'), "not a CSV file"),
        (HONEST.replace("a,0", "a," + "9" * 200_000), "not a CSV file"),
        (b"id,label\na,\xff\n", "not UTF-8: byte 11"),
        (b"id,label\n" + b"\n" * 4 * 1024 * 1024, "at most 4194304 are taken"),
        (b"id,label\na,\x00\n", "predictions.csv, line 2"),
    ],
)
def test_a_wrong_file_is_rejected_by_name(desk: Desk, submission: str | bytes | None, shown: str) -> None:
    """The agent is told the line, the column and what was expected."""
    verdict = desk.grade(submission)
    assert (verdict.status, verdict.reward) == (65, None), verdict.stderr
    assert verdict.rejection is not None and shown in verdict.rejection


@settings(max_examples=300, deadline=None)
@given(content=st.one_of(st.binary(max_size=80), st.text("id,label\n\"'abc012\r\t ", max_size=80).map(str.encode)))
def test_no_file_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever the bytes are, they are labels by id or a rejection."""
    path = tmp_path_factory.getbasetemp() / "predictions.csv"
    path.write_bytes(content)
    try:
        found = grader.read_predictions(path)
    except grader.Rejected:
        return
    assert set(found.values()) <= {"0", "1", "2"}


def test_missing_labels_are_the_graders_failure(desk: Desk, tmp_path: Path) -> None:
    """Where the engine gives no labels, the agent is not blamed."""
    verdict = desk.grade(HONEST, hidden=tmp_path)
    assert verdict.status not in (0, 65) and verdict.reward is None and verdict.rejection is None


def test_the_mini_data_has_the_promised_sizes_and_no_pair_twice(made: Path) -> None:
    """Rows, ids and labels fit together, and what is to be labelled is nowhere else."""
    train, asked, labels = rows_of(made / "agent" / "train.jsonl"), rows_of(made / "agent" / "test.jsonl"), labels_of(made)
    assert (len(train), len(asked), len(labels["dev"]), len(labels["test"])) == (24_000, 8_000, 2_000, 6_000)
    assert all(set(row) == {"id", "premise", "hypothesis"} for row in asked)
    assert {row["id"] for row in asked} == labels["dev"].keys() | labels["test"].keys()
    assert len({pair_of(row) for row in train + asked}) == 32_000
    assert sorted(path.name for path in made.joinpath("agent").iterdir()) == ["bert-mini", "test.jsonl", "train.jsonl"]


def test_labels_are_even_and_neither_order_nor_ids_tell_them(made: Path) -> None:
    """Each label has a third; the place in the file, the id and the neighbours say nothing about it."""
    asked, labels = rows_of(made / "agent" / "test.jsonl"), labels_of(made)
    known = labels["dev"] | labels["test"]
    by_place = [known[row["id"]] for row in asked]
    by_id = [known[name] for name in sorted(known)]
    noise = 5 * math.sqrt(2 / 9 / 8_000)
    for values in (by_place, by_id):
        assert all(abs(values.count(label) / 8_000 - 1 / 3) < noise for label in (0, 1, 2))
        assert abs(sum(values[at] == values[at - 1] for at in range(1, 8_000)) / 8_000 - 1 / 3) < noise
        halves = Counter(values[:4_000]), Counter(values[4_000:])
        assert all(abs(halves[0][label] - halves[1][label]) / 4_000 < 2 * noise for label in (0, 1, 2))
    in_dev = [row["id"] in labels["dev"] for row in asked]
    assert abs(sum(in_dev[:4_000]) / 2_000 - 0.5) < 0.06


def guesser(train: list[Row], parts: tuple[str, ...]) -> Any:
    """Return a naive Bayes on words and pairs of words of some parts of a row."""

    def features(row: Row) -> set[tuple[str, ...]]:
        words = {part: row[part].lower().rstrip(".").split() for part in parts}
        singles = {(part, word) for part in parts for word in words[part]}
        return singles | {(part, *two) for part in parts for two in zip(words[part], words[part][1:], strict=False)}

    counts = [Counter[tuple[str, ...]]() for _ in range(3)]
    for row in train:
        counts[row["label"]].update(features(row))

    def guess(row: Row) -> int:
        scores = [sum(math.log(count[feature] + 1) for feature in features(row)) for count in counts]
        return scores.index(max(scores))

    return guess


def test_the_hypothesis_alone_tells_nothing(made: Path) -> None:
    """A model of the hypothesis is at chance on hidden rows, and a bag of words of both sentences is weak."""
    train, labels = rows_of(made / "agent" / "train.jsonl"), labels_of(made)
    known = labels["dev"] | labels["test"]
    asked = rows_of(made / "agent" / "test.jsonl")
    for parts, most in ((("hypothesis",), 0.36), (("premise", "hypothesis"), 0.52)):
        guess = guesser(train, parts)
        assert sum(guess(row) == known[row["id"]] for row in asked) / len(asked) < most


def test_hidden_rows_are_drawn_afresh_and_training_rows_are_not(made: Path, tmp_path: Path) -> None:
    """Two hosts learn from the same rows and are asked about different ones, under different ids."""
    subprocess.run([sys.executable, "-I", TASK / "make_mini.py", tmp_path], check=True)
    train, again = (folder.joinpath("agent", "train.jsonl").read_bytes() for folder in (made, tmp_path))
    assert train == again
    first, second = (rows_of(folder / "agent" / "test.jsonl") for folder in (made, tmp_path))
    assert len({row["id"] for row in first} & {row["id"] for row in second}) < 10
    assert len({pair_of(row) for row in first} & {pair_of(row) for row in second}) < 2_000


def quantity(
    quantifier: str, noun: str, verb: str, *, number: int = 0, adjective: str | None = None, place: str | None = None
) -> Any:
    """Return a sentence about a quantity."""
    return mini.Quantity(quantifier, number, adjective, noun, verb, place)


@pytest.mark.parametrize(
    ("premise", "hypothesis", "label"),
    [
        (quantity("every", "dog", "racing"), quantity("every", "poodle", "moving"), 0),
        (quantity("every", "poodle", "racing"), quantity("every", "dog", "racing"), 1),
        (quantity("some", "poodle", "racing"), quantity("some", "dog", "moving"), 0),
        (quantity("no", "dog", "moving"), quantity("some", "poodle", "racing"), 2),
        (quantity("every", "dog", "racing"), quantity("some", "dog", "racing"), 0),
        (quantity("every", "dog", "racing"), quantity("no", "dog", "crawling"), 0),
        (quantity("every", "dog", "racing"), quantity("some", "owl", "racing"), 1),
        (quantity("exactly", "dog", "racing", number=2), quantity("at least", "animal", "moving", number=2), 0),
        (quantity("exactly", "dog", "racing", number=2), quantity("at most", "animal", "moving", number=2), 1),
        (quantity("at least", "dog", "racing", number=3), quantity("fewer than", "dog", "moving", number=3), 2),
        (quantity("some", "dog", "racing", place="in the hall"), quantity("some", "dog", "racing", place="indoors"), 0),
        (quantity("every", "dog", "racing", place="in the hall"), quantity("some", "dog", "racing", place="outdoors"), 2),
        (quantity("some", "dog", "racing", adjective="small"), quantity("every", "dog", "racing", adjective="big"), 1),
    ],
)
def test_quantities_mean_what_they_say(premise: Any, hypothesis: Any, label: int) -> None:
    """Kinds, numbers, places and opposites give the label a person would."""
    assert mini.Quantities().label(premise, hypothesis) == label, (premise.text(), hypothesis.text())


def deed(doer: str, target: str, *, strong: bool = False, denied: bool = False, passive: bool = False) -> Any:
    """Return a sentence about following (weak) or chasing (strong)."""
    return mini.Deed("track", strong, doer, target, denied, passive)


@pytest.mark.parametrize(
    ("premise", "hypothesis", "label"),
    [
        (deed("Anna", "Ben", strong=True), deed("Anna", "Ben", passive=True), 0),
        (deed("Anna", "Ben"), deed("Anna", "Ben", strong=True), 1),
        (deed("Anna", "Ben"), deed("Ben", "Anna"), 1),
        (deed("Anna", "Ben", denied=True), deed("Anna", "Ben", strong=True), 2),
        (deed("Anna", "Ben", strong=True), deed("nobody", "Ben"), 2),
        (deed("Anna", "Ben"), deed("somebody", "Ben"), 0),
        (deed("Anna", "everybody"), deed("Anna", "Carl"), 0),
        (deed("Anna", "somebody", denied=True), deed("Anna", "Ben", strong=True), 2),
        (deed("Anna", "everybody", denied=True), deed("Anna", "Ben"), 1),
    ],
)
def test_deeds_mean_what_they_say(premise: Any, hypothesis: Any, label: int) -> None:
    """Roles, the passive, denials and quantified people give the label a person would."""
    assert mini.Deeds().label(premise, hypothesis) == label, (premise.text(), hypothesis.text())


def compared(*parts: tuple[str, str, str, bool]) -> Any:
    """Return a comparison."""
    return mini.Comparison(parts)


@pytest.mark.parametrize(
    ("premise", "hypothesis", "label"),
    [
        (compared(("A", "taller", "B", False)), compared(("B", "shorter", "A", False)), 0),
        (compared(("A", "taller", "B", False)), compared(("B", "taller", "A", False)), 2),
        (compared(("A", "taller", "B", False), ("B", "taller", "C", False)), compared(("A", "taller", "C", False)), 0),
        (compared(("A", "taller", "B", False), ("C", "taller", "B", False)), compared(("A", "taller", "C", False)), 1),
        (compared(("A", "taller", "B", True)), compared(("A", "shorter", "B", False)), 1),
        (compared(("A", "as tall as", "B", False)), compared(("A", "taller", "B", True)), 0),
    ],
)
def test_comparisons_mean_what_they_say(premise: Any, hypothesis: Any, label: int) -> None:
    """Opposites, chains, ties and denials give the label a person would."""
    assert mini.Comparisons().label(premise, hypothesis) == label


def test_quantities_agree_with_counting_out_every_small_world() -> None:
    """The labels are those of an exhaustive search through things that are or are not dogs, poodles, moving and racing."""
    things = [(noun, verb) for noun in ("dog", "poodle", "owl") for verb in ("moving", "racing", "waiting")]
    quantifiers = [(name, 0) for name in mini.QUANTIFIERS] + [(name, 2) for name in mini.COUNTS]

    def counts(world: tuple[int, ...], noun: str, verb: str) -> tuple[int, int]:
        kinds = {"dog": ("dog", "poodle"), "poodle": ("poodle",)}[noun]
        ways = {"moving": ("moving", "racing"), "racing": ("racing",)}[verb]
        chosen = [(amount, does in ways) for amount, (thing, does) in zip(world, things, strict=True) if thing in kinds]
        return sum(amount for amount, does in chosen if does), sum(amount for amount, does in chosen if not does)

    worlds = [(*world, 0, 0, 0) for world in product(range(4), repeat=6)]
    kinds = list(product(("dog", "poodle"), ("moving", "racing")))
    cases = {kind: [counts(world, *kind) for world in worlds] for kind in kinds}
    draw = random.Random(1)
    for _ in range(60):
        one, other = (
            (draw.choice(quantifiers), draw.choice(("dog", "poodle")), draw.choice(("moving", "racing"))) for _ in range(2)
        )
        first, second = (quantity(name, noun, verb, number=number) for (name, number), noun, verb in (one, other))
        outcomes = {
            second.holds(*there)
            for here, there in zip(cases[one[1:]], cases[other[1:]], strict=True)
            if sum(here) and sum(there) and first.holds(*here)
        }
        expected = {frozenset({True}): 0, frozenset({False}): 2}.get(frozenset(outcomes), 1)
        assert mini.Quantities().label(first, second) == expected, (first.text(), second.text())
