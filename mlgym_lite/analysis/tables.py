"""One model of a table, and its forms: for the terminal, as CSV, Markdown, LaTeX and HTML."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlgym_lite.analysis.shown_text import harmless, shown_name

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One place of a table."""

    text: str
    """For people."""
    value: float | str | None = None
    """For programs, unrounded."""
    best: bool = False
    """Whether it is to stand out."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a name for files, a title, and a note below it."""

    name: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    @property
    def columns_of_words(self) -> frozenset[int]:
        """Those that hold no numbers: the first, and others in which every cell is a text."""
        texts = (at for at in range(len(self.heads)) if all(isinstance(row[at].value, str) for row in self.rows))
        return frozenset([0, *texts])


def words(text: str) -> Cell:
    """A cell with a name or words, which others may have written."""
    return Cell(text=shown_name(text), value=shown_name(text))


def amount(value: float | None, decimals: int = 3, *, more: str = "", best: bool = False) -> Cell:
    """A cell with a number, and what stands behind it in text."""
    return Cell(text=number_text(value, decimals) + more, value=value, best=best)


def number_text(value: float | None, decimals: int = 3) -> str:
    """A number for people; — where there is none."""
    if value is None:
        return "—"
    if value and not 0.5 * 10**-decimals <= abs(value) < 1e9:
        return f"{value:.3g}"
    return f"{value:,.{decimals}f}" if not decimals or abs(value) >= 1e4 else f"{value:.{decimals}f}"


def print_table(table: Table, console: Console) -> None:
    """Print it; a table that is wider than the terminal comes in parts, each with the first column."""
    from rich.text import Text

    console.print(Text(table.title, style="bold"), soft_wrap=True)
    for part, columns in enumerate(_parts(table, console.width if console.is_terminal else None)):
        if part:
            console.print()
        console.print(_rich(table, columns), soft_wrap=not console.is_terminal)
    if table.note:
        console.print(Text(table.note, style="dim"), soft_wrap=not console.is_terminal)
    console.print()


def _rich(table: Table, columns: Sequence[int]) -> object:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "left" if column in table.columns_of_words else "right"
        shown.add_column(Text(shown_name(table.heads[column])), justify=justify, no_wrap=column > 0)
    for row in table.rows:
        shown.add_row(*(Text(row[column].text, style="bold" if row[column].best else "") for column in columns))
    return shown


def _parts(table: Table, width: int | None) -> list[list[int]]:
    """The columns of each part."""
    everything = list(range(len(table.heads)))
    if width is None:
        return [everything]
    widths = [
        max(len(shown_name(head)), *(len(row[at].text) for row in table.rows), 1) + 3 for at, head in enumerate(table.heads)
    ]
    parts, used = [[0]], widths[0]
    for column in everything[1:]:
        if used + widths[column] > width and len(parts[-1]) > 1:
            parts.append([0])
            used = widths[0]
        parts[-1].append(column)
        used += widths[column]
    return parts


def as_csv(table: Table) -> str:
    """Numbers unrounded; a name that a spreadsheet would take for a formula gets an apostrophe before it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([_for_spreadsheets(shown_name(head)) for head in table.heads])
    for row in table.rows:
        writer.writerow(["" if cell.value is None else _for_spreadsheets(cell.value) for cell in row])
    return file.getvalue()


def _for_spreadsheets(value: float | str) -> float | str:
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@") else value


def as_markdown(table: Table) -> str:
    """A table of GitHub's kind, with its title as a heading; what is best is bold."""
    lines = [
        f"### {escaped_markdown(table.title)}",
        "",
        _markdown_row([escaped_markdown(shown_name(head)) for head in table.heads]),
    ]
    lines.append(_markdown_row(["---" if at in table.columns_of_words else "---:" for at in range(len(table.heads))]))
    for row in table.rows:
        lines.append(
            _markdown_row([f"**{escaped_markdown(cell.text)}**" if cell.best else escaped_markdown(cell.text) for cell in row])
        )
    return "\n".join([*lines, "", *([escaped_markdown(table.note), ""] if table.note else [])])


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped_markdown(text: str) -> str:
    """Text that Markdown shows as it is."""
    escaped = re.sub(r"([\\`*_{}\[\]|~#!$])", r"\\\1", html.escape(harmless(text), quote=False))
    return escaped.replace("\n", " ")


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "—": "---", "–": "--", "·": r"\textperiodcentered{}", "±": r"\textpm{}", "…": r"\ldots{}", "\n": " ", "\t": " ",
}  # fmt: skip
"""What means something to LaTeX, and what its fonts may lack."""


def as_latex(table: Table) -> str:
    """A table for the package booktabs; what is best is bold."""
    columns = "".join("l" if at in table.columns_of_words else "r" for at in range(len(table.heads)))
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escaped_latex(table.title)}}}", rf"\begin{{tabular}}{{{columns}}}"]
    lines += [r"\toprule", _latex_row([escaped_latex(shown_name(head)) for head in table.heads]), r"\midrule"]
    for row in table.rows:
        lines.append(
            _latex_row([rf"\textbf{{{escaped_latex(cell.text)}}}" if cell.best else escaped_latex(cell.text) for cell in row])
        )
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*lines, *([rf"\\{escaped_latex(table.note)}"] if table.note else []), r"\end{table}", ""])


def escaped_latex(text: str) -> str:
    """Text that LaTeX shows as it is."""
    escaped = "".join(_LATEX.get(character, character) for character in harmless(text))
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped  # else a row would take it for its own option


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def as_html(table: Table) -> str:
    """A table with its title and note; everything in it is text."""
    texts = table.columns_of_words
    heads = "".join(f'<th scope="col"{_side(at in texts)}>{_html(shown_name(head))}</th>' for at, head in enumerate(table.heads))
    rows = "".join(
        f"<tr>{''.join(_html_cell(cell, first=at == 0, words=at in texts) for at, cell in enumerate(row))}</tr>\n"
        for row in table.rows
    )
    note = f'<p class="quiet">{_html(table.note)}</p>\n' if table.note else ""
    title = _html(table.title)
    return (
        f'<section data-table="{_html(table.name)}">\n<h3>{title}</h3>\n'
        f'<div class="scroll" role="region" aria-label="{title}" tabindex="0"><table>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n{note}</section>\n"
    )


def _side(words: bool) -> str:
    return ' class="words"' if words else ""


def _html_cell(cell: Cell, *, first: bool, words: bool) -> str:
    text = _html(cell.text)
    if first:
        return f'<th scope="row">{text}</th>'
    return f"<td><strong>{text}</strong></td>" if cell.best else f"<td{_side(words)}>{text}</td>"


def _html(text: str) -> str:
    return html.escape(harmless(text))
