"""A report as a folder: the page, JSON, CSV, Markdown, LaTeX, and the plots as PNG and PDF."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mlgym_lite.analysis.plots import Plot, PlotsMissing, draw, plots_of
from mlgym_lite.analysis.report import GroupReport, Report
from mlgym_lite.analysis.report_json import report_json
from mlgym_lite.analysis.report_page import MARK, report_page
from mlgym_lite.analysis.report_tables import tables_of
from mlgym_lite.analysis.report_texts import csv_text, latex_text, markdown_text
from mlgym_lite.analysis.tables import as_csv
from mlgym_lite.errors import OutputError
from mlgym_lite.whole_files import write_whole


@dataclass(frozen=True, kw_only=True)
class WrittenReport:
    """What was written."""

    files: tuple[str, ...]
    """Paths below the folder."""
    remark: str
    """Why there are no plots; empty where there are."""


def check_folder(folder: Path) -> None:
    """Raise OutputError unless the folder is new, empty, or holds a report of ours, which is replaced."""
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise OutputError(f"{folder}: is not a folder; name another --output")
        if any(folder.iterdir()) and not _is_ours(folder / "report.html"):
            raise OutputError(f"{folder}: holds something else than a report; name another --output")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be read: {error.strerror or error}; name another --output") from error


def write_report(report: Report, folder: Path) -> WrittenReport:
    """Write everything; raises OutputError."""
    check_folder(folder)
    drawn: dict[str, list[tuple[Plot, bytes]]] = {}
    contents: dict[str, bytes] = {}
    remark = ""
    for group in report.groups:
        name = _folder_name(group)
        contents.update({f"{name}/{table.name}.csv": as_csv(table).encode() for table in tables_of(group)})
        try:
            for plot in plots_of(group):
                files = draw(plot, ("png", "pdf"))
                contents.update({f"{name}/{plot.name}.{kind}": content for kind, content in files.items()})
                drawn.setdefault(group.group.label, []).append((plot, files["png"]))
        except PlotsMissing as error:
            remark = str(error)
    contents["report.json"] = (json.dumps(report_json(report), indent=1) + "\n").encode()
    contents["scores.csv"] = csv_text(report).encode()
    contents["report.md"] = markdown_text(report).encode()
    contents["report.tex"] = latex_text(report).encode()
    contents["report.html"] = report_page(report, drawn, remark).encode()
    try:
        for path, content in contents.items():
            _write(folder / path, content)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}; name another --output") from error
    return WrittenReport(files=tuple(sorted(contents)), remark=remark)


def _folder_name(group: GroupReport) -> str:
    """The folder of a group's files; its parts come from records, so only letters and digits of them are kept."""
    parts = ("".join(letter for letter in part if letter.isascii() and letter.isalnum()) for part in group.group)
    return "-".join(part[:40] or "other" for part in parts)


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return MARK.encode("ascii") in file.read(200)
    except OSError:
        return False


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
