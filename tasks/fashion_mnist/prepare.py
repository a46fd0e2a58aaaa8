"""Splits the Fashion-MNIST pictures into what the agent sees and what only the judge sees.

Run as `prepare.py OUTPUT [SOURCE]` with OUTPUT an existing folder. SOURCE is a local copy of the Hugging Face repository
zalando-datasets/fashion_mnist (its Parquet files train-* and test-*, in any subfolder); without it the repository is
downloaded into Hugging Face's own cache, from which an interrupted download goes on. It writes

    OUTPUT/agent/train_images.npy   uint8, the pictures to learn from, in the order of the source
    OUTPUT/agent/train_labels.npy   uint8, their labels
    OUTPUT/agent/test_images.npy    uint8, the pictures to predict: development and test rows, mixed
    OUTPUT/agent/test_ids.txt       their ids, one a line
    OUTPUT/judge/dev.csv            id, label and row of the source, of the rows that a validation scores
    OUTPUT/judge/test.csv           the same of the rows that the submission is scored on

The test rows are the source's. The development rows are the same share of each class of the source's train split, the
same rows on every host, so that everybody learns from the same pictures. Order and ids of the rows to predict are drawn
afresh. Decoded pictures are kept in the folder that MLGYM_LITE_PARTIAL names until all is written.
"""

from __future__ import annotations

import argparse
import csv
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy

REPOSITORY = "zalando-datasets/fashion_mnist"
IMAGE = "image"
LABEL = "label"
MODE = "L"
SHAPE = (28, 28)
CLASSES = 10
ROWS = {"train": 60_000, "test": 10_000}
DEVELOPMENT_SHARE = 5_000 / ROWS["train"]
DEVELOPMENT_SEED = 7
BATCH_ROWS = 1_000
ID_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures and their labels, in the order of the source."""

    images: numpy.ndarray
    labels: numpy.ndarray


def prepare(output: Path, source: Path | None, partial: Path, *, any_size: bool) -> None:
    """Write the two trees into an existing folder."""
    splits = read_splits(source, partial)
    if not {"train", "test"} <= set(splits):
        raise SystemExit(f"the source has the splits {', '.join(splits)}, expected train and test")
    train, test = (decoded(splits[name], name, partial, any_size=any_size) for name in ("train", "test"))
    held_out = development_rows(train.labels)
    kept = numpy.setdiff1d(numpy.arange(len(train.labels)), held_out)
    agent, judge = output / "agent", output / "judge"
    agent.mkdir()
    judge.mkdir()
    numpy.save(agent / "train_images.npy", train.images[kept])
    numpy.save(agent / "train_labels.npy", train.labels[kept])

    asked = numpy.concatenate([train.images[held_out], test.images])
    identifiers = distinct_identifiers(len(asked))
    order = list(range(len(asked)))
    secrets.SystemRandom().shuffle(order)
    numpy.save(agent / "test_images.npy", asked[order])
    agent.joinpath("test_ids.txt").write_text("".join(f"{identifiers[at]}\n" for at in order), encoding="ascii")
    write_labels(judge / "dev.csv", identifiers[: len(held_out)], train.labels[held_out], held_out)
    write_labels(judge / "test.csv", identifiers[len(held_out) :], test.labels, numpy.arange(len(test.labels)))
    told(f"{len(kept)} rows to learn from, {len(held_out)} for development, {len(test.labels)} for the test")


def read_splits(source: Path | None, partial: Path) -> datasets.DatasetDict:
    """Return the source's splits; what the library makes of a local copy stays in the partial folder."""
    if source is None:
        told(f"loading {REPOSITORY}")
        return datasets.load_dataset(REPOSITORY)
    told(f"loading {source}")
    if not source.is_dir() or not any(source.rglob("*.parquet")):
        raise SystemExit(f"{source}: expected a folder with the Parquet files of {REPOSITORY} (train-*, test-*)")
    return datasets.load_dataset(str(source), cache_dir=str(partial / "datasets"))


def decoded(split: datasets.Dataset, name: str, partial: Path, *, any_size: bool) -> Pictures:
    """Return a split's pictures, from the partial folder where an earlier attempt has decoded them."""
    check(split, name, any_size=any_size)
    kept = partial / f"{name}-{split._fingerprint}.npz"
    if kept.exists():
        told(f"{name}: {split.num_rows} pictures were decoded by an earlier attempt")
        with numpy.load(kept) as arrays:
            return Pictures(images=arrays["images"], labels=arrays["labels"])
    images = numpy.empty((split.num_rows, *SHAPE), numpy.uint8)
    split = split.cast_column(IMAGE, datasets.Image(mode=MODE))
    for first in range(0, split.num_rows, BATCH_ROWS):
        for at, picture in enumerate(split[first : first + BATCH_ROWS][IMAGE], start=first):
            images[at] = pixels(picture, f"{name}, row {at}")
        if first % (10 * BATCH_ROWS) == 0:
            told(f"{name}: decoding from row {first} of {split.num_rows}")
    labels = numpy.asarray(split[LABEL][:], dtype=numpy.int64)
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise SystemExit(f"{name}: labels from {labels.min()} to {labels.max()}, expected 0 to {CLASSES - 1}")
    aside = partial / "decoded.part.npz"
    numpy.savez(aside, images=images, labels=labels.astype(numpy.uint8))
    os.replace(aside, kept)
    told(f"{name}: {split.num_rows} pictures decoded")
    return Pictures(images=images, labels=labels.astype(numpy.uint8))


def check(split: datasets.Dataset, name: str, *, any_size: bool) -> None:
    """Refuse a table that is not the one expected."""
    missing = {IMAGE, LABEL} - set(split.column_names)
    if missing:
        raise SystemExit(f"{name}: has the columns {', '.join(split.column_names)}, expected {IMAGE} and {LABEL}")
    if split.num_rows != ROWS[name] and not any_size:
        raise SystemExit(f"{name}: has {split.num_rows} rows, expected {ROWS[name]}; the copy of {REPOSITORY} is not whole")


def pixels(picture, place: str) -> numpy.ndarray:
    """Return a picture as an array."""
    values = numpy.asarray(picture)
    if values.shape != SHAPE or values.dtype != numpy.uint8:
        raise SystemExit(f"{place}: a picture of {values.shape}, expected {SHAPE}")
    return values


def development_rows(labels: numpy.ndarray) -> numpy.ndarray:
    """Return which rows of the train split are held out, in ascending order: as many of each class as its share."""
    generator = numpy.random.RandomState(DEVELOPMENT_SEED)
    drawn = []
    for label in range(CLASSES):
        rows = numpy.flatnonzero(labels == label)
        drawn.append(generator.permutation(rows)[: round(DEVELOPMENT_SHARE * len(rows))])
    return numpy.sort(numpy.concatenate(drawn))


def distinct_identifiers(count: int) -> list[str]:
    """Return so many different random ids."""
    identifiers: set[str] = set()
    while len(identifiers) < count:
        identifiers.add(secrets.token_hex(ID_BYTES))
    shuffled = sorted(identifiers)
    secrets.SystemRandom().shuffle(shuffled)
    return shuffled


def write_labels(path: Path, identifiers: list[str], labels: numpy.ndarray, rows: numpy.ndarray) -> None:
    """Write the labels of one split."""
    with path.open("w", encoding="ascii", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "label", "row"])
        writer.writerows(zip(identifiers, labels.tolist(), rows.tolist(), strict=True))


def told(line: str) -> None:
    """Show how far it has come."""
    print(line, flush=True)


def main() -> None:
    """Prepare as the command line says."""
    arguments = argparse.ArgumentParser(description="Split the pictures into what the agent and what the judge sees.")
    arguments.add_argument("output", type=Path, help="an existing folder")
    arguments.add_argument("source", type=Path, nargs="?", help=f"a local copy of {REPOSITORY}")
    arguments.add_argument("--any-size", action="store_true", help="take a copy with fewer rows, to try this program")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(os.environ.get("MLGYM_LITE_PARTIAL") or folder)
        prepare(given.output, given.source, partial, any_size=given.any_size)


if __name__ == "__main__":
    main()
