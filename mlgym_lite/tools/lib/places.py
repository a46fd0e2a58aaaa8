"""Paths without links, as the agent knows them: where the sandbox's places are themselves links, those stay.

A sandbox without mounts shows its places below MLGYM_LITE_ROOT as links to the host's folders, whose names are nobody's concern.
"""

# ruff: noqa: PTH118
from __future__ import annotations

import os

PLACES = ("workspace", "venv", "data")


def real_path(name: str) -> str:
    """The path a name leads to, links followed but for those of the sandbox itself."""
    path = os.path.realpath(name)
    root = os.environ.get("MLGYM_LITE_ROOT")
    for place in PLACES if root else ():
        shown = os.path.join(root or "", place)
        top = os.path.realpath(shown)
        if path == top or path.startswith(top + "/"):
            return shown + path[len(top) :]
    return path
