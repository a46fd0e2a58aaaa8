"""Generates the mini variant's text: what a hidden Markov model says, in the shard format of the real data.

Run as `make_mini.py OUTPUT_DIR`; numpy is all it needs. It writes

    OUTPUT_DIR/agent/meta.json            vocabulary and window
    OUTPUT_DIR/agent/train_000001.bin     the tokens to learn from
    OUTPUT_DIR/agent/token_bytes.npy      how many bytes of text a token stands for: always 1
    OUTPUT_DIR/judge/dev.bin              the tokens that a validation scores
    OUTPUT_DIR/judge/test.bin             the tokens that the submission is scored on

The model and the training tokens come from a fixed seed, so that scores can be compared between hosts; the tokens of
dev.bin and test.bin come from the system's randomness, so that whoever has read this file still does not know them.

Text is written by many chains side by side that are put one after the other: the hidden text by few, since a joint, where
the text starts anew, costs every reader some 10 nats (0.001 nats a token). `bayes_loss` is the mean loss of a reader who
knows the model, but not the joints, and sees one window at a time.
"""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SEED = 20_240_520
STATES = 32
VOCABULARY = 256
TRANSITION_CONCENTRATION = 0.03
EMISSION_CONCENTRATION = 0.01
WINDOW = 128
TRAIN_CHAINS, HIDDEN_CHAINS = 1024, 64
TRAIN_TOKENS = 4_194_304
DEV_WINDOWS = 2_048
TEST_WINDOWS = 4_096
MAGIC, VERSION, HEADER_INTEGERS = 20_240_520, 1, 256
TINY = 1e-12

Numbers = NDArray[np.float64]
Tokens = NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class Markov:
    """A hidden Markov model; each row of the tables is a distribution."""

    start: Numbers
    """Of the first state: the chain's stationary distribution."""
    transitions: Numbers
    """State by next state."""
    emissions: Numbers
    """State by token."""


def fixed_model() -> Markov:
    """Return the model that writes the text."""
    draw = np.random.default_rng(SEED)
    transitions = sparse_rows(draw, STATES, TRANSITION_CONCENTRATION)
    emissions = sparse_rows(draw, VOCABULARY, EMISSION_CONCENTRATION)
    start = np.full(STATES, 1 / STATES)
    for _ in range(10_000):
        start = start @ transitions
    return Markov(start=start / start.sum(), transitions=transitions, emissions=emissions)


def sparse_rows(draw: np.random.Generator, columns: int, concentration: float) -> Numbers:
    """Return one distribution for each state, most of whose weight lies on few columns."""
    rows = draw.dirichlet(np.full(columns, concentration), size=STATES) + TINY
    return rows / rows.sum(axis=1, keepdims=True)


def written_text(model: Markov, draw: np.random.Generator, length: int, chains: int) -> Tokens:
    """Return so many tokens of text."""
    steps = -(-length // chains)
    next_state = np.cumsum(model.transitions, axis=1)
    next_token = np.cumsum(model.emissions, axis=1)
    text = np.empty((chains, steps), np.uint16)
    states = drawn(np.broadcast_to(np.cumsum(model.start), (chains, STATES)), draw)
    for step in range(steps):
        text[:, step] = drawn(next_token[states], draw)
        states = drawn(next_state[states], draw)
    return text.reshape(-1)[:length]


def drawn(cumulated: Numbers, draw: np.random.Generator) -> NDArray[np.int64]:
    """Return one draw for each row of cumulated probabilities."""
    level = draw.random((len(cumulated), 1)) * cumulated[:, -1:]
    return (cumulated < level).sum(axis=1)


def bayes_loss(model: Markov, windows: Tokens) -> float:
    """Return the mean loss, in nats per token, of the forward algorithm on windows of inputs and one more target each."""
    belief = np.broadcast_to(model.start, (len(windows), len(model.start)))
    losses = []
    for column in windows.T:
        joint = belief * model.emissions[:, column].T
        total = joint.sum(axis=1, keepdims=True)
        losses.append(-np.log(total))
        belief = (joint / total) @ model.transitions
    return float(np.mean(losses[1:]))


def write_shard(path: Path, tokens: Tokens) -> None:
    """Write tokens behind the header that says how many they are."""
    header = np.zeros(HEADER_INTEGERS, "<i4")
    header[:3] = MAGIC, VERSION, len(tokens)
    path.write_bytes(header.tobytes() + tokens.astype("<u2").tobytes())


def main(output: Path) -> None:
    """Write both trees."""
    agent, judge = output / "agent", output / "judge"
    agent.mkdir(parents=True, exist_ok=True)
    judge.mkdir(parents=True, exist_ok=True)
    model = fixed_model()
    agent.joinpath("meta.json").write_text(json.dumps({"vocabulary": VOCABULARY, "window": WINDOW}) + "\n", encoding="utf-8")
    np.save(agent / "token_bytes.npy", np.ones(VOCABULARY, np.uint8))
    training_text = written_text(model, np.random.default_rng(SEED + 1), TRAIN_TOKENS, TRAIN_CHAINS)
    write_shard(agent / "train_000001.bin", training_text)
    fresh = np.random.default_rng(secrets.randbits(128))
    for name, windows in (("dev.bin", DEV_WINDOWS), ("test.bin", TEST_WINDOWS)):
        write_shard(judge / name, written_text(model, fresh, windows * WINDOW + 1, HIDDEN_CHAINS))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_mini.py OUTPUT_DIR")
    main(Path(sys.argv[1]))
