"""Splits MultiNLI into what the agent sees and what only the judge sees, and puts BERT beside it.

Run as `prepare.py OUTPUT_DIR [SOURCE]`. Without SOURCE, nyu-mll/multi_nli and google-bert/bert-base-uncased are downloaded
from the Hugging Face hub. SOURCE is a folder that holds the same: `data/*.parquet` and `bert-base-uncased/`. It writes

    OUTPUT_DIR/agent/train.jsonl          labelled pairs: premise, hypothesis, label
    OUTPUT_DIR/agent/test.jsonl           pairs to label: id, premise, hypothesis; development and test rows mixed
    OUTPUT_DIR/agent/bert-base-uncased/   configuration, tokenizer and weights
    OUTPUT_DIR/judge/dev.csv              id, label and row in the split `train` of what a validation scores
    OUTPUT_DIR/judge/test.csv             id, label and row in `validation_matched` of what the submission is scored on

The test rows are the whole split `validation_matched`. About as many development rows are taken out of `train`, all rows
of a premise together: a premise mostly comes with one hypothesis for each label, so what stayed behind would tell the label
of what was taken. Order and ids of the rows to label are random, and a pair that is to be labelled is not in train.jsonl.
Downloads lie in MLGYM_LITE_PARTIAL until all is written, so that a preparation that broke off continues where it was.
"""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet

DATASET = "nyu-mll/multi_nli"
ENCODER = "google-bert/bert-base-uncased"
ENCODER_FOLDER = "bert-base-uncased"
ENCODER_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "model.safetensors")
REQUIRED_ENCODER_FILES = ("config.json", "vocab.txt", "model.safetensors")
SPLITS = {"train": 392_702, "validation_matched": 9_815}
"""The splits that are used, and how many rows the published ones have."""
LABELS = (0, 1, 2)
DRAW = secrets.SystemRandom()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One pair of sentences, with its place in its split."""

    at: int
    premise: str
    hypothesis: str
    label: int

    @property
    def pair(self) -> tuple[str, str]:
        """What makes it the same as another: the words, without regard to case and spaces."""
        return " ".join(self.premise.split()).casefold(), " ".join(self.hypothesis.split()).casefold()


def prepare(output: Path, source: Path) -> None:
    """Write the two trees into an existing folder."""
    train, test = rows_of(source, "train"), rows_of(source, "validation_matched")
    development, rest = held_out(train, {row.pair for row in test}, len(test))
    asked_pairs = {row.pair for row in test + development}
    kept = [row for row in rest if row.pair not in asked_pairs]
    if not kept or not development:
        raise ValueError(f"{source}: too few rows in train")
    print(f"{len(kept)} pairs to learn from; {len(rest) - len(kept)} more were also to be labelled and are left out", flush=True)
    asked = [(new_id, row) for new_id, row in zip(random_ids(len(test + development)), test + development, strict=True)]
    agent, judge = output / "agent", output / "judge"
    agent.mkdir()
    judge.mkdir()
    write_labels(judge / "test.csv", asked[: len(test)])
    write_labels(judge / "dev.csv", asked[len(test) :])
    DRAW.shuffle(asked)
    write_rows(agent / "test.jsonl", [{"id": new_id, **sentences(row)} for new_id, row in asked])
    write_rows(agent / "train.jsonl", [{**sentences(row), "label": row.label} for row in kept])
    copy_encoder(source / ENCODER_FOLDER, agent / ENCODER_FOLDER)
    print(f"{len(development)} development and {len(test)} test pairs to label", flush=True)


def rows_of(source: Path, split: str) -> list[Row]:
    """Return the rows of one split that have a label.

    Raises:
        ValueError: There are no files of the split, or they are not a table of premise, hypothesis and label.
    """
    files = sorted(source.joinpath("data").glob(f"{split}-*.parquet"))
    if not files:
        raise ValueError(f"{source}: no data/{split}-*.parquet; expected a copy of https://huggingface.co/datasets/{DATASET}")
    rows: list[Row] = []
    for file in files:
        rows += read_rows(file, len(rows))
    labelled = [row for row in rows if row.label in LABELS]
    counts = Counter(row.label for row in labelled)
    if set(counts) != set(LABELS):
        raise ValueError(f"{source}: the labels of {split} are {sorted(counts)}, expected {list(LABELS)}")
    note = "" if len(rows) == SPLITS[split] else f" (the published split has {SPLITS[split]})"
    print(f"{split}: {len(labelled)} labelled rows{note}", flush=True)
    return labelled


def read_rows(file: Path, start: int) -> list[Row]:
    """Return a file's rows, counted from `start`."""
    columns = ("premise", "hypothesis", "label")
    try:
        table: dict[str, list[Any]] = pyarrow.parquet.read_table(file, columns=list(columns)).to_pydict()
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: no parquet table with {', '.join(columns)}: {error}") from None
    if set(table) != set(columns):
        raise ValueError(f"{file}: has no {', '.join(sorted(set(columns) - set(table)))}")
    return [
        Row(at=at, premise=premise, hypothesis=hypothesis, label=label)
        for at, (premise, hypothesis, label) in enumerate(zip(*(table[name] for name in columns), strict=True), start=start)
    ]


def held_out(train: list[Row], taken: set[tuple[str, str]], wanted: int) -> tuple[list[Row], list[Row]]:
    """Return about so many development rows, in the label shares of the whole, and the rest of the rows.

    Whole premises are drawn until there are enough, a tenth of the rows at most. A row that would tell the answer to
    another one that is to be labelled is in neither.
    """
    by_premise: dict[str, list[Row]] = {}
    for row in train:
        by_premise.setdefault(row.pair[0], []).append(row)
    premises = list(by_premise)
    DRAW.shuffle(premises)
    shares = Counter(row.label for row in train)
    room = {label: round(min(wanted, len(train) // 10) * shares[label] / len(train)) for label in LABELS}
    development: list[Row] = []
    for premise in premises:
        rows = [row for row in by_premise[premise] if row.pair not in taken]
        needed = Counter(row.label for row in rows)
        if rows and len({row.pair for row in rows}) == len(rows) and all(needed[label] <= room[label] for label in LABELS):
            development += rows
            room = {label: room[label] - needed[label] for label in LABELS}
            del by_premise[premise]
    return development, sorted((row for rows in by_premise.values() for row in rows), key=lambda row: row.at)


def random_ids(count: int) -> list[str]:
    """Return so many different ids that tell nothing."""
    ids: set[str] = set()
    while len(ids) < count:
        ids.add(secrets.token_hex(5))
    return DRAW.sample(sorted(ids), count)


def sentences(row: Row) -> dict[str, str]:
    """Return what everybody may see of a row."""
    return {"premise": row.premise, "hypothesis": row.hypothesis}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_labels(path: Path, asked: list[tuple[str, Row]]) -> None:
    """Write what only the judge sees, by id."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "label", "row"])
        writer.writerows(sorted((new_id, row.label, row.at) for new_id, row in asked))


def copy_encoder(source: Path, target: Path) -> None:
    """Copy a BERT's files.

    Raises:
        ValueError: One that is needed is not there.
    """
    missing = [name for name in REQUIRED_ENCODER_FILES if not (source / name).is_file()]
    if missing:
        raise ValueError(f"{source}: {', '.join(missing)} missing; expected a copy of https://huggingface.co/{ENCODER}")
    target.mkdir()
    for name in ENCODER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def downloaded(folder: Path) -> Path:
    """Download both repositories into a folder, as far as they are not there, and return it."""
    from huggingface_hub import snapshot_download

    patterns = [f"data/{split}-*.parquet" for split in SPLITS]
    print(f"downloading {DATASET}", flush=True)
    snapshot_download(DATASET, repo_type="dataset", allow_patterns=patterns, local_dir=folder)
    print(f"downloading {ENCODER}", flush=True)
    snapshot_download(ENCODER, allow_patterns=list(ENCODER_FILES), local_dir=folder / ENCODER_FOLDER)
    return folder


def main() -> None:
    """Run as the engine does."""
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: prepare.py OUTPUT_DIR [SOURCE], where SOURCE holds data/*.parquet and bert-base-uncased/")
    output = Path(sys.argv[1])
    source = Path(sys.argv[2]) if len(sys.argv) == 3 else None
    try:
        prepare(output, source or downloaded(Path(os.environ["MLGYM_LITE_PARTIAL"]) / "download"))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
