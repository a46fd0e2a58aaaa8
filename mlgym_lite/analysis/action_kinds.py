"""Actions by kind, told from how they begin; the kinds and their order are those of MLGym's evaluation."""

from __future__ import annotations

KINDS = ("edit", "view", "validate", "submit", "search", "python", "bash")

_BEGINNINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("edit", ("create", "edit", "insert")),
    ("view", ("open", "goto", "scroll_up", "scroll_down")),
    ("validate", ("validate",)),
    ("submit", ("submit",)),
    ("search", ("search_dir", "search_file", "find_file")),
    ("python", ("torchrun", "python", "python3", "accelerate", "deepspeed")),
)


def kind_of(action: str) -> str:
    """The first kind with a beginning that the action has; else it is bash."""
    action = action.lstrip()
    return next((kind for kind, beginnings in _BEGINNINGS if action.startswith(beginnings)), "bash")
