"""Makes the mini variant's data: `python make_mini.py OUTPUT` writes OUTPUT/agent and OUTPUT/judge (needs numpy alone).

Each picture, 28 by 28 pixels in grey, shows one of ten garments as a silhouette, crooked, warped, patterned, worn in
places and noisy. Some differ by the length of a sleeve or a seam in front, so that looking closely is worth it.

The rows to learn from are the same everywhere. The rows to predict are drawn from fresh randomness each time, so that
nobody who has read this file can work out their labels; so are their order and their ids.
"""

from __future__ import annotations

import csv
import secrets
import sys
from pathlib import Path

import numpy

SEED = 31_204
TRAIN_ROWS = 4_000
DEVELOPMENT_ROWS = 1_000
TEST_ROWS = 4_000
CHUNK_ROWS = 250
SIDE = 28
CLASSES = 10
ID_BYTES = 8

SHIFT = 0.14
TILT = 0.2
WARP = 0.09
PATCHES = 2
PIXEL_NOISE = 0.16

Array = numpy.ndarray
Generator = numpy.random.Generator

ROW, COLUMN = numpy.meshgrid(*[(numpy.arange(SIDE, dtype=numpy.float32) + 0.5) / SIDE * 2 - 1] * 2, indexing="ij")


def box(x: Array, y: Array, half_width: Array | float, top: float, bottom: Array | float) -> Array:
    """Return how far points lie outside an upright box about the middle line, negative inside."""
    return numpy.maximum(abs(x) - half_width, numpy.maximum(top - y, y - bottom))


def rod(x: Array, y: Array, start: tuple[float, float], end: tuple[Array | float, Array | float], radius: float) -> Array:
    """Return how far points lie outside a thick line with round ends."""
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    share = ((x - start[0]) * along_x + (y - start[1]) * along_y) / (along_x**2 + along_y**2)
    share = numpy.clip(share, 0, 1)
    return numpy.hypot(x - start[0] - share * along_x, y - start[1] - share * along_y) - radius


def top_garment(x: Array, y: Array, vary: Array, sleeve: Array | float, bottom: Array | float, width: Array | float) -> Array:
    """Return the silhouette of what is worn above: a trunk with two sleeves and a neckline."""
    lean = 0.45 + 0.5 * vary[1]
    end = 0.32 + sleeve * numpy.sin(lean), -0.58 + sleeve * numpy.cos(lean)
    whole = numpy.minimum(box(x, y, width, -0.75, bottom), rod(abs(x), y, (0.32, -0.58), end, 0.15))
    return numpy.maximum(whole, 0.22 - numpy.hypot(x, y + 0.8))


def silhouette(label: int, x: Array, y: Array, vary: Array) -> Array:
    """Return how far points lie outside a class's garment; `vary` holds four numbers of its own between 0 and 1."""
    slim = 0.36 + 0.1 * vary[0]
    match label:
        case 0:  # a T-shirt
            return top_garment(x, y, vary, 0.2 + 0.2 * vary[2], 0.7 + 0.1 * vary[3], slim)
        case 1:  # trousers
            legs = numpy.maximum(abs(abs(x) - 0.2 - 0.1 * vary[0] * y) - 0.16, numpy.maximum(-0.6 - y, y - 0.9))
            return numpy.minimum(legs, box(x, y, 0.34, -0.9, -0.4))
        case 2:  # a pullover
            return top_garment(x, y, vary, 0.85 + 0.25 * vary[2], 0.65 + 0.15 * vary[3], slim + 0.04)
        case 3:  # a dress
            flare = 0.2 + (0.1 + 0.25 * vary[0]) * numpy.clip(y + 0.4, 0, None)
            return top_garment(x, y, vary, 0.12 + 0.3 * vary[2], 0.9, flare)
        case 4:  # a coat
            return top_garment(x, y, vary, 0.9 + 0.3 * vary[2], 0.8 + 0.12 * vary[3], slim + 0.06)
        case 5:  # a sandal
            sole = box(x, y - 0.12 * x, 0.85, 0.3, 0.45)
            straps = abs(numpy.hypot((x - 0.35) / 1.1, y - 0.4) - 0.42 - 0.12 * vary[0]) - 0.06
            heel = abs(numpy.hypot(x + 0.55, (y - 0.3) / 1.3) - 0.3 - 0.1 * vary[1]) - 0.06
            return numpy.minimum(sole, numpy.maximum(numpy.minimum(straps, heel), y - 0.4))
        case 6:  # a shirt
            return top_garment(x, y, vary, 0.3 + 0.7 * vary[2], 0.7 + 0.15 * vary[3], slim)
        case 7:  # a sneaker
            upper = numpy.maximum(y - 0.45, -y + 0.05 + (0.45 - 0.15 * vary[0]) * numpy.tanh(2 * (x + 0.1)) - 0.25)
            return numpy.maximum(numpy.minimum(upper, box(x, y, 0.85, 0.3, 0.5)), numpy.maximum(abs(x) - 0.85, y - 0.5))
        case 8:  # a bag
            body = box(x, y, 0.55 + 0.25 * vary[0], -0.15 - 0.25 * 0.5, 0.65)
            return numpy.minimum(body, abs(numpy.hypot(x / (0.8 + 0.3 * vary[1]), y + 0.25) - 0.42) - 0.07)
        case _:  # a boot
            shaft = numpy.maximum(abs(x + 0.4) - 0.27 - 0.06 * vary[0], numpy.maximum(-0.45 - 0.4 * vary[1] - y, y - 0.5))
            foot = numpy.maximum(numpy.hypot((x - 0.1) / 0.75, (y - 0.5) / 0.45) - 1, y - 0.55)
            return numpy.minimum(shaft, foot)


def seam(label: int, x: Array, y: Array, vary: Array) -> Array:
    """Return how dark the garment is where it is closed in front: a coat's opening, a shirt's buttons."""
    if label == 4:
        return 0.6 * (abs(x) < 0.07)
    if label == 6:
        return 0.5 * ((abs(x - 0.03) < 0.07) & (numpy.sin(y * 16 + 6 * vary[1]) > 0))
    return numpy.zeros_like(x)


def own_coordinates(generator: Generator, rows: int) -> tuple[Array, Array]:
    """Return each garment's own coordinates in its picture: shifted, tilted, scaled and warped."""
    right, down = generator.uniform(-SHIFT, SHIFT, (2, rows, 1, 1)).astype(numpy.float32)
    tilt = generator.normal(0, TILT, (rows, 1, 1)).astype(numpy.float32)
    wide, high = generator.uniform(0.72, 1.0, (2, rows, 1, 1)).astype(numpy.float32)
    x, y = COLUMN - right, ROW - down
    x, y = numpy.cos(tilt) * x + numpy.sin(tilt) * y, numpy.cos(tilt) * y - numpy.sin(tilt) * x
    strength = generator.normal(0, WARP, (2, rows, 1, 1)).astype(numpy.float32)
    phase = generator.uniform(0, 2 * numpy.pi, (2, rows, 1, 1)).astype(numpy.float32)
    return (x + strength[0] * numpy.sin(3 * y + phase[0])) / wide, (y + strength[1] * numpy.sin(3 * x + phase[1])) / high


def patterned(generator: Generator, rows: int, x: Array, y: Array) -> Array:
    """Return how bright the cloth is: plain or striped, of any grey."""
    grey = generator.uniform(0.3, 0.95, (rows, 1, 1)).astype(numpy.float32)
    across, down = generator.normal(0, 7, (2, rows, 1, 1)).astype(numpy.float32)
    strength = generator.uniform(-0.15, 0.3, (rows, 1, 1)).astype(numpy.float32).clip(0, None)
    return grey + strength * numpy.sin(across * x + down * y)


def drawn_chunk(generator: Generator, labels: Array) -> Array:
    """Return a picture for each label."""
    rows = len(labels)
    x, y = own_coordinates(generator, rows)
    vary = generator.uniform(0, 1, (rows, 4))
    outside = numpy.stack([silhouette(label, x[at], y[at], vary[at]) for at, label in enumerate(labels)])
    dark = numpy.stack([seam(label, x[at], y[at], vary[at]) for at, label in enumerate(labels)])
    pictures = (0.5 - outside * SIDE / 2.5).clip(0, 1) * patterned(generator, rows, x, y) * (1 - dark)
    for _ in range(PATCHES):
        pictures = with_patch(generator, pictures)
    pictures = pictures + generator.normal(0, PIXEL_NOISE, pictures.shape)
    return (pictures.clip(0, 1) * 255).round().astype(numpy.uint8)


def with_patch(generator: Generator, pictures: Array) -> Array:
    """Return the pictures with a spot somewhere that hides what is under it."""
    rows = len(pictures)
    right, down = generator.uniform(-0.9, 0.9, (2, rows, 1, 1))
    half_width, half_height = generator.uniform(0.04, 0.22, (2, rows, 1, 1))
    grey = generator.uniform(0, 0.8, (rows, 1, 1))
    return numpy.where((abs(COLUMN - right) < half_width) & (abs(ROW - down) < half_height), grey, pictures)


def drawn(generator: Generator, rows: int) -> tuple[Array, Array]:
    """Return pictures and labels, as many of each class, in random order."""
    labels = generator.permutation(numpy.arange(rows) % CLASSES)
    chunks = [drawn_chunk(generator, labels[at : at + CHUNK_ROWS]) for at in range(0, rows, CHUNK_ROWS)]
    return numpy.concatenate(chunks), labels


def main(output: Path) -> None:
    """Write agent/ and judge/ into a folder."""
    agent, judge = output / "agent", output / "judge"
    agent.mkdir(parents=True)
    judge.mkdir()
    images, labels = drawn(numpy.random.default_rng(SEED), TRAIN_ROWS)
    numpy.save(agent / "train_images.npy", images)
    numpy.save(agent / "train_labels.npy", labels.astype(numpy.uint8))

    fresh = numpy.random.default_rng(secrets.randbits(256))
    parts = {"dev": drawn(fresh, DEVELOPMENT_ROWS), "test": drawn(fresh, TEST_ROWS)}
    asked = numpy.concatenate([images for images, _ in parts.values()])
    identifiers = [secrets.token_hex(ID_BYTES) for _ in asked]
    order = list(range(len(asked)))
    secrets.SystemRandom().shuffle(order)
    numpy.save(agent / "test_images.npy", asked[order])
    agent.joinpath("test_ids.txt").write_text("".join(f"{identifiers[at]}\n" for at in order), encoding="ascii")
    first = 0
    for split, (_, labels) in parts.items():
        with judge.joinpath(f"{split}.csv").open("w", encoding="ascii", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "label"])
            writer.writerows(zip(identifiers[first:], labels.tolist(), strict=False))
        first += len(labels)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_mini.py OUTPUT")
    main(Path(sys.argv[1]))
