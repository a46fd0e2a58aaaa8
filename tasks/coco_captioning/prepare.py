"""Puts COCO's photographs and captions in place: `prepare.py OUTPUT [SOURCE]`.

Without SOURCE the Karpathy split is loaded from the Hugging Face hub, with ResNet-50's weights. SOURCE may be a folder of
the same repositories (COCO_captions_train, COCO_captions_validation, COCO_captions_test), one as MLGym has it
(train/ val/ test/ with train_images.parquet, val_images.parquet and test_images.parquet), or COCO's own
(train2014/ val2014/ annotations/captions_train2014.json and captions_val2014.json, of which val2014 is halved into
development and test); then the weights are SOURCE/weights/*.safetensors, if there. It writes

    OUTPUT/agent/train.jsonl, train/   image_id and captions; IMAGE_ID.jpg
    OUTPUT/agent/test.jsonl, test/     image_id of development and test rows, mixed; IMAGE_ID.jpg
    OUTPUT/agent/weights/resnet50.safetensors
    OUTPUT/judge/dev.jsonl, test.jsonl image_id and captions
    OUTPUT/judge/key                   the secret that ids are made with

Ids are keyed hashes of the photographs' names, so that no original id tells a caption, and rows come in their order.
Photographs are made smaller and encoded anew without their metadata. What is done is kept in MLGYM_LITE_PARTIAL.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import secrets
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import datasets
import pyarrow.parquet
from PIL import Image

REPOSITORIES = {
    "train": "Multimodal-Fatima/COCO_captions_train",
    "dev": "Multimodal-Fatima/COCO_captions_validation",
    "test": "Multimodal-Fatima/COCO_captions_test",
}
WEIGHTS_REPOSITORY, WEIGHTS_FILE = "timm/resnet50.tv_in1k", "model.safetensors"
SHORTER_SIDE = 256
CHUNK = 512


@dataclass(frozen=True)
class Photograph:
    """One photograph of the source."""

    name: str
    """What tells it from all others; it never reaches the agent."""
    captions: list[str]
    read: Callable[[], bytes]


def prepare(output: Path, source: Path | None, partial: Path) -> None:
    """Write both trees."""
    key = secret(partial / "key")
    splits = photographs(source)
    agent, judge = output / "agent", output / "judge"
    for folder in (agent, judge):
        folder.mkdir(parents=True, exist_ok=True)
    rows = {split: encoded(split, found, key, partial) for split, found in splits.items()}
    require_apart(rows)
    copy_weights(source, agent / "weights" / "resnet50.safetensors")
    write_lines(agent / "train.jsonl", rows["train"])
    write_lines(agent / "test.jsonl", [{"image_id": row["image_id"]} for row in rows["dev"] + rows["test"]])
    for split in ("dev", "test"):
        write_lines(judge / f"{split}.jsonl", rows[split])
    judge.joinpath("key").write_bytes(key)
    for part, splits_there in (("train", ("train",)), ("test", ("dev", "test"))):
        remove_others(partial / part, {row["image_id"] for split in splits_there for row in rows[split]})
        shutil.move(partial / part, agent / part)


def remove_others(folder: Path, names: set[object]) -> None:
    """Remove what an earlier attempt left of another source, or half written."""
    for path in folder.iterdir():
        if path.suffix != ".jpg" or path.stem not in names:
            path.unlink()


def secret(path: Path) -> bytes:
    """Return the key of this preparation, which one that broke off has left."""
    if not path.exists() or len(path.read_bytes()) != 32:
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()


def photographs(source: Path | None) -> dict[str, list[Photograph]]:
    """Return the source's photographs by split."""
    if source is None:
        return {split: from_repository(name) for split, name in REPOSITORIES.items()}
    folders = {split: source / name.split("/")[1] for split, name in REPOSITORIES.items()}
    if all(folder.is_dir() for folder in folders.values()):
        return {split: from_repository(str(folder)) for split, folder in folders.items()}
    if (source / "train_images.parquet").is_file():
        parts = {"train": "train", "dev": "val", "test": "test"}
        return {split: from_tables(source / part, source / f"{part}_images.parquet") for split, part in parts.items()}
    if (source / "annotations" / "captions_train2014.json").is_file():
        return from_coco(source)
    wanted = ", ".join(folder.name for folder in folders.values())
    raise SystemExit(
        f"{source}: expected {wanted}, or train_images.parquet with its folders, or annotations/captions_train2014.json"
    )


def from_repository(name: str) -> list[Photograph]:
    """Return the photographs of a repository of the hub or of a folder like it, which has one split."""
    print(f"loading {name}", flush=True)
    loaded = datasets.load_dataset(name)
    rows = datasets.concatenate_datasets(list(loaded.values())).cast_column("image", datasets.Image(decode=False))
    captions, names = rows["sentences_raw"], rows["cocoid"]

    def reader(at: int) -> Callable[[], bytes]:
        return lambda: content_of(rows[at]["image"])

    return [Photograph(str(names[at]), list(captions[at]), reader(at)) for at in range(len(rows))]


def content_of(image: dict) -> bytes:
    """Return a photograph's file, which a repository holds itself or names."""
    return image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()


def from_tables(folder: Path, table: Path) -> list[Photograph]:
    """Return the photographs of a folder whose captions are in a Parquet file."""
    print(f"reading {table}", flush=True)
    rows = pyarrow.parquet.read_table(table, columns=["file_name", "id", "anns"]).to_pylist()
    return [
        Photograph(str(row["id"]), [one["caption"] for one in row["anns"]], (folder / row["file_name"]).read_bytes)
        for row in rows
    ]


def from_coco(source: Path) -> dict[str, list[Photograph]]:
    """Return the photographs of COCO's own layout; its validation part is halved, always in the same way."""
    found = {}
    for part in ("train2014", "val2014"):
        path = source / "annotations" / f"captions_{part}.json"
        print(f"reading {path}", flush=True)
        content = json.loads(path.read_text(encoding="utf-8"))
        captions = defaultdict(list)
        for one in content["annotations"]:
            captions[one["image_id"]].append(one["caption"])
        found[part] = [
            Photograph(str(one["id"]), captions[one["id"]], (source / part / one["file_name"]).read_bytes)
            for one in sorted(content["images"], key=lambda one: one["id"])
        ]
    rest = found["val2014"]
    random.Random(0).shuffle(rest)
    return {"train": found["train2014"], "dev": rest[: len(rest) // 2], "test": rest[len(rest) // 2 :]}


def encoded(split: str, found: list[Photograph], key: bytes, partial: Path) -> list[dict[str, object]]:
    """Write the photographs of a split that are not written yet, and return its rows in the order of their ids."""
    folder = partial / ("train" if split == "train" else "test")
    folder.mkdir(parents=True, exist_ok=True)
    named = {hashlib.blake2b(one.name.encode(), key=key, digest_size=8).hexdigest(): one for one in found}
    if len(named) != len(found) or not found:
        raise SystemExit(f"{split}: {len(found)} photographs, {len(named)} of them different; expected each once")
    if bare := [one.name for one in found if not any(text.strip() for text in one.captions)]:
        raise SystemExit(f"{split}: photograph {bare[0]} has no caption")
    left = [name for name in sorted(named) if not (folder / f"{name}.jpg").exists()]
    with ThreadPoolExecutor() as threads:
        for start in range(0, len(left), CHUNK):
            chunk = left[start : start + CHUNK]
            contents = [named[name].read() for name in chunk]
            paths = [folder / f"{name}.jpg" for name in chunk]
            list(threads.map(write_photograph, contents, paths))
            print(f"{split}: {len(named) - len(left) + start + len(chunk)} of {len(named)} photographs", flush=True)
    return [{"image_id": name, "captions": [text.strip() for text in named[name].captions]} for name in sorted(named)]


def write_photograph(content: bytes, path: Path) -> None:
    """Write a photograph anew: smaller, and with nothing but its points."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            scale = SHORTER_SIDE / min(image.size)
            size = tuple(max(1, round(length * min(1.0, scale))) for length in image.size)
            image.draft("RGB", size)
            small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    except OSError as error:
        raise SystemExit(f"a photograph cannot be read: {error}") from error
    small.info.clear()
    aside = path.with_suffix(".part")
    small.save(aside, "JPEG", quality=90)
    aside.replace(path)


def require_apart(rows: dict[str, list[dict[str, object]]]) -> None:
    """Check that no photograph is in two splits."""
    names = [row["image_id"] for part in rows.values() for row in part]
    if len(set(names)) != len(names):
        raise SystemExit(f"{len(names) - len(set(names))} photographs are in two splits")


def copy_weights(source: Path | None, target: Path) -> None:
    """Put ResNet-50's weights in place; a local source may lack them."""
    if source is None:
        from huggingface_hub import hf_hub_download

        found = [Path(hf_hub_download(WEIGHTS_REPOSITORY, WEIGHTS_FILE))]
    else:
        found = sorted(source.glob("weights/*.safetensors"))
    if not found:
        print("no weights in SOURCE/weights: the baseline will train its encoder from scratch", flush=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(found[0], target)


def write_lines(path: Path, lines: list[dict[str, object]]) -> None:
    """Write JSON Lines in the order of the ids."""
    ordered = sorted(lines, key=lambda line: str(line["image_id"]))
    path.write_text("".join(json.dumps(line) + "\n" for line in ordered), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: prepare.py OUTPUT [SOURCE]")
    output_folder = Path(sys.argv[1])
    kept = Path(os.environ.get("MLGYM_LITE_PARTIAL") or output_folder / "partial")
    kept.mkdir(parents=True, exist_ok=True)
    prepare(output_folder, Path(sys.argv[2]) if len(sys.argv) == 3 else None, kept)
    if kept == output_folder / "partial":
        shutil.rmtree(kept)
