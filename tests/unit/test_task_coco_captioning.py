"""The captioning task counts BLEU as it is defined and refuses what is no table of captions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from grading_harness import TASKS, module_at

grade: Any = module_at(TASKS / "coco_captioning" / "tests" / "grade.py")


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


def test_the_tokeniser_drops_case_and_punctuation() -> None:
    """Words are compared in lower case, apostrophes inside them kept."""
    assert grade.tokens("A dog's Ball, on_grass.") == ["a", "dog's", "ball", "on", "grass"]


def test_empty_captions_score_nothing() -> None:
    """No word, no score, and no failure."""
    assert grade.scores(["", ""], [["a b c d e"], ["a b c d"]], 1, parity=True)["BLEU"] == 0.0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"caption\na\n",
        b"image_id,caption\n1,a\n1,b\n",
        b'image_id,caption\n1,"a\nb"\n',
        b"image_id,caption\n1," + b"a" * 400,
    ],
)
def test_other_files_are_rejected(tmp_path: Path, content: bytes) -> None:
    """What is no table of printable captions is the submission's fault."""
    path = tmp_path / "submission.csv"
    path.write_bytes(content)
    if content:
        with pytest.raises(grade.Rejected):
            grade.read_captions(path)
    else:
        with pytest.raises(grade.Rejected, match="line 1"):
            grade.read_captions(path)
