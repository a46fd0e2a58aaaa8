"""The agent `human`: a person at a prompt, in the same sandbox and with the same tools as any other agent.

The prompt has line editing and a history that is kept between episodes. An input goes on over several lines while a
here-document, a quote or an `edit` block is open, and after a backslash. Ctrl-C at the prompt drops the input; Ctrl-D ends.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from mlgym_lite.agents.protocol import Action, Observation, PlainAgent, Stop

_BLOCK = re.compile(r"^[ \t]*(edit[ \t]+\d+:\d+|insert[ \t]+\d+)[ \t]*$")
_HISTORY_LENGTH = 2000


class HumanAgent(PlainAgent):
    """Asks a person for each action."""

    name = "human"
    watches = True

    def __init__(
        self,
        *,
        history: Path,
        show: Callable[[str], None],
        is_complete: Callable[[str], bool],
        prompt: Callable[[], str],
    ) -> None:
        """`show` prints text, `is_complete` tells whether a shell text is a whole input, `prompt` makes the prompt."""
        self._history = history
        self._show = show
        self._is_complete = is_complete
        self._prompt = prompt
        self._started = False

    def next_action(self, observation: Observation) -> Action | Stop:
        """What the person typed; the end at Ctrl-D."""
        if not self._started:
            self._started = True
            self._load_history()
            self._show(observation.text)
        while True:
            try:
                action = self._read()
            except EOFError:
                self._show("\n")
                self._save_history()
                return Stop(reason="gave_up")
            except KeyboardInterrupt:
                self._show("\n")
                continue
            if action.strip():
                self._save_history()
                return Action(text=action)

    def _read(self) -> str:
        lines = [input(self._prompt())]
        while not self._whole(lines):
            lines.append(input("> "))
        return "\n".join(lines)

    def _whole(self, lines: list[str]) -> bool:
        for number, line in enumerate(lines):
            match = _BLOCK.match(line)
            if match:
                closing = "end_of_edit" if match[1].startswith("edit") else "end_of_insert"
                return closing in (later.strip() for later in lines[number + 1 :])
        return not lines[-1].endswith("\\") and self._is_complete("\n".join(lines))

    def _load_history(self) -> None:
        with contextlib.suppress(ImportError, OSError):
            import readline

            readline.set_history_length(_HISTORY_LENGTH)
            readline.read_history_file(self._history)

    def _save_history(self) -> None:
        with contextlib.suppress(ImportError, OSError):
            import readline

            self._history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(self._history)
