"""Compares the submitted labels with the hidden ones; no code of the agent runs.

The submission labels every picture to be predicted, and so never tells which are scored: a validation scores the
development rows, the submission the test rows. Rows are joined by id, never by their position. The file is the agent's:
whatever is wrong with it ends in a rejection that says where.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from mlgym_judge import Context, Rejected, harmless, run

IDENTIFIER = "id"
TARGET = "label"
LABELS = tuple("0123456789")
SUBMISSION = "submission.csv"
IDENTIFIERS = "test_ids.txt"
SIZE_LIMIT_BYTES = 4 * 1024 * 1024
SHOWN_CHARACTERS = 40


def grade(context: Context) -> dict[str, float]:
    """Return the share of the split's rows that are labelled rightly, its standard error and the number of rows."""
    labels = {split: read_labels(context.hidden / f"{split}.csv") for split in ("dev", "test")}
    predictions = read_predictions(context.submission / SUBMISSION)
    require_same_identifiers(set(predictions), {identifier for rows in labels.values() for identifier in rows})
    scored = labels[context.split]
    right = sum(predictions[identifier] == label for identifier, label in scored.items())
    accuracy = right / len(scored)
    return {
        "accuracy": accuracy,
        "standard_error": math.sqrt(accuracy * (1 - accuracy) / len(scored)),
        "rows": float(len(scored)),
    }


def read_labels(path: Path) -> dict[str, str]:
    """Return the hidden labels by id.

    Raises:
        ValueError: There are none, or one is not a label.
    """
    with path.open(encoding="ascii", newline="") as file:
        labels = {row[IDENTIFIER]: row[TARGET] for row in csv.DictReader(file)}
    if not labels or not set(labels.values()) <= set(LABELS):
        raise ValueError(f"{path} has no rows, or labels that are not digits")
    return labels


def read_predictions(path: Path) -> dict[str, str]:
    """Return the submitted labels by id.

    Raises:
        Rejected: The file is missing, too large, or not a table of two columns with a label in each row.
    """
    reader = csv.reader(io.StringIO(text_of(path), newline=""), strict=True)
    predictions: dict[str, str] = {}
    try:
        header = [name.strip() for name in next(reader, [])]
        if sorted(header) != sorted([IDENTIFIER, TARGET]):
            raise Rejected(f"{SUBMISSION}, line 1: the columns are {shown(','.join(header))}, expected id,label")
        for cells in filter(None, reader):
            place = f"{SUBMISSION}, line {reader.line_num}"
            if len(cells) != len(header):
                raise Rejected(f"{place}: {len(cells)} values, expected {len(header)}")
            row = dict(zip(header, cells, strict=True))
            add_prediction(predictions, row[IDENTIFIER].strip(), row[TARGET].strip(), place)
    except csv.Error as error:
        raise Rejected(f"{SUBMISSION}, line {reader.line_num}: not a CSV file: {error}") from None
    return predictions


def add_prediction(predictions: dict[str, str], identifier: str, label: str, place: str) -> None:
    """Add one line's prediction.

    Raises:
        Rejected: The id has been there before, or the label is none of the ten.
    """
    if identifier in predictions:
        raise Rejected(f"{place}, column {IDENTIFIER}: {shown(identifier)} is there twice")
    if label not in LABELS:
        raise Rejected(f"{place}, column {TARGET}: {shown(label)} is not one of the whole numbers from 0 to 9")
    predictions[identifier] = label


def text_of(path: Path) -> str:
    """Return the submission's text.

    Raises:
        Rejected: There is no such file, or it is too large or not UTF-8.
    """
    if not path.is_file():
        raise Rejected(f"{SUBMISSION} is missing; expected a CSV file with the columns id,label")
    size_bytes = path.stat().st_size
    if size_bytes > SIZE_LIMIT_BYTES:
        raise Rejected(f"{SUBMISSION} has {size_bytes} bytes; at most {SIZE_LIMIT_BYTES} are taken")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Rejected(f"{SUBMISSION} is not UTF-8: byte {error.start} cannot be read") from None


def require_same_identifiers(found: set[str], expected: set[str]) -> None:
    """Check that exactly the rows to be predicted are labelled.

    Raises:
        Rejected: Some are missing, or there are others; the agent has all ids, so naming them tells nothing.
    """
    missing, unknown = sorted(expected - found), sorted(found - expected)
    if missing:
        raise Rejected(f"{SUBMISSION}: {len(missing)} ids of {IDENTIFIERS} are missing, for example {shown(missing[0])}")
    if unknown:
        raise Rejected(f"{SUBMISSION}: {len(unknown)} ids are not in {IDENTIFIERS}, for example {shown(unknown[0])}")


def shown(text: str) -> str:
    """Return a piece of the submission in a form that fits a message."""
    return repr(harmless(text[:SHOWN_CHARACTERS]))


if __name__ == "__main__":
    run(grade)
