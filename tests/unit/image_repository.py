"""Writes a small copy of an image repository, as Hugging Face lays one out; run where `datasets` is installed.

Called as `image_repository.py FOLDER IMAGE_COLUMN MODE SIDE TRAIN_ROWS TEST_ROWS`. A picture's first pixels hold its row
and its split, so that a test can tell which is which; large copies repeat the pictures' files from a few hundred.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import datasets
import numpy
from PIL import Image

DISTINCT = 400
CLASSES = 10


def file_of(row: int, split: int, mode: str, side: int) -> bytes:
    """Return a PNG file whose first three pixels are the row's high byte, its low byte and the split."""
    pixels = numpy.random.default_rng(row + 10_000_000 * split).integers(0, 256, (side, side, 3), dtype=numpy.uint8)
    for at, value in enumerate((row // 256 % 256, row % 256, split)):
        pixels[0, at] = value
    file = io.BytesIO()
    Image.fromarray(pixels if mode == "RGB" else pixels[..., 0]).save(file, "PNG")
    return file.getvalue()


def label_of(row: int, split: int) -> int:
    """Return a row's label: as many of each, in an order that is not that of the rows."""
    return (row * 7 + row // 10 + split) % CLASSES


def write(path: Path, image: str, mode: str, side: int, rows: int, split: int) -> None:
    """Write one split as a Parquet file with the real columns."""
    files = [file_of(row, split, mode, side) for row in range(min(rows, DISTINCT))]
    features = datasets.Features(
        {image: datasets.Image(), "label": datasets.ClassLabel(names=[f"class {at}" for at in range(CLASSES)])}
    )
    content = {
        image: [{"bytes": files[row % len(files)], "path": None} for row in range(rows)],
        "label": [label_of(row, split) for row in range(rows)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(content, features=features).to_parquet(str(path))


if __name__ == "__main__":
    folder, image, mode, side, train_rows, test_rows = sys.argv[1:]
    inner = Path(folder) / "plain_text"
    write(inner / "train-00000-of-00001.parquet", image, mode, int(side), int(train_rows), 0)
    write(inner / "test-00000-of-00001.parquet", image, mode, int(side), int(test_rows), 1)
