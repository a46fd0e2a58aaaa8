"""The baseline: a line through distance and hours. YOURS: what lies in environment/ is what the agent starts from."""

import csv
import os
import statistics

DATA = os.environ.get("MLGYM_LITE_ROOT", "") + "/data"  # always write it so: some sandboxes lie below another folder


def rows_of(name):
    """Return a table's rows."""
    with open(f"{DATA}/{name}", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


train = rows_of("train.csv")
line = statistics.linear_regression([float(row["distance"]) for row in train], [float(row["hours"]) for row in train])
with open("predictions.csv", "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "hours"])
    for row in rows_of("test.csv"):
        writer.writerow([row["id"], line.slope * float(row["distance"]) + line.intercept])
