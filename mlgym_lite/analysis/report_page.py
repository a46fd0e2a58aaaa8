"""The report as one HTML page that opens anywhere: tables as text, plots as pictures within, no program at all.

A content security policy lets nothing load or run but the page's own style, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlgym_lite import __version__
from mlgym_lite.analysis.plots import Plot
from mlgym_lite.analysis.report import GroupReport, Report
from mlgym_lite.analysis.report_tables import counted, summary, tables_of
from mlgym_lite.analysis.shown_text import harmless
from mlgym_lite.analysis.tables import as_html

MARK = "<!-- a page of mlgym-lite report -->"
"""What the second line of every page is."""
_MOST_PROBLEMS = 200

DrawnPlots = Sequence[tuple[Plot, bytes]]
"""Plots with their PNG files."""


def report_page(report: Report, plots: Mapping[str, DrawnPlots], remark: str = "") -> str:
    """The page; `plots` are by the label of their group, `remark` says why there are none."""
    style = (Path(__file__).resolve().parent / "report_page.css").read_text(encoding="utf-8")
    groups = "".join(_group(at, group, plots.get(group.group.label, ())) for at, group in enumerate(report.groups))
    told = f'<p class="quiet">{_text(remark)}</p>\n' if remark else ""
    return (
        f"{_head(style)}<h1>Report on runs</h1>\n<p>{_text(summary(report))}</p>\n{told}"
        f'{_contents(report)}{_problems(report)}{groups}<p class="quiet">Made by mlgym-lite {_text(__version__)}.</p>\n'
        "</main>\n</body>\n</html>\n"
    )


def _head(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return (
        f'<!doctype html>\n{MARK}\n<html lang="en" data-ready="yes">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>mlgym-lite report</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
    )


def _contents(report: Report) -> str:
    if len(report.groups) < 2:
        return ""
    links = "".join(f'<li><a href="#group-{at}">{_text(group.group.label)}</a></li>\n' for at, group in enumerate(report.groups))
    return f"<nav>\n<p>Scores of these kinds are never mixed; each has a part of its own:</p>\n<ul>\n{links}</ul>\n</nav>\n"


def _problems(report: Report) -> str:
    if not report.problems:
        return ""
    shown = "".join(f"<li>{_text(problem)}</li>\n" for problem in report.problems[:_MOST_PROBLEMS])
    more = len(report.problems) - _MOST_PROBLEMS
    further = f"<li>and {more} more</li>\n" if more > 0 else ""
    return f'<section id="problems">\n<h3 class="bad">Could not be read</h3>\n<ul>\n{shown}{further}</ul>\n</section>\n'


def _group(at: int, group: GroupReport, plots: DrawnPlots) -> str:
    notes = "".join(f'<p class="quiet">{_text(note)}</p>\n' for note in group.notes)
    aup, *others = tables_of(group)
    pictures = "".join(_figure(plot, picture) for plot, picture in plots)
    left_out = f" Left out by --k: {group.left_out}." if group.left_out else ""
    label = group.group.label[:1].upper() + group.group.label[1:]
    counts = (
        f"Runs: {group.runs}, of which unfinished: {group.unfinished}. Agents: {len(group.methods)}. Tasks: {len(group.tasks)}. "
        f"Expected of each agent in each task: {counted(group.k, 'run')}.{left_out}"
    )
    return (
        f'<article id="group-{at}">\n<h2>{_text(label)}</h2>\n<p>{_text(counts)}</p>\n{notes}'
        f'{as_html(aup)}<div class="plots">\n{pictures}</div>\n{"".join(map(as_html, others))}</article>\n'
    )


def _figure(plot: Plot, picture: bytes) -> str:
    image = f'<img alt="{_text(plot.title)}" src="data:image/png;base64,{base64.b64encode(picture).decode("ascii")}">'
    return (
        f'<figure class="{"wide" if plot.wide else "small"}"><figcaption>{_text(plot.title)} '
        f'<span class="quiet">{_text(plot.note)}</span></figcaption>'
        f'<div class="scroll" role="region" aria-label="{_text(plot.title)}" tabindex="0">{image}</div></figure>\n'
    )


def _text(text: str) -> str:
    return html.escape(harmless(text))
