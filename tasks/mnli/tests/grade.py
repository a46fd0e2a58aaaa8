"""Compares the submitted labels with the hidden ones; no code of the agent runs.

The submission labels every row of test.jsonl, and so never tells which rows are scored: a validation scores the
development rows, the submission the test rows. Rows are joined by id, never by their position. The file is the
agent's: whatever is wrong with it ends in a rejection that says where.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from mlgym_judge import Context, Rejected, harmless, run

COLUMNS = ("id", "label")
LABELS = ("0", "1", "2")
SUBMISSION = "predictions.csv"
SIZE_LIMIT_BYTES = 4 * 1024 * 1024
SHOWN_CHARACTERS = 40


def grade(context: Context) -> dict[str, float]:
    """Return the share of right labels in percent, with its standard error and the number of rows."""
    labels = {split: read_labels(context.hidden / f"{split}.csv") for split in ("dev", "test")}
    predictions = read_predictions(context.submission / SUBMISSION)
    require_same_identifiers(set(predictions), {identifier for rows in labels.values() for identifier in rows})
    scored = labels[context.split]
    right = sum(predictions[identifier] == label for identifier, label in scored.items()) / len(scored)
    return {
        "validation_accuracy": 100.0 * right,
        "validation_accuracy_standard_error": 100.0 * (right * (1.0 - right) / len(scored)) ** 0.5,
        "rows": float(len(scored)),
    }


def read_labels(path: Path) -> dict[str, str]:
    """Return the hidden labels by id."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["label"] for row in csv.DictReader(file)}


def read_predictions(path: Path) -> dict[str, str]:
    """Return the submitted labels by id.

    Raises:
        Rejected: The file is missing, too large, or not a table of two columns with a label in each row.
    """
    reader = csv.reader(io.StringIO(text_of(path), newline=""), strict=True)
    predictions: dict[str, str] = {}
    try:
        header = [name.strip() for name in next(reader, [])]
        if sorted(header) != sorted(COLUMNS):
            raise Rejected(f"{SUBMISSION}, line 1: the columns are {shown(','.join(header))}, expected id,label")
        for cells in filter(None, reader):
            place = f"{SUBMISSION}, line {reader.line_num}"
            if len(cells) != len(header):
                raise Rejected(f"{place}: {len(cells)} values, expected {len(header)}")
            row = dict(zip(header, cells, strict=True))
            add_prediction(predictions, row["id"].strip(), row["label"].strip(), place)
    except csv.Error as error:
        raise Rejected(f"{SUBMISSION}, line {reader.line_num}: not a CSV file: {error}") from None
    return predictions


def add_prediction(predictions: dict[str, str], identifier: str, label: str, place: str) -> None:
    """Add one line's prediction.

    Raises:
        Rejected: The id has been there before, or the label is none of the three.
    """
    if identifier in predictions:
        raise Rejected(f"{place}, column id: {shown(identifier)} is there twice")
    if label not in LABELS:
        raise Rejected(f"{place}, column label: {shown(label)} is no label, expected {', '.join(LABELS[:-1])} or {LABELS[-1]}")
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
    """Check that exactly the rows of test.jsonl are labelled.

    Raises:
        Rejected: Some are missing, or there are others; test.jsonl has all ids, so naming them tells nothing.
    """
    missing, unknown = sorted(expected - found), sorted(found - expected)
    if missing:
        raise Rejected(f"{SUBMISSION}: {len(missing)} ids of test.jsonl are missing, for example {shown(missing[0])}")
    if unknown:
        raise Rejected(f"{SUBMISSION}: {len(unknown)} ids are not in test.jsonl, for example {shown(unknown[0])}")


def shown(text: str) -> str:
    """Return a piece of the submission in a form that fits a message."""
    return repr(harmless(text[:SHOWN_CHARACTERS]))


if __name__ == "__main__":
    run(grade)
