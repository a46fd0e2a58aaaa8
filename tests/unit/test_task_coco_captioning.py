"""The captioning task makes and hides its mini data as promised, counts BLEU as it is defined, and refuses what is no table."""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy
import pytest
from grading_harness import TASKS, Desk, grading_interpreter, module_at
from hypothesis import given, settings
from hypothesis import strategies as st

TASK = TASKS / "coco_captioning"
grade: Any = module_at(TASK / "tests" / "grade.py")
mini: Any = module_at(TASK / "make_mini.py")

Row = dict[str, Any]


def rows_of(path: Path) -> list[Row]:
    """Return the rows of a file with one JSON object a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# BLEU


def test_repeated_words_are_clipped() -> None:
    """A word counts at most as often as one reference has it."""
    counted = grade.counts(
        ["the"] * 7, [["the", "cat", "is", "on", "the", "mat"], ["there", "is", "a", "cat", "on", "the", "mat"]]
    )
    assert (counted.matches[0], counted.totals[0], counted.reference_length) == (2, 7, 7)


def test_a_short_caption_is_penalised() -> None:
    """Four words of a reference of eight are all right and cost exp(1 - 8/4)."""
    whole = grade.counts(["a", "b", "c", "d"], [["a", "b", "c", "d", "e", "f", "g", "h"]])
    assert grade.bleu(whole) == pytest.approx(math.exp(-1))


def test_the_closest_reference_sets_the_length_and_of_two_the_shorter() -> None:
    """As in BLEU's definition: 5 words between references of 4 and 6 words are compared with 4."""
    references = [["x"] * 6, ["x"] * 4, ["x"] * 12]
    assert grade.counts(["x"] * 5, references).reference_length == 4
    assert grade.counts(["x"] * 10, references).reference_length == 12


CAPTIONS = ["A red ring on a hill.", "blue CROSS"]
REFERENCES = [["a red ring on the hill", "The ring is red!"], ["A blue cross"]]
BY_HAND = math.exp(1 - 9 / 8) * (7 / 8 * 4 / 6 * 2 / 4 * 1 / 3) ** 0.25
"""8 words against 9; of the first caption's words 5 of 6 match, of its pairs 3 of 5, 2 of 4, 1 of 3; of the second's 2 and 1."""


def test_counts_of_all_pictures_are_added_up_first() -> None:
    """BLEU is that of the whole split, not a mean over pictures; BLEU-1 to BLEU-3 lie beside it."""
    found = grade.scores(CAPTIONS, REFERENCES, 1, parity=False)
    assert found["BLEU"] == pytest.approx(BY_HAND)
    assert found["BLEU-1"] == pytest.approx(math.exp(-1 / 8) * 7 / 8)
    assert found["BLEU-2"] == pytest.approx(math.exp(-1 / 8) * (7 / 8 * 4 / 6) ** 0.5)
    assert found["BLEU-3"] == pytest.approx(math.exp(-1 / 8) * (7 / 8 * 4 / 6 * 2 / 4) ** (1 / 3))
    assert found["n"] == 2 and "BLEU Score" not in found


def test_the_published_score_is_the_mean_over_characters() -> None:
    """Under parity, each caption's characters are compared with those of one reference, and the mean is taken."""
    found = grade.scores(["abcde", "abcd."], [["abcdf"], ["Abcd"]], 1, parity=True)
    first = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert found["BLEU Score"] == pytest.approx((first + 1) / 2)
    assert found["BLEU"] == 0.0


def test_the_reference_of_the_published_score_is_drawn_with_the_gradings_seed() -> None:
    """The same seed draws the same references; over seeds, each is drawn."""
    found = {grade.character_bleu(["abcd"], [["abcd", "efgh"]], seed) for seed in range(20)}
    assert found == {0.0, 1.0}
    assert len({grade.character_bleu(["abcd"], [["abcd", "efgh"]], 7) for _ in range(5)}) == 1


def test_the_tokeniser_drops_case_and_punctuation() -> None:
    """Words are compared in lower case, apostrophes inside them kept."""
    assert grade.tokens("A dog's Ball, on_grass.") == ["a", "dog's", "ball", "on", "grass"]


def test_empty_captions_score_nothing() -> None:
    """No word, no score, and no failure."""
    assert grade.scores(["", ""], [["a b c d e"], ["a b c d"]], 1, parity=True)["BLEU"] == 0.0


def test_the_standard_error_shrinks_with_the_rows() -> None:
    """Four times as many pictures of the same kind halve it, up to chance."""
    draw = random.Random(1)
    words = ["a", "b", "c", "d", "e", "f"]

    def error(rows: int) -> float:
        captions = [[draw.choice(words) for _ in range(8)] for _ in range(rows)]
        changed = [[word if draw.random() < 0.8 else "x" for word in caption] for caption in captions]
        return float(grade.standard_error([grade.counts(said, [told]) for said, told in zip(changed, captions, strict=True)]))

    assert 0.25 < error(4_000) / error(1_000) < 0.9


# Gradings


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that can import the grading files."""
    return grading_interpreter(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def desk(interpreter: Path, tmp_path: Path) -> Desk:
    """Where submissions are graded; picture a is a development row, b and c are the test rows."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    captions = {"dev": {"a": ["a small blue cross"]}, "test": dict(zip("bc", REFERENCES, strict=True))}
    for split, rows in captions.items():
        lines = [json.dumps({"image_id": name, "captions": texts}) + "\n" for name, texts in rows.items()]
        hidden.joinpath(f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return Desk(interpreter, tmp_path, TASK, hidden, "submission.csv")


HONEST = "image_id,caption\na,A small blue cross\nb,A red ring on a hill.\nc,blue CROSS\n"


def test_a_grading_scores_the_rows_of_its_split(desk: Desk) -> None:
    """A validation scores the development rows, a submission the others."""
    assert (desk.grade(HONEST, split="dev").reward or {})["BLEU"] == 1.0
    reward = desk.grade(HONEST).reward or {}
    assert reward["BLEU"] == pytest.approx(BY_HAND) and reward["n"] == 2.0


def test_rows_are_joined_by_their_ids(desk: Desk) -> None:
    """Order of rows and columns, a byte-order mark, quotes, line ends and empty lines make no difference."""
    turned = '\ufeffcaption,image_id\r\n"blue CROSS",c\r\n\r\nA small blue cross,a\r\n"A red ring on a hill.", b \r\n'
    assert desk.grade(turned).reward == desk.grade(HONEST).reward


@pytest.mark.parametrize(
    ("submission", "shown"),
    [
        (None, "submission.csv is missing"),
        ("", "line 1: the columns are '', expected image_id,caption"),
        ("caption\na\n", "line 1: the columns are 'caption'"),
        ("bleu_score\n1.0\n", "line 1: the columns are 'bleu_score'"),
        ("image_id,caption,bleu_score\n", "line 1: the columns are 'image_id,caption,bleu_score'"),
        ("image_id,caption\n", "3 ids of test.jsonl are missing, for example 'a'"),
        (HONEST + "d,a dog\n", "1 ids are not in test.jsonl, for example 'd'"),
        (HONEST + "c,a dog\n", "line 5, column image_id: 'c' is there twice"),
        (HONEST + " c ,a dog\n", "line 5, column image_id: 'c' is there twice"),
        (HONEST.replace("a,A small", "a,A small, "), "line 2: 3 values, expected 2; a caption with a comma goes in quotes"),
        (HONEST.replace("a,A small", "a,A" + "b" * 300), "at most 300 are taken"),
        (HONEST.replace("A small", '"A\nsmall"'), "not a CSV file"),
        (HONEST.replace("A small blue cross", '"A\nsmall"'), "has a line end or another character that does not print"),
        (HONEST.replace("A small", "A\u2028small"), "has a line end or another character that does not print"),
        (HONEST.replace("A small", "A\u200bsmall"), "has a line end or another character that does not print"),
        (HONEST.replace("A small", "A\x1b[31msmall"), "'A\\\\x1b[31msmall blue cross' has a line end"),
        (HONEST.replace("A small", "A" * 200_000), "not a CSV file"),
        (b"image_id,caption\na,\xff\n", "not UTF-8: byte 19"),
        (b"image_id,caption\n" + b"\n" * 8 * 1024 * 1024, "at most 8388608 are taken"),
        (b"image_id,caption\na,\x00\n", "submission.csv, line 2"),
    ],
)
def test_a_wrong_file_is_rejected_by_name(desk: Desk, submission: str | bytes | None, shown: str) -> None:
    """The agent is told the line, the column and what was expected."""
    verdict = desk.grade(submission)
    assert (verdict.status, verdict.reward) == (65, None), verdict.stderr
    assert verdict.rejection is not None and shown in verdict.rejection


@settings(max_examples=300, deadline=None)
@given(content=st.one_of(st.binary(max_size=80), st.text("image_d,caption\n\"'abc012\r\t \u2028", max_size=80).map(str.encode)))
def test_no_file_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever the bytes are, they are printable captions by id or a rejection."""
    path = tmp_path_factory.getbasetemp() / "captions.csv"
    for text in (content, b"image_id,caption\n" + content):
        path.write_bytes(text)
        try:
            found = grade.read_captions(path)
        except grade.Rejected:
            continue
        assert all(caption.isprintable() and len(caption) <= 300 for caption in found.values())


def test_missing_references_are_the_graders_failure(desk: Desk, tmp_path: Path) -> None:
    """Where the engine gives no references, the agent is not blamed."""
    verdict = desk.grade(HONEST, hidden=tmp_path)
    assert verdict.status not in (0, 65) and verdict.reward is None and verdict.rejection is None


# The mini data


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mini data, made as the engine makes it."""
    folder = tmp_path_factory.mktemp("mini")
    subprocess.run([sys.executable, "-I", TASK / "make_mini.py", folder], check=True)
    return folder


def hidden_rows(folder: Path) -> dict[str, list[Row]]:
    """Return the hidden rows by split."""
    return {split: rows_of(folder / "judge" / f"{split}.jsonl") for split in ("dev", "test")}


def test_the_mini_data_has_the_form_the_agent_is_told(made: Path) -> None:
    """Sizes, ids and captions fit together, and nothing else is there."""
    agent, hidden = made / "agent", hidden_rows(made)
    assert sorted(path.name for path in agent.iterdir()) == ["test.jsonl", "test.npy", "train.jsonl", "train.npy"]
    train, asked = rows_of(agent / "train.jsonl"), rows_of(agent / "test.jsonl")
    assert (len(train), len(asked), len(hidden["dev"]), len(hidden["test"])) == (5_000, 2_600, 600, 2_000)
    for part, rows in (("train", train), ("test", asked)):
        pictures = numpy.load(agent / f"{part}.npy", allow_pickle=False)
        assert pictures.shape == (len(rows), 32, 32, 3) and pictures.dtype == numpy.uint8
    assert all(set(row) == {"image_id"} for row in asked)
    assert sorted(row["image_id"] for row in asked) == sorted(row["image_id"] for part in hidden.values() for row in part)
    assert all(len(row["captions"]) == 5 for part in (train, *hidden.values()) for row in part)
    assert len({row["image_id"] for row in train + asked}) == 7_600


def test_neither_ids_nor_places_tell_a_caption_or_a_split(made: Path) -> None:
    """Length, colour and kind of a caption go with neither the id nor the place in the file, up to five standard deviations."""
    hidden, asked = hidden_rows(made), rows_of(made / "agent" / "test.jsonl")
    captions = {row["image_id"]: row["captions"][0].lower() for part in hidden.values() for row in part}
    development = {row["image_id"] for row in hidden["dev"]}
    names = [row["image_id"] for row in asked]
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in names)
    numbers = [int(name, 16) for name in names]
    clues = [range(len(names)), numpy.argsort(numpy.argsort(numbers)), *([n % m for n in numbers] for m in (2, 10, 16))]
    told = [
        [len(captions[name]) for name in names],
        [name in development for name in names],
        *([word in captions[name] for name in names] for word in ("red", "there", "left", "three", "circle", "between")),
    ]
    for clue in clues:
        for what in told:
            assert abs(numpy.corrcoef(numpy.array(clue), numpy.array(what, dtype=float))[0, 1]) < 5 / len(names) ** 0.5


def test_only_the_rows_to_learn_from_are_the_same_everywhere(made: Path, tmp_path: Path) -> None:
    """Two hosts learn from the same rows and caption different ones, so that the generator's code tells no caption."""
    subprocess.run([sys.executable, "-I", TASK / "make_mini.py", tmp_path], check=True)
    for name in ("train.jsonl", "train.npy"):
        assert made.joinpath("agent", name).read_bytes() == tmp_path.joinpath("agent", name).read_bytes()
    ids, pictures, train = [], [], numpy.load(made / "agent" / "train.npy")
    for folder in (made, tmp_path):
        ids.append({row["image_id"] for row in rows_of(folder / "agent" / "test.jsonl")})
        pictures.append({picture.tobytes() for picture in numpy.load(folder / "agent" / "test.npy")})
    assert not ids[0] & ids[1] and not pictures[0] & pictures[1]
    assert not pictures[0] & {picture.tobytes() for picture in train} and len(pictures[0]) == 2_600


def test_one_caption_for_all_pictures_scores_low(made: Path) -> None:
    """None of the commonest captions reaches what the baseline does, nor do training captions dealt out at random."""
    train, hidden = rows_of(made / "agent" / "train.jsonl"), hidden_rows(made)["test"][:500]
    references = [row["captions"] for row in hidden]
    spoken = [" ".join(grade.tokens(text)) for row in train for text in row["captions"]]
    runs = Counter(" ".join(words[at : at + 4]) for words in map(str.split, spoken) for at in range(len(words) - 3))
    best = sorted(set(spoken), key=lambda text: -sum(runs[run] for run in fours(text)) / len(text.split()))[:8]
    for text in ["there is a red diamond to the left of a green circle", *best]:
        assert score_of([text] * len(references), references) < 0.21, text
    assert score_of([row["captions"][0] for row in train[: len(references)]], references) < 0.13


def fours(text: str) -> set[str]:
    """Return the runs of four words."""
    words = text.split()
    return {" ".join(words[at : at + 4]) for at in range(len(words) - 3)}


def score_of(captions: list[str], references: list[list[str]]) -> float:
    """Return corpus BLEU."""
    pairs = zip(captions, references, strict=True)
    counted = [grade.counts(grade.tokens(said), [grade.tokens(text) for text in told]) for said, told in pairs]
    return float(grade.bleu(grade.summed(counted)))


def test_people_agree_with_each_other_far_better_than_a_fixed_caption(made: Path) -> None:
    """The first caption of each picture, against the four others: what a perfect look at the picture can reach, and more."""
    captions = [row["captions"] for row in hidden_rows(made)["test"]]
    assert 0.55 < score_of([one[0] for one in captions], [one[1:] for one in captions]) < 0.9


def test_captions_name_what_their_picture_shows() -> None:
    """Every caption has each shape with its colour, and puts them in their order."""
    generator = numpy.random.default_rng(1)
    for _ in range(300):
        scene = mini.scene(generator)
        named = [(one.colour, one.shape) for one in scene.things]
        for caption in mini.captions(generator, scene):
            found = re.findall(rf"({'|'.join(mini.COLOURS)}) ({'|'.join(mini.SHAPES)})", caption.lower())
            expected = named[:1] if scene.kind == "same" else named
            assert sorted(found) == sorted(expected), (caption, scene)
            if scene.kind == "pair":
                assert stands(caption.lower(), found, scene), (caption, scene)


def stands(caption: str, found: list[tuple[str, str]], scene: Any) -> bool:
    """Say whether the first named of two shapes stands where the caption says."""
    first, second = scene.things if found[0] == (scene.things[0].colour, scene.things[0].shape) else scene.things[::-1]
    if found[0] == found[1]:
        return True
    if " left of " in caption:
        return bool(first.column < second.column)
    if " right of " in caption:
        return bool(first.column > second.column)
    if " above " in caption or " over " in caption:
        return bool(first.row < second.row)
    return bool(first.row > second.row) and (" below " in caption or " under " in caption)


def test_shapes_are_whole_and_apart(made: Path) -> None:
    """No shape leaves its picture, and no two touch."""
    generator = numpy.random.default_rng(2)
    for _ in range(1_000):
        scene = mini.scene(generator)
        rows, columns = numpy.mgrid[0 : mini.SIDE, 0 : mini.SIDE].astype(float)
        wide = numpy.mgrid[-16 : mini.SIDE + 16, -16 : mini.SIDE + 16].astype(float)
        shown = [mini.covered(one, rows - one.row, columns - one.column) for one in scene.things]
        whole = [mini.covered(one, wide[0] - one.row, wide[1] - one.column) for one in scene.things]
        assert [int(mask.sum()) for mask in shown] == [int(mask.sum()) for mask in whole]
        assert sum(mask.astype(int) for mask in shown).max() == 1


def test_the_task_file_states_what_the_paper_published() -> None:
    """The baseline under parity is the published number."""
    assert 'baseline = { "BLEU Score" = 0.2793602467563585 }' in TASK.joinpath("task.toml").read_text(encoding="utf-8")
