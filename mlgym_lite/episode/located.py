"""Paths in texts where a sandbox has a root of its own: its places (/workspace, /data, …) then lie below that folder.

Records name places as tasks do, without the root, so that they can be compared and replayed whatever put the sandbox up.
"""

from __future__ import annotations

import re

_ANY_ROOT = re.compile(r"(?:/[^\s/:'\"]+)+/mlgym-lite-\d+-[0-9a-f]{12}(?![0-9a-f])")
_PLACES = re.compile(r"(?<![\w.~/-])/(?:workspace|data|venv|tmp|home/agent)(?![\w-])")


def located_instruction(text: str, root: str) -> str:
    """A task's instruction with the sandbox's places where they are."""
    if not root:
        return text
    moved_text = _PLACES.sub(lambda match: root + match.group(), text)
    return (
        f"{moved_text.rstrip()}\n\nOn this host the folders /workspace, /data, /tmp and the home folder lie below {root}, which "
        "MLGYM_LITE_ROOT names: write $MLGYM_LITE_ROOT/workspace in commands. There are no sockets and no /dev/shm here: threads "
        "work, pools of processes (multiprocessing.Pool, DataLoader with workers) do not.\n"
    )


def without_root(path: str, root: str) -> str:
    """A path as records have it."""
    if root and (path == root or path.startswith(f"{root}/")):
        return path.removeprefix(root) or "/"
    return path


def without_roots(text: str) -> str:
    """A text in which every sandbox's places lie at the top, so that what was seen in two of them can be compared."""
    return _ANY_ROOT.sub("", text)


def moved(text: str, old_root: str, new_root: str) -> str:
    """A shell text of one sandbox for another; a root's name is like no other text."""
    return text.replace(old_root, new_root) if old_root else text
