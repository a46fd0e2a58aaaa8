"""Splits the Kaggle house-price table into what the agent sees and what only the judge sees.

Run as `prepare.py OUTPUT_DIR SOURCE`, where SOURCE is the `train.csv` of Kaggle's "House Prices: Advanced Regression
Techniques" and OUTPUT_DIR an existing folder. It writes

    OUTPUT_DIR/agent/train.csv   the labelled rows to learn from
    OUTPUT_DIR/agent/test.csv    the rows to predict, without SalePrice: development and test rows, in the order of Id
    OUTPUT_DIR/judge/dev.csv     Id and SalePrice of the rows that a validation scores
    OUTPUT_DIR/judge/test.csv    Id and SalePrice of the rows that the submission is scored on

The split is the one of the published scores: a fifth for the test, then an eighth of the rest for development, each
as scikit-learn's train_test_split draws it with random state 42. The values stay the text they were.
"""

from __future__ import annotations

import csv
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy

IDENTIFIER = "Id"
TARGET = "SalePrice"
TEST_SHARE = 0.2
DEVELOPMENT_SHARE_OF_REST = 0.125
RANDOM_STATE = 42

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Split:
    """The rows' positions, by what they are for."""

    train: list[int]
    development: list[int]
    test: list[int]


def prepare(output: Path, source: Path) -> None:
    """Write the two trees into an existing folder."""
    rows = read_rows(source)
    split = split_positions(len(rows))
    columns = list(rows[0])
    features = [column for column in columns if column != TARGET]
    asked = sorted((rows[at] for at in split.development + split.test), key=lambda row: int(row[IDENTIFIER]))
    write_rows(output / "agent" / "train.csv", columns, [rows[at] for at in split.train])
    write_rows(output / "agent" / "test.csv", features, asked)
    write_rows(output / "judge" / "dev.csv", [IDENTIFIER, TARGET], [rows[at] for at in split.development])
    write_rows(output / "judge" / "test.csv", [IDENTIFIER, TARGET], [rows[at] for at in split.test])


def read_rows(source: Path) -> list[Row]:
    """Return the table's rows, by column.

    Raises:
        ValueError: The table has no Id or no SalePrice, or a row does not fit the header.
    """
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
        columns = reader.fieldnames or []
    for wanted in (IDENTIFIER, TARGET):
        if wanted not in columns:
            raise ValueError(f"{source} has no column {wanted}: expected the train.csv of Kaggle's House Prices")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ValueError(f"{source}, row {number}: expected {len(columns)} values, as the header has")
    return rows


def split_positions(count: int) -> Split:
    """Return which rows are for what, as two calls of scikit-learn's train_test_split would."""
    rest, test = drawn_apart(list(range(count)), TEST_SHARE)
    train, development = drawn_apart(rest, DEVELOPMENT_SHARE_OF_REST)
    return Split(train=train, development=development, test=test)


def drawn_apart(positions: list[int], share: float) -> tuple[list[int], list[int]]:
    """Return what is left, and the share of the positions that is drawn at random, rounded up."""
    order = numpy.random.RandomState(RANDOM_STATE).permutation(len(positions))
    shuffled = [positions[at] for at in order]
    drawn = math.ceil(share * len(positions))
    return shuffled[drawn:], shuffled[:drawn]


def write_rows(path: Path, columns: list[str], rows: list[Row]) -> None:
    """Write some columns of some rows."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: prepare.py OUTPUT_DIR SOURCE, where SOURCE is the train.csv of Kaggle's House Prices")
    prepare(Path(sys.argv[1]), Path(sys.argv[2]))
