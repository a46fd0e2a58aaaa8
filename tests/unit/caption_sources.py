"""Writes small copies of COCO, in the three layouts that people have; run where `datasets` and pillow are installed.

Called as `caption_sources.py FOLDER LAYOUT TRAIN DEVELOPMENT TEST`, where LAYOUT is hub, tables or coco, and the rest are
numbers of photographs. The colour of a photograph's upper left quarter holds its number, and each of its captions has that
number too, so that a test can tell whether they are still together. Files have metadata that tells the captions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
from PIL import Image

Photograph = dict[str, object]
SIZES = ((640, 480), (300, 400), (500, 281), (200, 120))
MODES = ("RGB", "RGB", "RGB", "L")
CAPTIONS = 5
FIRST_ID = 391_895


def colour_of(number: int) -> tuple[int, int, int]:
    """Return the colour that holds a number below 343, with levels far apart; grey photographs keep only its first level."""
    return tuple(20 + 36 * level for level in (number // 49 % 7, number // 7 % 7, number % 7))  # type: ignore[return-value]


def captions_of(number: int) -> list[str]:
    """Return a photograph's captions, as careless with blanks as the real ones."""
    return [f"A person, who looks at thing {number} in way {way}.{' ' * (way % 2)}" for way in range(CAPTIONS)]


def write_photograph(path: Path, number: int) -> None:
    """Write one JPEG file with metadata."""
    size, mode = SIZES[number % len(SIZES)], MODES[number % len(MODES)]
    image = Image.new("RGB", size, (120, 120, 120))
    image.paste(colour_of(number), (0, 0, size[0] // 2, size[1] // 2))
    details = Image.Exif()
    details[0x010E] = captions_of(number)[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    image.convert(mode).save(path, "JPEG", quality=95, exif=details, comment=captions_of(number)[1].encode())


def annotation(number: int, way: int, text: str) -> Photograph:
    """Return a caption as COCO's own files have it."""
    return {"image_id": FIRST_ID + number, "id": 10 * number + way, "caption": text}


def details_of(number: int, name: str) -> Photograph:
    """Return what COCO says about a photograph."""
    width, height = SIZES[number % len(SIZES)]
    return {
        "license": 3, "file_name": name, "coco_url": f"http://images.cocodataset.org/{name}", "height": height,
        "width": width, "date_captured": "2013-11-14 11:18:45", "flickr_url": f"http://farm9.staticflickr.com/{number}.jpg",
        "id": FIRST_ID + number,
    }  # fmt: skip


def name_of(number: int, part: str) -> str:
    """Return a photograph's file name."""
    return f"COCO_{part}_{FIRST_ID + number:012}.jpg"


def write_hub(folder: Path, numbers: dict[str, range]) -> None:
    """Write the three repositories of the Karpathy split; the photographs are in the Parquet files."""
    for split, part in (("train", "train2014"), ("validation", "val2014"), ("test", "val2014")):
        rows = []
        for number in numbers[split]:
            path = folder / "photographs" / name_of(number, part)
            write_photograph(path, number)
            texts = captions_of(number)
            sentences = [10 * number + way for way in range(CAPTIONS)]
            rows.append({
                "image": {"bytes": path.read_bytes(), "path": path.name}, "filepath": part, "sentids": sentences,
                "filename": path.name, "imgid": number, "split": "restval" if number % 3 == 0 else split,
                "sentences_tokens": [text.lower().split() for text in texts], "sentences_raw": texts,
                "sentences_sentid": sentences, "cocoid": FIRST_ID + number,
            })  # fmt: skip
            path.unlink()
        target = folder / f"COCO_captions_{split}" / "data" / f"{split}-00000-of-00001.parquet"
        target.parent.mkdir(parents=True)
        datasets.Dataset.from_list(rows).cast_column("image", datasets.Image()).to_parquet(str(target))
    folder.joinpath("photographs").rmdir()


def write_tables(folder: Path, numbers: dict[str, range]) -> None:
    """Write folders of photographs and a Parquet file for each, as MLGym had them."""
    for split, kept, part in (("train", "train", "train2014"), ("validation", "val", "val2014"), ("test", "test", "val2014")):
        rows = []
        for number in numbers[split]:
            name = name_of(number, part)
            write_photograph(folder / kept / name, number)
            told = [annotation(number, way, text) for way, text in enumerate(captions_of(number))]
            rows.append({**details_of(number, name), "anns": told})
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"{kept}_images.parquet")


def write_coco(folder: Path, numbers: dict[str, range]) -> None:
    """Write COCO's own folders and annotations, where development and test rows are one part."""
    parts = {"train2014": [*numbers["train"]], "val2014": [*numbers["validation"], *numbers["test"]]}
    for part, chosen in parts.items():
        images = [details_of(number, name_of(number, part)) for number in chosen]
        told = [annotation(number, way, text) for number in reversed(chosen) for way, text in enumerate(captions_of(number))]
        for number in chosen:
            write_photograph(folder / part / name_of(number, part), number)
        path = folder / "annotations" / f"captions_{part}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"info": {}, "images": images, "licenses": [], "annotations": told}), encoding="utf-8")


if __name__ == "__main__":
    layout, counts = sys.argv[2], [int(word) for word in sys.argv[3:]]
    ends = [sum(counts[: at + 1]) for at in range(3)]
    splits = {
        "train": range(ends[0]), "validation": range(ends[0], ends[1]), "test": range(ends[1], ends[2]),
    }  # fmt: skip
    {"hub": write_hub, "tables": write_tables, "coco": write_coco}[layout](Path(sys.argv[1]), splits)
