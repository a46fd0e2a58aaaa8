"""All that one call of a tool gets from its surroundings: environment, standard input and the remembered state."""

# ruff: noqa: PTH118
from __future__ import annotations

import os

from . import state
from .arguments import LONGEST_NUMBER
from .messages import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_WINDOW = 1000
SMALLEST_WINDOW = 3


class Session:
    """Lives for one call; `commands` makes it, and stores its state when the command is done."""

    def __init__(self, environment: Mapping[str, str], read_standard_input: Callable[[], bytes]) -> None:
        self.environment = environment
        self.read_standard_input = read_standard_input
        self.state_path = os.path.join(environment.get("HOME") or "/tmp", ".mlgym_lite", "state.json")
        self.state = state.load(self.state_path)
        self._stored = self.state.as_json()

    def window_size(self) -> int:
        """Lines in a window: MLGYM_LITE_WINDOW, or 1000; raises Refusal when that is no usable number."""
        text = self.environment.get("MLGYM_LITE_WINDOW") or str(DEFAULT_WINDOW)
        is_number = text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
        if not is_number or int(text) < SMALLEST_WINDOW:
            raise Refusal(f"Error: MLGYM_LITE_WINDOW must be a number of lines, at least {SMALLEST_WINDOW}.")
        return int(text)

    def open_file(self) -> str:
        """The open file's path; raises Refusal when none is open."""
        if self.state.open_file is None:
            raise Refusal("Error: no file is open. Open one first: open PATH")
        return self.state.open_file

    def store(self) -> None:
        """Remember the state for the next call, if it has changed; raises Refusal when it cannot be written."""
        if self.state.as_json() == self._stored:
            return
        try:
            state.save(self.state_path, self.state)
        except OSError as error:
            raise Refusal(f"Error: the open file could not be remembered in {self.state_path}: {error.strerror}.") from error
