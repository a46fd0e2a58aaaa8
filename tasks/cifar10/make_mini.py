"""Makes the mini variant's data: `python make_mini.py OUTPUT` writes OUTPUT/agent and OUTPUT/judge (needs numpy alone).

Each picture, 32 by 32 pixels in colour, shows one of ten figures, turned, stretched, shifted and partly hidden, before a
rippled background with things lying about. What the figure is made of tells a little of its class, as the sky does of an
aeroplane; the outline tells the rest, and only a network that has learned outlines finds it.

The rows to learn from are the same everywhere. The rows to predict are drawn from fresh randomness each time, so that
nobody who has read this file can work out their labels; so are their order and their ids.
"""

from __future__ import annotations

import csv
import secrets
import sys
from pathlib import Path

import numpy

SEED = 20_417
TRAIN_ROWS = 4_000
DEVELOPMENT_ROWS = 1_000
TEST_ROWS = 4_000
CHUNK_ROWS = 250
SIDE = 32
CLASSES = 10
ID_BYTES = 8

DISTRACTORS = 4
COLOUR_STRENGTH = 0.16
COLOUR_SPREAD = 0.22
PIXEL_NOISE = 0.07

Array = numpy.ndarray
Generator = numpy.random.Generator

PALETTE = numpy.random.default_rng(SEED).normal(0, 1, (2, CLASSES, 3)).astype(numpy.float32)
"""Which way the colours of a class lean: its background's, and its figure's."""
ROW, COLUMN = numpy.meshgrid(*[(numpy.arange(SIDE, dtype=numpy.float32) + 0.5) / SIDE * 2 - 1] * 2, indexing="ij")


def outline(label: int, x: Array, y: Array) -> Array:
    """Return how far points lie outside a class's figure, negative inside."""
    radius, block = numpy.hypot(x, y), numpy.maximum(abs(x), abs(y))
    match label:
        case 0:  # a disc
            return radius - 0.85
        case 1:  # a ring
            return abs(radius - 0.72) - 0.2
        case 2:  # a square
            return block - 0.75
        case 3:  # a triangle
            return numpy.maximum(numpy.maximum(0.866 * x + 0.5 * y, -0.866 * x + 0.5 * y), -y) - 0.5
        case 4:  # a cross
            return numpy.minimum(numpy.maximum(abs(x) - 0.27, abs(y) - 0.95), numpy.maximum(abs(y) - 0.27, abs(x) - 0.95))
        case 5:  # a star
            return radius - 0.62 - 0.3 * numpy.cos(5 * numpy.arctan2(y, x))
        case 6:  # a crescent
            return numpy.maximum(radius - 0.9, 0.75 - numpy.hypot(x - 0.5, y))
        case 7:  # bars
            return numpy.maximum(block - 0.85, abs((x + 0.85) % 0.68 - 0.34) - 0.19)
        case 8:  # a dumb-bell
            ends = numpy.minimum(numpy.hypot(x - 0.6, y), numpy.hypot(x + 0.6, y)) - 0.4
            return numpy.minimum(ends, numpy.maximum(abs(y) - 0.15, abs(x) - 0.6))
        case _:  # a frame
            return abs(block - 0.65) - 0.17


def placed(generator: Generator, rows: int, size: tuple[float, float], shift: float) -> tuple[Array, Array, Array]:
    """Return a figure's own coordinates in each picture, turned, stretched and shifted at random, and its size."""
    angle = generator.uniform(0, 2 * numpy.pi, (rows, 1, 1)).astype(numpy.float32)
    across = generator.uniform(*size, (rows, 1, 1)).astype(numpy.float32)
    stretch = generator.uniform(0.8, 1.25, (rows, 1, 1)).astype(numpy.float32)
    right, down = generator.uniform(-shift, shift, (2, rows, 1, 1)).astype(numpy.float32)
    x, y = COLUMN - right, ROW - down
    turned = numpy.cos(angle) * x + numpy.sin(angle) * y, numpy.cos(angle) * y - numpy.sin(angle) * x
    return turned[0] / (across * stretch), turned[1] / (across / stretch), across


def ripples(generator: Generator, rows: int) -> Array:
    """Return two crossing waves for each picture, of random direction, length and strength."""
    total = numpy.zeros((rows, SIDE, SIDE), numpy.float32)
    for _ in range(2):
        across, down = generator.normal(0, 5, (2, rows, 1, 1)).astype(numpy.float32)
        phase = generator.uniform(0, 2 * numpy.pi, (rows, 1, 1)).astype(numpy.float32)
        strength = generator.uniform(0, 0.13, (rows, 1, 1)).astype(numpy.float32)
        total += strength * numpy.sin(across * COLUMN + down * ROW + phase)
    return total


def painted(pictures: Array, cover: Array, colour: Array, texture: Array) -> Array:
    """Return the pictures with a colour laid over them where `cover` is 1."""
    paint = colour[:, None, None, :] + texture[..., None]
    return pictures + cover[..., None] * (paint - pictures)


def colours(generator: Generator, labels: Array, layer: int) -> Array:
    """Return a random colour for each picture, which leans a little towards its class's."""
    lean = COLOUR_STRENGTH * PALETTE[layer, labels]
    return (0.5 + lean + generator.normal(0, COLOUR_SPREAD, (len(labels), 3))).astype(numpy.float32)


def drawn_chunk(generator: Generator, labels: Array) -> Array:
    """Return a picture for each label."""
    rows = len(labels)
    pictures = colours(generator, labels, 0)[:, None, None, :] + ripples(generator, rows)[..., None]
    for number in range(DISTRACTORS):
        if number == DISTRACTORS - 1:  # the last thing lies over the figure
            pictures = with_figures(generator, pictures, labels)
        x, y, size = placed(generator, rows, (0.12, 0.28), 0.9)
        kind = int(generator.integers(3))
        inside = (numpy.hypot(x, y), numpy.maximum(abs(x), abs(y)), numpy.maximum(abs(x) / 2.5, abs(y) * 2))[kind] - 0.9
        colour = generator.uniform(0, 1, (rows, 3)).astype(numpy.float32)
        pictures = painted(pictures, cover_of(inside, size), colour, numpy.zeros((rows, 1, 1), numpy.float32))
    pictures = pictures + generator.normal(0, PIXEL_NOISE, pictures.shape).astype(numpy.float32)
    return (pictures.clip(0, 1) * 255).round().astype(numpy.uint8)


def with_figures(generator: Generator, pictures: Array, labels: Array) -> Array:
    """Return the pictures with the figures of their labels drawn over them."""
    x, y, size = placed(generator, len(labels), (0.45, 0.75), 0.35)
    inside = numpy.stack([outline(label, x[at], y[at]) for at, label in enumerate(labels)])
    colour = colours(generator, labels, 1)
    return painted(pictures, cover_of(inside, size), colour, ripples(generator, len(labels)))


def cover_of(outside: Array, size: Array) -> Array:
    """Return how much of each pixel a figure covers, between 0 and 1."""
    return (0.5 - outside * size * SIDE / 2).clip(0, 1)


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
