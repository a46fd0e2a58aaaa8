"""A report as a text with all of its tables: Markdown, LaTeX, or CSV for programs."""

from __future__ import annotations

from collections.abc import Callable

from mlgym_lite.analysis.report import GroupReport, Report
from mlgym_lite.analysis.report_tables import long_table, summary, tables_of
from mlgym_lite.analysis.tables import Table, as_csv, as_latex, as_markdown, escaped_latex, escaped_markdown


def csv_text(report: Report) -> str:
    """One table: a row for each group, task and method."""
    return as_csv(long_table(report))


def markdown_text(report: Report) -> str:
    """Headings for groups, and every table below them."""
    parts = [f"# Report\n\n{escaped_markdown(summary(report))}\n"]
    if report.problems:
        parts.append("\n".join(["Could not be read:\n", *(f"- {escaped_markdown(problem)}" for problem in report.problems), ""]))
    parts += [
        f"## {escaped_markdown(_title(group))}\n\n{_notes(group, escaped_markdown)}\n{_tables(group, as_markdown)}"
        for group in report.groups
    ]
    return "\n".join(parts)


def latex_text(report: Report) -> str:
    """Tables for a document that loads booktabs, by groups."""
    parts = [f"% Made by mlgym-lite report; needs \\usepackage{{booktabs,textcomp}}\n% {_one_line(summary(report))}\n"]
    for group in report.groups:
        parts.append(f"\\section*{{{escaped_latex(_title(group))}}}\n{_notes(group, escaped_latex)}\n{_tables(group, as_latex)}")
    return "\n".join(parts)


def _title(group: GroupReport) -> str:
    return group.group.label[:1].upper() + group.group.label[1:]


def _notes(group: GroupReport, escaped: Callable[[str], str]) -> str:
    return "".join(f"{escaped(note)}\n\n" for note in group.notes)


def _tables(group: GroupReport, form: Callable[[Table], str]) -> str:
    return "\n".join(form(table) for table in tables_of(group))


def _one_line(text: str) -> str:
    return " ".join(text.split())
