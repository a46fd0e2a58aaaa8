"""The plots of a report, drawn with matplotlib, which is loaded when one is drawn.

Names in them are text: nothing that a name holds is taken for a formula.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mlgym_lite.analysis import aup
from mlgym_lite.analysis.report import GroupReport, MethodTotals, Sum
from mlgym_lite.analysis.report_tables import FAULTS
from mlgym_lite.analysis.scored_run import TaskKey
from mlgym_lite.analysis.shown_text import shown_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#1d5fd1", "#c2500a", "#157347", "#8a2fb8", "#b3193f", "#0b7285", "#7a5b00", "#4b5563", "#5b8def", "#e08a3c")
_STYLES = ("-", "--", ":", "-.")
_FAULT_COLOURS = {
    "agent": "#157347", "limit": "#d9a514", "task": "#8a2fb8", "us": "#b3193f", "user": "#0b7285",
    "unknown": "#8b95a3", "unfinished": "#d9dde3",
}  # fmt: skip
_WIDTH = 5.6
_SETTINGS: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


class PlotsMissing(Exception):
    """matplotlib is not installed."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One figure, named for files."""

    name: str
    title: str
    note: str
    draw: Callable[[], Figure]
    wide: bool = False
    """Whether it has many panels."""


def plots_of(group: GroupReport) -> list[Plot]:
    """What can be plotted of a group; nothing is drawn yet."""
    profiles = Plot(
        name="profile",
        title="Performance profiles",
        note="The share of tasks in which the best score is at most so many times worse than the best of all.",
        draw=lambda: _profiles(group),
    )
    scores = Plot(
        name="scores",
        title="Best score over steps",
        note="The mean, over the runs that had a score by then, of the best so far. Dashed: the baseline.",
        draw=lambda: _scores(group),
        wide=True,
    )
    endings = Plot(name="endings", title="How runs ended", note="By whose doing it was.", draw=lambda: _endings(group))
    return [profiles, *_aup_plots(group), endings, scores]


def _aup_plots(group: GroupReport) -> list[Plot]:
    """AUP against the first of cost, tokens and time that is more than nothing for some method."""
    for quantity in _QUANTITIES:
        sums = [quantity.of(totals) for totals in group.methods.values()]
        if any(found is not None and found.total > 0 for found in sums):
            note = f"{quantity.note}, and AUP of the best submission."
            drawn = partial(_aup_against, group, quantity)
            return [Plot(name="aup-cost", title=f"AUP against {quantity.title}", note=note, draw=drawn)]
    return []


def draw(plot: Plot, formats: Sequence[str]) -> dict[str, bytes]:
    """The figure as files of these formats; raises PlotsMissing."""
    try:
        import matplotlib
    except ImportError as error:
        raise PlotsMissing("plots need matplotlib: pip install 'mlgym-lite[plots]'") from error
    with matplotlib.rc_context(_SETTINGS), _missing_letters_are_boxes():
        figure = plot.draw()
        figure.draw_without_rendering()
        as_it_is: Any = "none"
        figure.set_layout_engine(as_it_is)  # finding the layout takes longer than drawing
        return {kind: _file(figure, kind) for kind in formats}


@contextmanager
def _missing_letters_are_boxes() -> Iterator[None]:
    """A letter that the font lacks is no reason to warn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _file(figure: Figure, kind: str) -> bytes:
    file = io.BytesIO()
    dates: dict[str, Any] = {"metadata": {"CreationDate": None}} if kind == "pdf" else {}
    figure.savefig(file, format=kind, dpi=144, **dates)
    return file.getvalue()


def _figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, [axes for row in figure.subplots(rows, columns, squeeze=False) for axes in row]


def _line(names: Sequence[str], name: str) -> dict[str, Any]:
    """Colour and style of a name, the same in every plot; the baseline is grey."""
    if name == aup.BASELINE:
        return {"color": "#6b7280", "linestyle": "--", "linewidth": 1.2}
    at = list(names).index(name)
    return {"color": _COLOURS[at % len(_COLOURS)], "linestyle": _STYLES[at // len(_COLOURS) % len(_STYLES)], "linewidth": 1.6}


def _text(name: str) -> str:
    """A name that is neither a formula nor, for a `_` at its beginning, left out of the legend; long ones lack their middle."""
    shown = shown_name(name)
    shown = shown if len(shown) <= _LONGEST_LABEL else f"{shown[: _LONGEST_LABEL // 2]}…{shown[1 - _LONGEST_LABEL // 2 :]}"
    shown = shown.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


_LONGEST_LABEL = 36


def _legend(figure: Figure, axes: Axes) -> None:
    """Below the plot, in as many columns as there is room for."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = max(1, min(4, 80 // (max(map(len, labels)) + 6)))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def _profiles(group: GroupReport) -> Figure:
    names = list(group.methods)
    figure, (attempt, submission) = _figure(_WIDTH, 3.6 + 0.11 * len(names), 1, 2)
    grid = aup.grid_to(group.aup.tau_max)
    for axes, ratios, title in (
        (attempt, group.aup.attempt_ratios, f"best attempt@{group.k}"),
        (submission, group.aup.submission_ratios, f"best submission@{group.k}"),
    ):
        for name in [*names, aup.BASELINE]:
            axes.step(grid, aup.profile(ratios, name, grid), where="post", label=_text(name), **_line(names, name))
        axes.set(title=title, xlabel="tolerance τ (log10 of the ratio)", ylim=(-0.02, 1.02), xlim=(0, group.aup.tau_max or 1))
        axes.grid(alpha=0.25)
    attempt.set_ylabel("share of tasks")
    _legend(figure, attempt)
    return figure


@dataclass(frozen=True, kw_only=True)
class _Quantity:
    """What AUP is plotted against: the mean over a method's runs."""

    title: str
    axis: str
    note: str
    of: Callable[[MethodTotals], Sum | None]


_QUANTITIES = (
    _Quantity(title="cost", axis="USD a run", note="The mean cost of a run", of=lambda totals: totals.cost_usd),
    _Quantity(
        title="tokens", axis="input tokens a run", note="No run recorded a cost: the mean of input tokens",
        of=lambda totals: totals.input_tokens,
    ),
    _Quantity(
        title="time", axis="seconds a run", note="No run recorded cost or tokens: the mean seconds of a run",
        of=lambda totals: totals.seconds,
    ),
)  # fmt: skip


def _aup_against(group: GroupReport, quantity: _Quantity) -> Figure:
    names = list(group.methods)
    figure, (axes,) = _figure(_WIDTH, 3.4 + 0.11 * len(names))
    for name, totals in group.methods.items():
        found = quantity.of(totals)
        if found is not None:
            place = found.total / found.runs, group.aup.best_submission[name]
            axes.scatter(*place, s=46, color=_line(names, name)["color"], label=_text(name), zorder=3)
    axes.axhline(group.aup.best_submission[aup.BASELINE], label="baseline", **_line(names, aup.BASELINE))
    axes.set(xlabel=quantity.axis, ylabel="AUP, best submission")
    axes.margins(0.12)
    axes.grid(alpha=0.25)
    _legend(figure, axes)
    return figure


def _scores(group: GroupReport) -> Figure:
    names, tasks = list(group.methods), group.tasks
    columns = min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    figure, all_axes = _figure(max(_WIDTH, 3.0 * columns), 2.3 * rows + 0.5 + 0.06 * len(names), rows, columns)
    for axes, task in zip(all_axes, tasks, strict=False):
        _score_panel(group, axes, task, names)
    for axes in all_axes[len(tasks) :]:
        axes.set_axis_off()
    from matplotlib.lines import Line2D

    keys = [Line2D([], [], label=_text(name), marker="o", markersize=3, **_line(names, name)) for name in names]
    fitting = max(1, min(4, 40 * columns // (max(len(_text(name)) for name in names) + 6)))
    figure.legend(handles=keys, loc="outside lower center", ncols=fitting, frameon=False, fontsize=8)
    return figure


def _score_panel(group: GroupReport, axes: Axes, task: TaskKey, names: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    for name in names:
        curve = group.curves.get((task, name))
        if curve is not None and curve.steps:
            axes.plot(curve.steps, curve.values, marker="o", markersize=2.5, drawstyle="steps-post", **_line(names, name))
    baseline = group.baselines[task]
    if baseline is not None:
        axes.axhline(baseline, color="#6b7280", linestyle="--", linewidth=1)
    arrow = "less" if task.direction == "minimize" else "more"
    axes.set_title(_text(task.name), fontsize=9)
    axes.set_xlabel("step", fontsize=8)
    axes.set_ylabel(_text(f"{task.metric} ({arrow} is better)"), fontsize=7)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(alpha=0.25)


def _endings(group: GroupReport) -> Figure:
    from matplotlib.ticker import MaxNLocator

    names = list(group.methods)
    figure, (axes,) = _figure(_WIDTH, 1.5 + 0.34 * len(names))
    left = [0] * len(names)
    for fault, shown in {**FAULTS, "unfinished": "unfinished"}.items():
        counts = [_ended(group.methods[name], fault) for name in names]
        if any(counts):
            axes.barh(range(len(names)), counts, left=left, color=_FAULT_COLOURS[fault], label=shown, height=0.7)
            left = [before + count for before, count in zip(left, counts, strict=True)]
    axes.yaxis.set_ticks([float(at) for at in range(len(names))], labels=[_text(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("runs")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, axes)
    return figure


def _ended(totals: MethodTotals, fault: str) -> int:
    """How many runs ended by a fault; one that no table knows counts as not recorded."""
    if fault == "unfinished":
        return totals.unfinished
    return sum(count for (whose, _), count in totals.endings.items() if (whose if whose in FAULTS else "unknown") == fault)
