"""Splits tokenised web text into what the agent sees and what only the judge sees.

Run as `prepare.py OUTPUT_DIR [SOURCE]`. SOURCE is a folder with the shards, `fineweb_val_000000.bin` and
`fineweb_train_000001.bin` and so on, and perhaps GPT-2's `vocab.json`; without it they are downloaded from the Hugging
Face hub. It writes

    OUTPUT_DIR/agent/meta.json            vocabulary and window
    OUTPUT_DIR/agent/train_NNNNNN.bin     the shards to learn from, as they came
    OUTPUT_DIR/agent/token_bytes.npy      how many bytes of text each token stands for (only with vocab.json)
    OUTPUT_DIR/judge/test.bin             the first 10,485,760 tokens of the validation shard and one more
    OUTPUT_DIR/judge/dev.bin              the 2,097,152 tokens that follow and one more

`MLGYM_LITE_FINEWEB_SHARDS` says how many shards there are to learn from: 18 unless it is set, 103 at most.

A download that broke off goes on where it stopped, as the hub's client keeps what it has in its own cache (HF_HOME);
with HF_HUB_OFFLINE=1 that cache must have everything. The cache names a large file after its sha256, which is compared.
A shard is a header of 256 whole numbers of 4 bytes, of which
the first three are 20240520, 1 and the number of tokens, and then the tokens, 2 bytes each.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REPOSITORY, REVISION = "kjj0/fineweb10B-gpt2", "889765ea1f903759787add96995d81171b632d0c"
VOCABULARY_REPOSITORY, VOCABULARY_REVISION = "openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e"
VALIDATION_SHARD = "fineweb_val_000000.bin"
TRAIN_SHARD = "fineweb_train_{:06d}.bin"
VOCABULARY_FILE = "vocab.json"
SHARDS_VARIABLE = "MLGYM_LITE_FINEWEB_SHARDS"
SHARDS, MOST_SHARDS = 18, 103
MAGIC, VERSION, HEADER_INTEGERS = 20_240_520, 1, 256
HEADER_BYTES, TOKEN_BYTES = 4 * HEADER_INTEGERS, 2
VOCABULARY, WINDOW = 50_257, 1024
END_OF_TEXT = "<|endoftext|>"
TEST_TOKENS = 10_485_760
DEVELOPMENT_TOKENS = 2_097_152

Tokens = NDArray[np.uint16]


class SourceError(Exception):
    """The data is not what is expected; the message is for people."""


def prepare(output: Path, source: Path | None, environment: Mapping[str, str]) -> None:
    """Write both trees."""
    shards = wanted_shards(environment)
    place = from_folder(source, shards) if source else downloaded
    agent, judge = output / "agent", output / "judge"
    agent.mkdir(parents=True, exist_ok=True)
    judge.mkdir(parents=True, exist_ok=True)
    hidden = checked_tokens(place(VALIDATION_SHARD), TEST_TOKENS + 1 + DEVELOPMENT_TOKENS + 1)
    write_shard(judge / "test.bin", hidden[: TEST_TOKENS + 1])
    write_shard(judge / "dev.bin", hidden[TEST_TOKENS + 1 :][: DEVELOPMENT_TOKENS + 1])
    say(f"{VALIDATION_SHARD}: {TEST_TOKENS:,} tokens for the test, {DEVELOPMENT_TOKENS:,} for development")
    write_token_bytes(agent / "token_bytes.npy", source, place)
    for number in range(1, shards + 1):
        path = place(TRAIN_SHARD.format(number))
        count = len(checked_tokens(path, WINDOW + 1))
        shutil.copyfile(path, agent / f"train_{number:06d}.bin")
        say(f"{path.name}: {count:,} tokens to learn from ({number} of {shards} shards)")
    agent.joinpath("meta.json").write_text(json.dumps({"vocabulary": VOCABULARY, "window": WINDOW}) + "\n", encoding="utf-8")


def say(line: str) -> None:
    """Show a line at once."""
    print(line, flush=True)


def wanted_shards(environment: Mapping[str, str]) -> int:
    """Return how many shards there are to be to learn from.

    Raises:
        SourceError: The variable does not hold a number of shards.
    """
    text = environment.get(SHARDS_VARIABLE, str(SHARDS))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_SHARDS):
        raise SourceError(f"{SHARDS_VARIABLE} is {text!r}, expected a whole number from 1 to {MOST_SHARDS}")
    return int(text)


def from_folder(folder: Path, shards: int) -> Callable[[str], Path]:
    """Return how to find a file in the user's folder, after a look whether all are there.

    Raises:
        SourceError: Files are missing.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder; expected one with {VALIDATION_SHARD}, {TRAIN_SHARD.format(1)}, …")
    wanted = [VALIDATION_SHARD, *(TRAIN_SHARD.format(number) for number in range(1, shards + 1))]
    missing = [name for name in wanted if not folder.joinpath(name).is_file()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise SourceError(
            f"{folder} lacks {', '.join(missing[:3])}{more}: expected {VALIDATION_SHARD} and {shards} shards to learn from "
            f"({SHARDS_VARIABLE} sets another number)"
        )
    return folder.joinpath


def downloaded(name: str) -> Path:
    """Return a file of the hub, which is downloaded unless the hub's cache has it."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    repository, revision, kind = REPOSITORY, REVISION, "dataset"
    if name == VOCABULARY_FILE:
        repository, revision, kind = VOCABULARY_REPOSITORY, VOCABULARY_REVISION, "model"
    if not isinstance(try_to_load_from_cache(repository, name, revision=revision, repo_type=kind), str):
        say(f"{name}: getting it from {repository}")
    try:
        path = Path(hf_hub_download(repository, name, revision=revision, repo_type=kind))
    except Exception as error:
        raise SourceError(f"{name} of {repository} could not be downloaded: {type(error).__name__}: {error}") from error
    refuse_a_damaged_copy(path)
    return path


def refuse_a_damaged_copy(path: Path) -> None:
    """Compare a file of the hub's cache with its sha256, where the name of what it leads to is one.

    Raises:
        SourceError: It is another file.
    """
    kept = path.resolve()
    if not re.fullmatch("[0-9a-f]{64}", kept.name):
        return
    total = hashlib.sha256()
    with kept.open("rb") as file:
        while piece := file.read(1 << 20):
            total.update(piece)
    if total.hexdigest() != kept.name:
        raise SourceError(f"{kept} has the sha256 {total.hexdigest()}, expected its name. Delete it and get it again")


def checked_tokens(path: Path, least: int) -> Tokens:
    """Return the tokens of a shard, which are read when they are needed.

    Raises:
        SourceError: The file is no such shard, or is not all there, or has too few tokens or impossible ones.
    """
    size = path.stat().st_size
    header = np.fromfile(path, "<i4", count=HEADER_INTEGERS)
    if len(header) < HEADER_INTEGERS or header[0] != MAGIC:
        raise SourceError(f"{path} is no shard of tokens: it does not begin with {MAGIC}, as a number of 4 bytes")
    if header[1] != VERSION:
        raise SourceError(f"{path} is a shard of version {header[1]}, expected {VERSION}")
    count, expected = int(header[2]), HEADER_BYTES + TOKEN_BYTES * int(header[2])
    if size != expected:
        raise SourceError(
            f"{path} has {size:,} bytes, expected {expected:,}: its header tells of {count:,} tokens. Delete it and get it again"
        )
    if count < least:
        raise SourceError(f"{path} has {count:,} tokens, expected {least:,} or more")
    tokens = np.memmap(path, "<u2", "r", offset=HEADER_BYTES)
    if tokens.max() >= VOCABULARY:
        raise SourceError(f"{path} has a token {tokens.max()}, expected GPT-2's, which are all below {VOCABULARY}")
    return tokens


def write_shard(path: Path, tokens: Tokens) -> None:
    """Write tokens behind the header that says how many they are."""
    header = np.zeros(HEADER_INTEGERS, "<i4")
    header[:3] = MAGIC, VERSION, len(tokens)
    path.write_bytes(header.tobytes() + tokens.astype("<u2").tobytes())


def write_token_bytes(path: Path, source: Path | None, place: Callable[[str], Path]) -> None:
    """Write how many bytes each token stands for, unless the user's folder does not tell."""
    if source and not source.joinpath(VOCABULARY_FILE).is_file():
        say(f"{source} has no {VOCABULARY_FILE}: scores will come without bits per byte")
        return
    np.save(path, token_bytes(place(VOCABULARY_FILE)))


def token_bytes(path: Path) -> NDArray[np.uint8]:
    """Return the bytes of each token: GPT-2's vocabulary spells a token with one letter for each byte.

    Raises:
        SourceError: It is not GPT-2's vocabulary.
    """
    try:
        vocabulary = json.loads(path.read_text(encoding="utf-8"))
        numbers = sorted(vocabulary.values())
    except (ValueError, AttributeError, TypeError) as error:
        raise SourceError(f"{path} is not GPT-2's vocabulary: {error}") from error
    if numbers != list(range(VOCABULARY)) or END_OF_TEXT not in vocabulary:
        raise SourceError(f"{path} is not GPT-2's vocabulary, which numbers {VOCABULARY} tokens")
    lengths = np.zeros(VOCABULARY, np.uint8)
    for token, number in vocabulary.items():
        lengths[number] = 0 if token == END_OF_TEXT else len(token)
    return lengths


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: prepare.py OUTPUT_DIR [SOURCE], where SOURCE is a folder of shards")
    try:
        prepare(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else None, os.environ)
    except SourceError as error:
        sys.exit(str(error))
