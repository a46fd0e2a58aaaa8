"""Compares the submitted prices with the hidden ones; no code of the agent runs.

The submission predicts every row of test.csv, and so never tells which rows are scored: a validation scores the
development rows, the submission the test rows. Rows are joined by Id, never by their position. The file is the
agent's: whatever is wrong with it ends in a rejection that says where.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from mlgym_judge import Context, Rejected, harmless, run

IDENTIFIER = "Id"
TARGET = "SalePrice"
SUBMISSION = "submission.csv"
SIZE_LIMIT_BYTES = 1024 * 1024
LARGEST_PREDICTION = 1e12
SHOWN_CHARACTERS = 40


def grade(context: Context) -> dict[str, float]:
    """Return r2 and rmse of the split's rows."""
    labels = {split: read_labels(context.hidden / f"{split}.csv") for split in ("dev", "test")}
    predictions = read_predictions(context.submission / SUBMISSION)
    require_same_identifiers(set(predictions), {identifier for rows in labels.values() for identifier in rows})
    scored = labels[context.split]
    return scores(list(scored.values()), [predictions[identifier] for identifier in scored])


def read_labels(path: Path) -> dict[str, float]:
    """Return the hidden prices by Id."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row[IDENTIFIER]: float(row[TARGET]) for row in csv.DictReader(file)}


def read_predictions(path: Path) -> dict[str, float]:
    """Return the submitted prices by Id.

    Raises:
        Rejected: The file is missing, too large, or not a table of two columns with a finite number in each row.
    """
    reader = csv.reader(io.StringIO(text_of(path), newline=""), strict=True)
    predictions: dict[str, float] = {}
    try:
        header = [name.strip() for name in next(reader, [])]
        if sorted(header) != sorted([IDENTIFIER, TARGET]):
            raise Rejected(f"{SUBMISSION}, line 1: the columns are {shown(','.join(header))}, expected Id,SalePrice")
        for cells in filter(None, reader):
            place = f"{SUBMISSION}, line {reader.line_num}"
            if len(cells) != len(header):
                raise Rejected(f"{place}: {len(cells)} values, expected {len(header)}")
            row = dict(zip(header, cells, strict=True))
            add_prediction(predictions, row[IDENTIFIER].strip(), row[TARGET].strip(), place)
    except csv.Error as error:
        raise Rejected(f"{SUBMISSION}, line {reader.line_num}: not a CSV file: {error}") from None
    return predictions


def add_prediction(predictions: dict[str, float], identifier: str, text: str, place: str) -> None:
    """Add one line's prediction.

    Raises:
        Rejected: The Id has been there before, or the price is not a number that a price could be.
    """
    if identifier in predictions:
        raise Rejected(f"{place}, column {IDENTIFIER}: {shown(identifier)} is there twice")
    try:
        price = float(text)
    except ValueError:
        raise Rejected(f"{place}, column {TARGET}: {shown(text)} is not a number") from None
    if not abs(price) <= LARGEST_PREDICTION:
        raise Rejected(
            f"{place}, column {TARGET}: {shown(text)} is not a finite number between "
            f"-{LARGEST_PREDICTION:g} and {LARGEST_PREDICTION:g}"
        )
    predictions[identifier] = price


def text_of(path: Path) -> str:
    """Return the submission's text.

    Raises:
        Rejected: There is no such file, or it is too large or not UTF-8.
    """
    if not path.is_file():
        raise Rejected(f"{SUBMISSION} is missing; expected a CSV file with the columns Id,SalePrice")
    size_bytes = path.stat().st_size
    if size_bytes > SIZE_LIMIT_BYTES:
        raise Rejected(f"{SUBMISSION} has {size_bytes} bytes; at most {SIZE_LIMIT_BYTES} are taken")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Rejected(f"{SUBMISSION} is not UTF-8: byte {error.start} cannot be read") from None


def require_same_identifiers(found: set[str], expected: set[str]) -> None:
    """Check that exactly the rows of test.csv are predicted.

    Raises:
        Rejected: Some are missing, or there are others; test.csv has all ids, so naming them tells nothing.
    """
    missing, unknown = sorted(expected - found), sorted(found - expected)
    if missing:
        raise Rejected(f"{SUBMISSION}: {len(missing)} ids of test.csv are missing, for example {shown(missing[0])}")
    if unknown:
        raise Rejected(f"{SUBMISSION}: {len(unknown)} ids are not in test.csv, for example {shown(unknown[0])}")


def scores(truths: list[float], predictions: list[float]) -> dict[str, float]:
    """Return the coefficient of determination and the root of the mean squared error."""
    mean = math.fsum(truths) / len(truths)
    squared_errors = math.fsum((truth - guess) ** 2 for truth, guess in zip(truths, predictions, strict=True))
    spread = math.fsum((truth - mean) ** 2 for truth in truths)
    return {"r2": 1.0 - squared_errors / spread, "rmse": math.sqrt(squared_errors / len(truths))}


def shown(text: str) -> str:
    """Return a piece of the submission in a form that fits a message."""
    return repr(harmless(text[:SHOWN_CHARACTERS]))


if __name__ == "__main__":
    run(grade)
