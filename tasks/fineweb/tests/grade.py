"""Scores a language model that is not trusted: one player claims its losses, a second one has to live up to them.

Player A gets whole windows of the hidden text and says what the module's loss is at every position. It has seen the
tokens it is to predict, so that is a claim and no more. Then a sample of positions is drawn, and player B, which never
saw A's windows, gets for each of them the text up to that position, filled up with a repetition of itself. The judge
takes the log-softmax of B's logits and looks the true next token up. The score is

    mean of A's claims + mean over the sample of (B's loss - A's claim)

Whatever the module does, in expectation this is the loss of predictions made without the tokens they are about. For an
honest module the second term is zero but for rounding, and all positions count. At most one in two thousand sampled
positions may differ by more than rounding explains; a claim that is too high counts for no more than that either,
so there is nothing to win by claims that are wild and right on average.

B must never see a token it is asked for: it gets one prefix of a window, and never prefixes of two neighbouring
windows, since the last target of one is the first token of the next. The engine ends A, with all that it has started,
when its link is closed, and that is before B reads the first file of the agent's.

What the module's code says when it fails is shown to the agent as long as it has seen nothing but training text: A first
rehearses with that. From then on it is only told that it failed, since its words could be the hidden text.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mlgym_judge import Context, Player, Rejected, run
from numpy.typing import NDArray

CHECKS = {"full": 4096, "mini": 2048}
ANSWER_SECONDS = {"full": 1200.0, "mini": 240.0}
MESSAGE_SECONDS = {"full": 300.0, "mini": 30.0}
TOLERANCE_NATS = 0.1
CHECKS_FOR_ONE_DEVIATION = 2000
TOKENS_IN_A_MESSAGE = 65_536
TOKENS_AT_ONCE = 8_192
HEADER_BYTES = 1024
LARGEST_EXPONENT = 700.0

Tokens = NDArray[np.uint16]
Places = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The positions at which A's claims are put to the test."""

    windows: Places
    positions: Places


@dataclass(frozen=True, kw_only=True)
class Time:
    """How long players may take."""

    deadline: float
    """Of all answers, on the monotonic clock."""
    message_seconds: float
    """For one answer."""


class Table:
    """One player at work on one module; whoever opens the player closes it."""

    def __init__(self, player: Player, vocabulary: int, window: int, allowed: Time) -> None:
        """Have the player load the agent's files."""
        self._player, self._allowed = player, allowed
        self._vocabulary, self._window = vocabulary, window
        self._tells_why = True
        if self._ask({"vocabulary": vocabulary, "rows": rows_at_once(window)}) != {}:
            raise Rejected("the player's answer to the vocabulary is not the one expected")

    def rehearse(self, windows: Tokens) -> None:
        """Ask both kinds of questions about text that the agent knows, and show it what its code says if it fails."""
        self.claims(windows)
        self.losses(windows[:, :-1], np.zeros(len(windows), np.int64), windows[:, 1])
        self.hide_errors()

    def hide_errors(self) -> None:
        """From now on the player is sent hidden text, and its words are not shown any more."""
        self._tells_why = False

    def claims(self, windows: Tokens) -> Numbers:
        """Return the loss that the player claims for each position of each window.

        Raises:
            Rejected: There is not one loss, finite and not negative, for each.
        """
        answer = self._ask({"windows": windows.tobytes(), "length": self._window + 1})
        losses = numbers_of(answer, "losses", (len(windows), self._window))
        if losses.min() < -TOLERANCE_NATS:
            raise Rejected(f"a loss of {losses.min():.6g} nats was claimed; none can be below 0")
        return losses

    def losses(self, prefixes: Tokens, positions: Places, targets: Tokens) -> Numbers:
        """Return the loss of the player's logits at one position of each row, as the judge finds it.

        Raises:
            Rejected: There are not enough logits for each, or one is not finite.
        """
        answer = self._ask({"prefixes": prefixes.tobytes(), "length": self._window, "positions": positions.tolist()})
        width = answer.get("width") if isinstance(answer, dict) else None
        widest = 2 * self._vocabulary
        if type(width) is not int or not self._vocabulary <= width <= widest:
            raise Rejected(f"the player did not send from {self._vocabulary} to {widest} logits a position")
        logits = numbers_of(answer, "logits", (len(prefixes), width))
        logits -= logits.max(axis=1, keepdims=True)
        true = logits[np.arange(len(logits)), targets.astype(np.int64)]
        losses: Numbers = np.log(np.exp(logits).sum(axis=1)) - true
        return losses

    def _ask(self, message: dict[str, object]) -> Any:
        """Ask the player, which has the time that is left.

        Raises:
            Rejected: As `Player.ask`, without the words of the player where these could tell what is hidden.
        """
        left_seconds = self._allowed.deadline - time.monotonic()
        try:
            return self._player.ask(message, min(left_seconds, self._allowed.message_seconds))
        except Rejected as rejection:
            if self._tells_why:
                raise
            reason = str(rejection).partition("\n")[0].rstrip(":")
            raise Rejected(f"{reason}, on the hidden text; the training text worked. What it said is not shown") from None


def numbers_of(answer: Any, name: str, shape: tuple[int, int]) -> Numbers:
    """Return an array that the player sent.

    Raises:
        Rejected: It is not there, has another size, or holds what is not a finite number.
    """
    payload = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(payload, bytes) or len(payload) != 4 * shape[0] * shape[1]:
        raise Rejected(f"the player sent no {name} of shape {list(shape)} as float32")
    numbers = np.frombuffer(payload, "<f4").reshape(shape).astype(np.float64)
    if not np.isfinite(numbers).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        raise Rejected(f"{name}: {numbers[row, column]} in row {row}, column {column}; expected finite numbers")
    return numbers


def grade(context: Context) -> dict[str, float]:
    """Return the module's mean loss on the hidden text, and what belongs to it."""
    meta = json.loads(context.data.joinpath("meta.json").read_text(encoding="utf-8"))
    vocabulary, window = meta["vocabulary"], meta["window"]
    known = windows_of(context.data / "train_000001.bin", window, rows_at_once(window))
    windows = windows_of(context.hidden / f"{context.split}.bin", window)
    draw = np.random.default_rng([context.seed, context.split == "test"])
    deadline = time.monotonic() + ANSWER_SECONDS[context.variant]
    allowed = Time(deadline=deadline, message_seconds=MESSAGE_SECONDS[context.variant])
    with context.player() as player:
        table = Table(player, vocabulary, window, allowed)
        table.rehearse(known)
        claims = claimed_losses(table, windows, draw)
    sample = drawn_sample(draw, len(windows), window, CHECKS[context.variant])
    with context.player() as player:
        table = Table(player, vocabulary, window, allowed)
        table.hide_errors()
        losses = proven_losses(table, windows, sample)
    gaps = losses - claims[sample.windows, sample.positions]
    refuse_deviations(gaps)
    return summary(claims, np.maximum(gaps, -TOLERANCE_NATS), bytes_of(context.data, windows), parity=context.parity)


def rows_at_once(window: int) -> int:
    """Return how many windows the module gets in one call."""
    return max(1, TOKENS_AT_ONCE // window)


def windows_of(path: Path, window: int, most: int | None = None) -> Tokens:
    """Return the windows of a shard, or the first of them, with one token more each: the first of the next window."""
    count = -1 if most is None else most * window + 1
    tokens = np.fromfile(path, "<u2", count, offset=HEADER_BYTES)
    return np.lib.stride_tricks.sliding_window_view(tokens, window + 1)[::window]


def claimed_losses(table: Table, windows: Tokens, draw: np.random.Generator) -> Numbers:
    """Return A's claims for all windows, which it gets in an order drawn at random."""
    claims = np.empty((len(windows), windows.shape[1] - 1))
    for part in parts(draw.permutation(len(windows)), windows.shape[1] - 1):
        claims[part] = table.claims(windows[part])
    return claims


def drawn_sample(draw: np.random.Generator, windows: int, window: int, checks: int) -> Sample:
    """Return the positions to check: one in each of some windows, no two of which are neighbours.

    Every position is as likely to be drawn as every other one: the windows of even and of odd numbers are equally many.
    """
    chosen = draw.permutation(np.arange(draw.integers(2), windows, 2))[:checks]
    return Sample(windows=chosen, positions=draw.integers(window, size=len(chosen)))


def proven_losses(table: Table, windows: Tokens, sample: Sample) -> Numbers:
    """Return B's loss at each position of the sample."""
    prefixes = filled_up(windows[sample.windows, :-1], sample.positions)
    targets = windows[sample.windows, sample.positions + 1]
    losses = [
        table.losses(prefixes[part], sample.positions[part], targets[part])
        for part in parts(np.arange(len(prefixes)), prefixes.shape[1])
    ]
    return np.concatenate(losses)


def filled_up(windows: Tokens, positions: Places) -> Tokens:
    """Return each window with everything after its position replaced by what stands before, from the beginning."""
    columns = np.arange(windows.shape[1]) % (positions[:, None] + 1)
    return np.take_along_axis(windows, columns, axis=1)


def parts(order: Places, window: int) -> list[Places]:
    """Return the order in pieces that make messages of a moderate size."""
    size = max(1, TOKENS_IN_A_MESSAGE // window)
    return [order[at : at + size] for at in range(0, len(order), size)]


def refuse_deviations(gaps: Numbers) -> None:
    """Refuse a module that does not repeat, without the tokens to come, what it said with them.

    Raises:
        Rejected: More positions differ than rounding explains.
    """
    deviating = np.abs(gaps) > TOLERANCE_NATS
    if deviating.sum() > len(gaps) // CHECKS_FOR_ONE_DEVIATION:
        raise Rejected(
            f"at {deviating.sum()} of {len(gaps)} checked positions the loss changed by more than {TOLERANCE_NATS} nats (by "
            f"up to {np.abs(gaps).max():.3g}, and by {gaps.mean():+.3g} on average) when the tokens after the position were "
            "replaced. The logits at a position may depend on the tokens up to it only: not on later ones, not on other "
            "windows, not on earlier calls, not on chance"
        )


def bytes_of(data: Path, windows: Tokens) -> int | None:
    """Return how many bytes of text the targets stand for, where a table of the tokens' lengths came with the data."""
    path = data / "token_bytes.npy"
    return int(np.load(path, allow_pickle=False)[windows[:, 1:]].sum(dtype=np.int64)) if path.exists() else None


def summary(claims: Numbers, gaps: Numbers, text_bytes: int | None, *, parity: bool) -> dict[str, float]:
    """Return what is reported; under parity the score is A's mean alone, as published scores are a model's own word."""
    gap = float(gaps.mean())
    loss = float(claims.mean()) + (0.0 if parity else gap)
    variances = claims.mean(axis=1).var() / len(claims), gaps.var() / len(gaps)
    result = {
        "val_loss": loss,
        "val_loss_standard_error": math.sqrt(sum(variances)),
        "perplexity": math.exp(min(loss, LARGEST_EXPONENT)),
        "causality_gap": gap,
        "tokens": float(claims.size),
        "checked_positions": float(len(gaps)),
    }
    if text_bytes:
        result["bits_per_byte"] = loss * claims.size / text_bytes / math.log(2)
    return result


if __name__ == "__main__":
    run(grade)
