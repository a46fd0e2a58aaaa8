"""The page: one HTML file with its style, its program and its data, which opens without a network and without a server.

What an agent printed is data and stays data: it lies in the page as base64 of deflated JSON, the program shows it as text only,
and a content security policy lets nothing run or load but the page's own program and style, by their hashes.

The file is written piece by piece: of a run, only the summary of each step is held in memory.
"""

from __future__ import annotations

import base64
import hashlib
import html
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from mlgym_lite import __version__
from mlgym_lite.analysis.viewer.followed_run import FollowedRun
from mlgym_lite.analysis.viewer.page_json import page_json
from mlgym_lite.analysis.viewer.run_data import run_data, start_data, step_details

_ASSETS = Path(__file__).resolve().parent / "assets"
_SCRIPTS = ("text.js", "store.js", "charts.js", "overview.js", "steps.js", "search.js", "keys.js", "main.js")
_CHUNK_BYTES = 256 << 10
MARK = "<!-- a page of mlgym-lite view -->"
"""What the second line of every page is."""


def write_page(runs: Sequence[FollowedRun], file: IO[str]) -> None:
    """Write the page of runs that have been read."""
    file.write(_head("mlgym-lite: " + ", ".join(run.name for run in runs[:3]), live=False))
    shown = []
    for number, run in enumerate(runs):
        chunks = []
        for at, (first, packed) in enumerate(_chunks(run)):
            chunks.append(first)
            file.write(f'<script type="text/plain" id="chunk-{number}-{at}">{packed}</script>\n')
        file.write(f'<script type="text/plain" id="start-{number}">{_packed(start_data(run))}</script>\n')
        shown.append({**run_data(run), "chunks": chunks})
    file.write(f'<script type="text/plain" id="runs">{_packed({"version": __version__, "runs": shown})}</script>\n')
    file.write(_foot())


def live_page() -> str:
    """The page that asks its server for runs in progress."""
    return _head("mlgym-lite: live", live=True) + _foot()


def _chunks(run: FollowedRun) -> Iterator[tuple[int, str]]:
    """The details of steps, packed some together: the place of the first, and the text."""
    first, held, size = 0, list[dict[str, Any]](), 0
    for at, place in enumerate(run.places):
        held += step_details(run, at, at + 1)
        size += place.length
        if size >= _CHUNK_BYTES:
            yield first, _packed(held)
            first, held, size = at + 1, [], 0
    if held:
        yield first, _packed(held)


def _packed(content: Any) -> str:
    """JSON, deflated, as base64: nothing in it can end the element that holds it."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return base64.b64encode(packer.compress(page_json(content).encode("ascii")) + packer.flush()).decode("ascii")


def _script() -> str:
    parts = [(_ASSETS / name).read_text(encoding="utf-8") for name in _SCRIPTS]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "\n})();\n"


def _style() -> str:
    return (_ASSETS / "page.css").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"


def _head(title: str, *, live: bool) -> str:
    asked = "'self'" if live else "'none'"
    policy = (
        f"default-src 'none'; script-src {_hash(_script())}; style-src {_hash(_style())}; img-src data:; "
        f"connect-src {asked}; base-uri 'none'; form-action 'none'"
    )
    return (
        f"<!doctype html>\n{MARK}\n"
        f'<html lang="en" data-live="{"yes" if live else "no"}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_style()}</style>\n</head>\n<body>\n"
        '<noscript>This page needs JavaScript, of which it brings its own.</noscript>\n<main id="page"></main>\n'
    )


def _foot() -> str:
    return f"<script>{_script()}</script>\n</body>\n</html>\n"
