"""Data as JSON that every browser reads: what is no number there (NaN, infinities) stands as text."""

from __future__ import annotations

import json
import math
from typing import Any


def page_json(content: Any) -> str:
    """The content as ASCII text without spaces."""
    try:
        return _dumped(content)
    except ValueError:
        return _dumped(_with_words(content))


def _dumped(content: Any) -> str:
    return json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def _with_words(content: Any) -> Any:
    if isinstance(content, float) and not math.isfinite(content):
        return str(content)
    if isinstance(content, dict):
        return {key: _with_words(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_with_words(value) for value in content]
    return content
