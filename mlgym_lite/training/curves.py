"""What a trainer recorded: a line of JSON for each update, read back and drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UPDATES = "updates.jsonl"


@dataclass(frozen=True, kw_only=True)
class Update:
    """One update; means are over its episodes."""

    update: int
    """Its number, from 1."""
    episodes: int
    """Played so far, in all updates."""
    seconds: float
    """So far, without those between stops."""
    reward: float
    """The mean, turns paid for."""
    score: float | None
    """The mean of the submissions that have one, in the metric's unit."""
    scored: float
    """The share of episodes that have one."""
    turns: float
    """The mean number of actions."""
    loss: float
    entropy: float
    """Nats a token."""
    kl: float
    """Nats a token from the first policy; 0 where that is not asked."""
    gradient_norm: float
    """Before it was scaled down."""


def read_updates(path: Path) -> list[Update]:
    """The updates of a file; a last line that was not written whole is left out. Raises ValueError with file and line."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
        try:
            if line.endswith("\n"):
                found.append(Update(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}:{number}: is no update of a training: {error}") from error
    return found


def plot_scores(path: Path, trainings: Mapping[str, Sequence[Sequence[Update]]], *, title: str, unit: str) -> Figure:
    """Draw mean scores over episodes into a file, as its suffix says (.png, .svg, .pdf); the figure comes back.

    Each of a name's trainings is a thin line of the name's colour, their mean a thick one; an update without any score leaves a
    gap.

    Raises:
        ModuleNotFoundError: matplotlib (the extra `plots`) is not installed.
        OSError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.subplots()
    for colour, (name, runs) in zip(cycle(("#1d5fd1", "#b3193f", "#157347", "#7a5b00")), trainings.items(), strict=False):
        for run in runs:
            axes.plot([one.episodes for one in run], [_number(one.score) for one in run], color=colour, alpha=0.3, linewidth=1)
        shared = list(zip(*runs, strict=False))
        means = [fmean(_number(one.score) for one in ones) for ones in shared]
        axes.plot([ones[0].episodes for ones in shared], means, color=colour, linewidth=2.2, label=f"{name} ({len(runs)})")
    axes.set(title=title, xlabel="episodes", ylabel=unit)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    return figure


def _number(score: float | None) -> float:
    return float("nan") if score is None else score
