"""Compares the submitted captions with the hidden ones; no code of the agent runs.

The submission captions every picture of test.jsonl, and so never tells which are scored: a validation scores the
development rows, the submission the test rows. Rows are joined by image_id, never by their position. The score is
computed here from the captions alone: BLEU over the whole split, with clipped counts, so that repeating words gains
nothing, and the brevity penalty of the closest reference, so that leaving captions out gains nothing. The file is the
agent's: whatever is wrong with it ends in a rejection that says where.
"""

from __future__ import annotations

import csv
import io
import json
import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlgym_judge import Context, Rejected, harmless, run

IDENTIFIER = "image_id"
CAPTION = "caption"
SUBMISSION = "submission.csv"
SIZE_LIMIT_BYTES = 8 * 1024 * 1024
CAPTION_LIMIT_CHARACTERS = 300
SHOWN_CHARACTERS = 40
ORDERS = (1, 2, 3, 4)
BLOCKS = 20
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass
class Counts:
    """What BLEU is made of; the counts of several captions add up."""

    matches: list[int]
    """For n = 1 to 4, how many n-grams are in a reference, each counted at most as often as one reference has it."""
    totals: list[int]
    """For n = 1 to 4, how many n-grams there are."""
    length: int
    """The captions' tokens."""
    reference_length: int
    """The tokens of the references that are closest in length."""


def grade(context: Context) -> dict[str, float]:
    """Return BLEU of the split's captions, and its companions."""
    references = {split: read_references(context.hidden / f"{split}.jsonl") for split in ("dev", "test")}
    captions = read_captions(context.submission / SUBMISSION)
    require_same_identifiers(set(captions), {identifier for rows in references.values() for identifier in rows})
    scored = references[context.split]
    return scores([captions[identifier] for identifier in scored], list(scored.values()), context.seed, parity=context.parity)


def scores(captions: list[str], references: list[list[str]], seed: int, *, parity: bool) -> dict[str, float]:
    """Return corpus BLEU over words, with its standard error, and the published mean of BLEU over characters."""
    counted = [
        counts(tokens(caption), [tokens(text) for text in texts]) for caption, texts in zip(captions, references, strict=True)
    ]
    whole = summed(counted)
    by_characters = character_bleu(captions, references, seed)
    result = {"BLEU": bleu(whole), **{f"BLEU-{order}": bleu(whole, order) for order in ORDERS[:-1]}}
    result |= {"BLEU_standard_error": standard_error(counted), "char_bleu1ref": by_characters, "n": len(captions)}
    return {"BLEU Score": by_characters, **result} if parity else result


def tokens(text: str) -> list[str]:
    """Return a caption's words: letters and digits in lower case, with apostrophes inside words, no other punctuation."""
    return WORD.findall(text.lower())


def ngrams(items: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    """Count the runs of so many items."""
    return Counter(zip(*(items[start:] for start in range(order)), strict=False))


def counts(caption: Sequence[str], references: Sequence[Sequence[str]]) -> Counts:
    """Compare one caption with its references."""
    matches, totals = [], []
    for order in ORDERS:
        said = ngrams(caption, order)
        allowed: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            allowed |= ngrams(reference, order)
        matches.append((said & allowed).total() if hasattr(said, "total") else sum((said & allowed).values()))
        totals.append(sum(said.values()))
    closest = min((len(reference) for reference in references), key=lambda length: (abs(length - len(caption)), length))
    return Counts(matches, totals, len(caption), closest)


def summed(parts: Sequence[Counts]) -> Counts:
    """Add up counts."""
    return Counts(
        [sum(part.matches[at] for part in parts) for at in range(len(ORDERS))],
        [sum(part.totals[at] for part in parts) for at in range(len(ORDERS))],
        sum(part.length for part in parts),
        sum(part.reference_length for part in parts),
    )


def bleu(whole: Counts, order: int = ORDERS[-1]) -> float:
    """Return the geometric mean of the precisions up to an order, times the brevity penalty; 0 where one of them is 0."""
    if 0 in whole.matches[:order]:
        return 0.0
    pairs = zip(whole.matches[:order], whole.totals[:order], strict=True)
    precision = math.fsum(math.log(matched / total) for matched, total in pairs) / order
    return math.exp(min(0.0, 1.0 - whole.reference_length / whole.length) + precision)


def standard_error(counted: Sequence[Counts]) -> float:
    """Return the standard error of BLEU by leaving out one block of pictures after the other (the jackknife)."""
    blocks = min(BLOCKS, len(counted))
    if blocks < 2:
        return 0.0
    parts = [summed(counted[start::blocks]) for start in range(blocks)]
    without = [bleu(summed(parts[:at] + parts[at + 1 :])) for at in range(blocks)]
    mean = math.fsum(without) / blocks
    return math.sqrt((blocks - 1) / blocks * math.fsum((value - mean) ** 2 for value in without))


def character_bleu(captions: Sequence[str], references: Sequence[Sequence[str]], seed: int) -> float:
    """Return the mean over pictures of BLEU over characters, each against one reference drawn at random.

    The published score was computed so: nltk's sentence_bleu was given strings, which it takes for lists of characters.
    """
    draw = random.Random(seed)
    drawn = [texts[draw.randrange(len(texts))] for texts in references]
    return math.fsum(sentence_bleu(caption, text) for caption, text in zip(captions, drawn, strict=True)) / len(captions)


def sentence_bleu(caption: str, reference: str) -> float:
    """Return BLEU over the characters of two texts, both in lower case and stripped of a full stop at the end."""
    return bleu(counts(plain(caption), [plain(reference)]))


def plain(text: str) -> str:
    """Return the text in lower case, with single spaces and without a full stop at its end."""
    return " ".join(text.lower().split()).rstrip(" .")


def read_references(path: Path) -> dict[str, list[str]]:
    """Return the hidden captions by image_id."""
    with path.open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return {line[IDENTIFIER]: line["captions"] for line in lines}


def read_captions(path: Path) -> dict[str, str]:
    """Return the submitted captions by image_id.

    Raises:
        Rejected: The file is missing, too large, or not a table of two columns with a caption of one line in each row.
    """
    reader = csv.reader(io.StringIO(text_of(path), newline=""), strict=True)
    captions: dict[str, str] = {}
    try:
        header = [name.strip() for name in next(reader, [])]
        if sorted(header) != sorted([IDENTIFIER, CAPTION]):
            raise Rejected(f"{SUBMISSION}, line 1: the columns are {shown(','.join(header))}, expected image_id,caption")
        for cells in filter(None, reader):
            place = f"{SUBMISSION}, line {reader.line_num}"
            if len(cells) != len(header):
                raise Rejected(f"{place}: {len(cells)} values, expected {len(header)}; a caption with a comma goes in quotes")
            row = dict(zip(header, cells, strict=True))
            add_caption(captions, row[IDENTIFIER].strip(), row[CAPTION].strip(), place)
    except csv.Error as error:
        raise Rejected(f"{SUBMISSION}, line {reader.line_num}: not a CSV file: {error}") from None
    return captions


def add_caption(captions: dict[str, str], identifier: str, caption: str, place: str) -> None:
    """Add one line's caption.

    Raises:
        Rejected: The image_id has been there before, or the caption is too long or has characters that do not print.
    """
    if identifier in captions:
        raise Rejected(f"{place}, column {IDENTIFIER}: {shown(identifier)} is there twice")
    if len(caption) > CAPTION_LIMIT_CHARACTERS:
        raise Rejected(f"{place}, column {CAPTION}: {len(caption)} characters; at most {CAPTION_LIMIT_CHARACTERS} are taken")
    if not caption.isprintable():
        raise Rejected(f"{place}, column {CAPTION}: {shown(caption)} has a line end or another character that does not print")
    captions[identifier] = caption


def text_of(path: Path) -> str:
    """Return the submission's text.

    Raises:
        Rejected: There is no such file, or it is too large or not UTF-8.
    """
    if not path.is_file():
        raise Rejected(f"{SUBMISSION} is missing; expected a CSV file with the columns image_id,caption")
    size_bytes = path.stat().st_size
    if size_bytes > SIZE_LIMIT_BYTES:
        raise Rejected(f"{SUBMISSION} has {size_bytes} bytes; at most {SIZE_LIMIT_BYTES} are taken")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Rejected(f"{SUBMISSION} is not UTF-8: byte {error.start} cannot be read") from None


def require_same_identifiers(found: set[str], expected: set[str]) -> None:
    """Check that exactly the pictures of test.jsonl are captioned.

    Raises:
        Rejected: Some are missing, or there are others; test.jsonl has all ids, so naming them tells nothing.
    """
    missing, unknown = sorted(expected - found), sorted(found - expected)
    if missing:
        raise Rejected(f"{SUBMISSION}: {len(missing)} ids of test.jsonl are missing, for example {shown(missing[0])}")
    if unknown:
        raise Rejected(f"{SUBMISSION}: {len(unknown)} ids are not in test.jsonl, for example {shown(unknown[0])}")


def shown(text: str) -> str:
    """Return a piece of the submission in a form that fits a message."""
    return repr(harmless(text[:SHOWN_CHARACTERS]))


if __name__ == "__main__":
    run(grade)
