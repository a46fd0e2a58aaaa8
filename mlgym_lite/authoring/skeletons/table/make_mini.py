"""Makes the data of the variant mini; called once on each host as make_mini.py OUTPUT. Standard library and numpy only.

OUTPUT/agent is what the agent sees in /data, OUTPUT/judge what only the grader sees. The rows to learn from are always the
same. The hidden ones are drawn afresh on each host, so that whoever has read this file still cannot know them.
"""

import csv
import random
import secrets
import sys
from pathlib import Path

SERVICES = {"express": 0.4, "standard": 1.0, "freight": 1.8}


def parcel(draw, name):
    """YOURS: draw one row. How the last column comes about is what there is to learn."""
    distance, weight, service = draw.uniform(10, 900), draw.uniform(0.2, 30), draw.choice(list(SERVICES))
    hours = 6 + 0.05 * SERVICES[service] * distance + (weight > 20) * 12 + draw.gauss(0, 2)
    return {
        "id": name,
        "distance": f"{distance:.0f}",
        "weight": f"{weight:.1f}",
        "service": service,
        "hours": f"{max(1.0, hours):.1f}",
    }


def write(path, rows, columns):
    """Write some columns of some rows."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def main(output):
    """Write both trees."""
    fixed, fresh = random.Random(1), secrets.SystemRandom()
    train = [parcel(fixed, f"t{number}") for number in range(400)]
    asked = [parcel(fresh, f"p{number}") for number in fresh.sample(range(100_000, 1_000_000), 600)]
    features = ["id", "distance", "weight", "service"]
    write(output / "agent" / "train.csv", train, [*features, "hours"])
    write(output / "agent" / "test.csv", asked, features)
    fresh.shuffle(asked)  # so that the order of test.csv does not tell which rows are scored when
    write(output / "judge" / "dev.csv", asked[:200], ["id", "hours"])
    write(output / "judge" / "test.csv", asked[200:], ["id", "hours"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
