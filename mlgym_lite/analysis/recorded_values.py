"""Values out of JSON that others wrote, which may be anything: what is absent is None, what is of another kind is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard


class RecordError(Exception):
    """A file of a run cannot be used; the message names the file and what was expected."""


def json_object(path: Path) -> dict[str, Any]:
    """The object in a file; raises RecordError."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise RecordError(f"{path}: expected a JSON object")
    return content


def table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object under a key; empty where there is none."""
    value = content.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RecordError(f"{key!r}: expected an object, not {value!r:.60}")
    return value


def text(content: Mapping[str, Any], key: str) -> str | None:
    """The text under a key."""
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise RecordError(f"{key!r}: expected a text, not {value!r:.60}")
    return value


def number(content: Mapping[str, Any], key: str) -> float | None:
    """The number under a key."""
    value = content.get(key)
    if value is not None and not is_number(value):
        raise RecordError(f"{key!r}: expected a number, not {value!r:.60}")
    return None if value is None else float(value)


def whole_number(content: Mapping[str, Any], key: str) -> int | None:
    """The whole number under a key."""
    value = number(content, key)
    return None if value is None else int(value)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a number that can be reckoned with."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST


_LARGEST = 1e100
"""Sums of what is larger might be infinite; nothing that a run measures is."""
