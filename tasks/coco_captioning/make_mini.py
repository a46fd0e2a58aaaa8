"""Makes the mini variant: pictures of one to three coloured shapes, each with five captions.

Run as `make_mini.py OUTPUT`, with numpy alone. It writes

    OUTPUT/agent/train.npy    the pictures to learn from, uint8, rows x 32 x 32 x 3
    OUTPUT/agent/train.jsonl  one line for each of them, in the same order: image_id and five captions
    OUTPUT/agent/test.npy     the pictures to caption: development and test rows mixed
    OUTPUT/agent/test.jsonl   one line for each of them, in the same order: image_id
    OUTPUT/judge/dev.jsonl    image_id and the captions that a validation compares with
    OUTPUT/judge/test.jsonl   image_id and the captions that the submission is compared with

The rows to learn from are the same on every host. The others are drawn from the host's own randomness, so that nobody
who has read this file can draw them again.

A picture shows a single shape at some place, two shapes in some relation, two or three equal shapes, or three shapes in a
row or column. A caption says that in one of several ways, with words of the same meaning, and not every caption tells
everything: so one caption cannot match all five, and no fixed caption says anything about the picture.
"""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy

TRAIN, DEVELOPMENT, TEST = 5_000, 600, 2_000
TRAIN_SEED = 4_471_903
SIDE = 32
CAPTIONS_PER_PICTURE = 5

COLOURS = {
    "red": (205, 45, 40), "green": (50, 155, 60), "blue": (45, 80, 205), "yellow": (225, 205, 50),
    "purple": (130, 55, 165), "orange": (235, 135, 35), "white": (240, 240, 240), "cyan": (70, 200, 210),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "cross", "ring", "diamond")
RADII = {"small": (3.0, 3.6), "large": (5.0, 6.0)}
SIZE_WORDS = {"small": ("small", "small", "little", "tiny"), "large": ("large", "large", "big", "huge")}
PLACES = {
    (0, 0): ("in the top left corner", "at the top left"),
    (0, 1): ("at the top", "near the upper edge"),
    (0, 2): ("in the top right corner", "at the top right"),
    (1, 0): ("on the left side", "at the left"),
    (1, 1): ("in the middle", "in the center"),
    (1, 2): ("on the right side", "at the right"),
    (2, 0): ("in the bottom left corner", "at the bottom left"),
    (2, 1): ("at the bottom", "near the lower edge"),
    (2, 2): ("in the bottom right corner", "at the bottom right"),
}
CENTRES = (7.0, 15.5, 24.0)
MIDDLE = 15.5
TWO, THREE = (8.0, 23.0), (6.0, 15.5, 25.0)
ASIDE, SHIFT = 6.0, 1.0
RELATIONS = {
    (0, -1): ("to the left of", "to the left of", "left of"),
    (0, 1): ("to the right of", "to the right of", "right of"),
    (-1, 0): ("above", "above", "over"),
    (1, 0): ("below", "below", "under"),
}
NUMBERS = {2: "two", 3: "three"}


@dataclass(frozen=True)
class Thing:
    """One shape in a picture."""

    size: str
    colour: str
    shape: str
    row: float
    column: float
    radius: float


@dataclass(frozen=True)
class Scene:
    """What a picture shows: the kind of arrangement and its shapes, in the order in which they are told."""

    kind: str
    things: tuple[Thing, ...]
    direction: tuple[int, int]


def scene(generator: numpy.random.Generator) -> Scene:
    """Draw one scene."""
    kind = ("single", "pair", "pair", "same", "series")[generator.integers(5)]
    if kind == "single":
        cell = (int(generator.integers(3)), int(generator.integers(3)))
        return Scene(kind, (thing(generator, CENTRES[cell[0]], CENTRES[cell[1]]),), cell)
    across = bool(generator.integers(2))
    direction = (0, 1) if across else (1, 0)
    if kind == "pair":
        spots = TWO if generator.integers(2) else TWO[::-1]
        sign = 1 if spots[0] > spots[1] else -1
        other = MIDDLE + generator.uniform(-ASIDE, ASIDE)
        things = tuple(placed(generator, spot, other, across=across) for spot in spots)
        return Scene(kind, things, (direction[0] * sign, direction[1] * sign))
    other = MIDDLE + generator.uniform(-ASIDE, ASIDE)
    if kind == "same":
        spots = TWO if generator.integers(2) else THREE
        first = placed(generator, spots[0], other, across=across, small=spots is THREE)
        rest = [placed(generator, spot, other, across=across, like=first) for spot in spots[1:]]
        return Scene(kind, (first, *rest), direction)
    things = tuple(placed(generator, spot, other, across=across, small=True) for spot in THREE)
    return Scene(kind, things, direction)


def placed(
    generator: numpy.random.Generator, spot: float, other: float, *, across: bool, small: bool = False, like: Thing | None = None
) -> Thing:
    """Draw a shape that stands at a spot along a row or column."""
    row, column = (other, spot) if across else (spot, other)
    return thing(generator, row, column, small=small, like=like)


def thing(
    generator: numpy.random.Generator, row: float, column: float, *, small: bool = False, like: Thing | None = None
) -> Thing:
    """Draw a shape near a point; one that is `like` another has its size, colour and shape."""
    size = "small" if small or generator.integers(2) else "large"
    colour = list(COLOURS)[generator.integers(len(COLOURS))]
    shape = SHAPES[generator.integers(len(SHAPES))]
    if like is not None:
        size, colour, shape = like.size, like.colour, like.shape
    shift = generator.uniform(-SHIFT, SHIFT, 2)
    return Thing(size, colour, shape, row + shift[0], column + shift[1], generator.uniform(*RADII[size]))


def picture(generator: numpy.random.Generator, shown: Scene) -> numpy.ndarray:
    """Paint a scene on a mottled ground, with colours that are never quite pure."""
    ground = generator.uniform(20, 110) + generator.uniform(-12, 12, 3)
    slope = generator.uniform(-0.5, 0.5, 2)
    rows, columns = numpy.mgrid[0:SIDE, 0:SIDE].astype(numpy.float64)
    image = ground + (slope[0] * (rows - SIDE / 2) + slope[1] * (columns - SIDE / 2))[:, :, None]
    for one in shown.things:
        colour = numpy.array(COLOURS[one.colour]) * generator.uniform(0.8, 1.05) + generator.uniform(-14, 14, 3)
        image[covered(one, rows - one.row, columns - one.column)] = colour
    image += generator.normal(0, 9, image.shape)
    return numpy.clip(image, 0, 255).astype(numpy.uint8)


def covered(one: Thing, down: numpy.ndarray, right: numpy.ndarray) -> numpy.ndarray:
    """Return which points, given by their distances from its centre, belong to a shape."""
    radius = one.radius
    distance = numpy.hypot(down, right)
    wide, high = numpy.abs(right), numpy.abs(down)
    if one.shape == "circle":
        return distance <= radius
    if one.shape == "ring":
        return (distance <= radius) & (distance >= radius * 0.55)
    if one.shape == "square":
        return numpy.maximum(wide, high) <= radius * 0.88
    if one.shape == "diamond":
        return wide + high <= radius * 1.15
    if one.shape == "cross":
        return (numpy.maximum(wide, high) <= radius) & (numpy.minimum(wide, high) <= radius * 0.3)
    return (high <= radius * 0.9) & (wide <= (down + radius * 0.9) * 0.55)


def captions(generator: numpy.random.Generator, shown: Scene) -> list[str]:
    """Say what a scene shows in five ways."""
    return [written(generator, WAYS[shown.kind](generator, shown)) for _ in range(CAPTIONS_PER_PICTURE)]


def written(generator: numpy.random.Generator, words: str) -> str:
    """Write a caption as people do: mostly with a capital, often with a full stop."""
    if generator.random() < 0.7:
        words = words[0].upper() + words[1:]
    return words + ("." if generator.random() < 0.6 else "")


def chosen(generator: numpy.random.Generator, options: tuple[str, ...]) -> str:
    """Draw one of several ways to say something."""
    return options[int(generator.integers(len(options)))]


def name(
    generator: numpy.random.Generator, one: Thing, *, with_size: float = 0.75, plural: bool = False, article: bool = True
) -> str:
    """Name a shape, with or without its size."""
    words = [one.colour, one.shape + ("es" if plural and one.shape == "cross" else "s" if plural else "")]
    if generator.random() < with_size:
        words.insert(0, chosen(generator, SIZE_WORDS[one.size]))
    if article:
        words.insert(0, "an" if words[0][0] in "aeiou" else "a")
    return " ".join(words)


def single(generator: numpy.random.Generator, shown: Scene) -> str:
    """Say what stands where."""
    what, where = name(generator, shown.things[0]), chosen(generator, PLACES[shown.direction])
    return chosen(
        generator,
        (f"{what} {where}", f"there is {what} {where}", f"{where} there is {what}", f"the picture shows {what} {where}"),
    )


def pair(generator: numpy.random.Generator, shown: Scene) -> str:
    """Say how two shapes stand to each other, from either's view."""
    first, second = (name(generator, one, with_size=0.6) for one in shown.things)
    relation = chosen(generator, RELATIONS[shown.direction])
    inverse = chosen(generator, RELATIONS[(-shown.direction[0], -shown.direction[1])])
    ways = (
        f"{first} {relation} {second}",
        f"{first} is {relation} {second}",
        f"there is {first} {relation} {second}",
        f"{second} {inverse} {first}",
    )
    return chosen(generator, ways)


def same(generator: numpy.random.Generator, shown: Scene) -> str:
    """Say how many equal shapes there are."""
    number, line = NUMBERS[len(shown.things)], "next to each other" if shown.direction == (0, 1) else "on top of each other"
    what = name(generator, shown.things[0], plural=True, article=False)
    ways = (
        f"{number} {what} {line}",
        f"there are {number} {what}",
        f"the picture shows {number} {what}",
        f"a group of {number} {what} {line}",
    )
    return chosen(generator, ways)


def series(generator: numpy.random.Generator, shown: Scene) -> str:
    """Name three shapes in the order in which they stand."""
    first, second, third = (name(generator, one, with_size=0.0) for one in shown.things)
    across = shown.direction == (0, 1)
    course = "from left to right" if across else "from top to bottom"
    ways = (
        f"{first}, {second} and {third} {course}",
        f"{course} {first}, {second} and {third}",
        f"{second} between {first} and {third}",
        f"a {'row' if across else 'column'} of {first}, {second} and {third}",
    )
    return chosen(generator, ways)


WAYS = {"single": single, "pair": pair, "same": same, "series": series}


def rows(generator: numpy.random.Generator, count: int) -> tuple[numpy.ndarray, list[list[str]]]:
    """Draw pictures and their captions."""
    scenes = [scene(generator) for _ in range(count)]
    return numpy.stack([picture(generator, one) for one in scenes]), [captions(generator, one) for one in scenes]


def write_lines(path: Path, lines: list[dict[str, object]]) -> None:
    """Write JSON Lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def make(output: Path) -> None:
    """Write both trees below a folder."""
    agent, judge = output / "agent", output / "judge"
    for folder in (agent, judge):
        folder.mkdir(parents=True, exist_ok=True)
    pictures, told = rows(numpy.random.default_rng(TRAIN_SEED), TRAIN)
    numpy.save(agent / "train.npy", pictures)
    write_lines(agent / "train.jsonl", [{"image_id": f"train-{at:05}", "captions": one} for at, one in enumerate(told)])
    pictures, told = rows(numpy.random.default_rng(secrets.randbits(128)), DEVELOPMENT + TEST)
    names = [secrets.token_hex(8) for _ in told]
    hidden = [{"image_id": key, "captions": one} for key, one in zip(names, told, strict=True)]
    order = sorted(range(len(names)), key=lambda at: names[at])
    numpy.save(agent / "test.npy", pictures[order])
    write_lines(agent / "test.jsonl", [{"image_id": names[at]} for at in order])
    write_lines(judge / "dev.jsonl", hidden[:DEVELOPMENT])
    write_lines(judge / "test.jsonl", hidden[DEVELOPMENT:])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_mini.py OUTPUT")
    make(Path(sys.argv[1]))
