"""Reading the pictures and captions below /data, and writing submission.csv."""

import csv
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from PIL import Image

PAD, START, END, UNKNOWN = range(4)


def read_lines(path: Path) -> list[dict]:
    """Return the rows of train.jsonl or test.jsonl."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Pictures:
    """The pictures of one part, `train` or `test`, in the order of its rows: one array, or a folder of JPEG files."""

    def __init__(self, data: Path, part: str, rows: list[dict], side: int) -> None:
        """Read pictures as squares of `side` x `side` points; those of an array keep their size."""
        self._array = numpy.load(data / f"{part}.npy", mmap_mode="r") if (data / f"{part}.npy").exists() else None
        self._files = [data / part / f"{row['image_id']}.jpg" for row in rows]
        self._side = side
        self._threads = ThreadPoolExecutor()

    def __len__(self) -> int:
        return len(self._files)

    def read(self, positions) -> numpy.ndarray:
        """Return some pictures as uint8, N x 3 x height x width."""
        if self._array is not None:
            pictures = self._array[positions]
        else:
            pictures = numpy.stack(list(self._threads.map(lambda at: _square(self._files[at], self._side), positions)))
        return numpy.ascontiguousarray(pictures.transpose(0, 3, 1, 2))


def _square(path: Path, side: int) -> numpy.ndarray:
    """Return the middle of a JPEG file at the wanted size."""
    with Image.open(path) as image:
        image.draft("RGB", (side, side))  # may make it smaller already in decoding
        edge = min(image.size)
        left, top = (image.width - edge) / 2, (image.height - edge) / 2
        box = (left, top, left + edge, top + edge)
        return numpy.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR, box=box))


def words(caption: str) -> list[str]:
    """Return the words of a caption, in lower case and without punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", caption.lower())


class Vocabulary:
    """The words that the training captions use at least so often, and their numbers."""

    def __init__(self, captions: list[str], at_least: int) -> None:
        counted = Counter(word for caption in captions for word in words(caption))
        self.words = ["", "", "", "", *sorted(word for word, count in counted.items() if count >= at_least)]
        self._numbers = {word: number for number, word in enumerate(self.words) if word}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, caption: str, length: int) -> list[int]:
        """Return START, the words' numbers and END, cut or padded to `length` + 2."""
        numbers = [self._numbers.get(word, UNKNOWN) for word in words(caption)][:length]
        return [START, *numbers, END] + [PAD] * (length - len(numbers))

    def decode(self, numbers: list[int]) -> str:
        """Return the words up to END."""
        kept = numbers[: numbers.index(END)] if END in numbers else numbers
        return " ".join(self.words[number] for number in kept if number > UNKNOWN)


def write_submission(rows: list[dict], captions: list[str]) -> None:
    """Write one caption for every row of test.jsonl."""
    with open("submission.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "caption"])
        writer.writerows((row["image_id"], caption) for row, caption in zip(rows, captions, strict=True))
