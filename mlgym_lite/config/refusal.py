"""Refusing a key that a file format knows and this project cannot keep."""

from __future__ import annotations

from typing import Any


class Refusal:
    """A check that a key is not stated; it says why the key cannot be kept here."""

    def __init__(self, because: str) -> None:
        self.because = because

    def __call__(self, value: Any) -> Any:
        """Refuse every value but those that state nothing."""
        if value not in (None, [], {}, ""):
            raise ValueError(f"not supported: {self.because}")
        return value
