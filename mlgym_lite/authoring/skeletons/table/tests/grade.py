"""Scores predictions.csv; runs where the agent cannot reach. No code of the agent runs here, and none may be imported.

The file is the agent's: whatever is wrong with it is a `Rejected`, whose words the agent is shown. Any other exception
means that this grader is broken.
"""

import csv
import io
import math

from mlgym_judge import Rejected, run

SUBMISSION = "predictions.csv"
LARGEST_BYTES = 1_000_000


def grade(context):
    """YOURS: return the numbers of this grading; `context.split` is "dev" for validate and "test" for submit."""
    hidden = {split: labels(context.hidden / f"{split}.csv") for split in ("dev", "test")}
    predicted = predictions(context.submission / SUBMISSION)
    if predicted.keys() != hidden["dev"].keys() | hidden["test"].keys():
        raise Rejected(f"{SUBMISSION}: expected each id of /data/test.csv, and no other")
    scored = hidden[context.split]
    errors = [abs(predicted[name] - hours) for name, hours in scored.items()]
    return {"mean_absolute_error": math.fsum(errors) / len(errors), "rows": len(errors)}


def labels(path):
    """Return the hidden numbers by id."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: float(row["hours"]) for row in csv.DictReader(file)}


def predictions(path):
    """Return the submitted numbers by id, or reject the file."""
    if not path.is_file():
        raise Rejected(f"{SUBMISSION} is missing")
    if path.stat().st_size > LARGEST_BYTES:
        raise Rejected(f"{SUBMISSION} is larger than {LARGEST_BYTES} bytes")
    try:
        rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Rejected(f"{SUBMISSION} is no CSV file in UTF-8: {error}") from None
    if not rows or rows[0] != ["id", "hours"]:
        raise Rejected(f"{SUBMISSION}, line 1: expected id,hours")
    found = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != 2 or row[0] in found:
            raise Rejected(f"{SUBMISSION}, row {number}: expected an id, once, and a number")
        found[row[0]] = number_of(row[1], number)
    return found


def number_of(text, number):
    """Return a finite number, or reject it: NaN and infinity would turn sums into nonsense."""
    try:
        value = float(text)
    except ValueError:
        raise Rejected(f"{SUBMISSION}, row {number}: {text[:40]!r} is not a number") from None
    if not abs(value) < 1e9:
        raise Rejected(f"{SUBMISSION}, row {number}: {text[:40]!r} is out of range")
    return value


if __name__ == "__main__":
    run(grade)
