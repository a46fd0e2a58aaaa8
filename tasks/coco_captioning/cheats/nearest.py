"""What cheats start from: every picture with the captions of the training picture nearest to it, and the twenty surest."""

import csv
import json
import os
from pathlib import Path

import numpy

DATA = Path(os.environ.get("MLGYM_LITE_ROOT", "") + "/data")
names = [json.loads(line)["image_id"] for line in (DATA / "test.jsonl").read_text().splitlines()]
train = [json.loads(line)["captions"] for line in (DATA / "train.jsonl").read_text().splitlines()]


def write(rows, header=("image_id", "caption")):
    with open("submission.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def outlines(part):
    pictures = numpy.load(DATA / f"{part}.npy").astype(numpy.float32)
    pictures -= numpy.median(pictures, axis=(1, 2), keepdims=True)
    pictures *= numpy.abs(pictures).max(-1, keepdims=True) > 45
    return pictures.reshape(len(pictures), 16, 2, 16, 2, 3).mean((2, 4)).reshape(len(pictures), -1)


known, asked = outlines("train"), outlines("test")
distances = (asked**2).sum(1)[:, None] - 2 * asked @ known.T + (known**2).sum(1)
nearest = distances.argmin(1)
surest = numpy.argsort(distances.min(1) / (asked**2).sum(1))[:20]
captions = {names[at]: train[nearest[at]] for at in range(len(names))}
