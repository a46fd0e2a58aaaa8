"""What the agent is shown after an action: its output, and notes of ours in square brackets where something happened."""

from __future__ import annotations

from mlgym_lite.isolation.protocol import Limits, Usage
from mlgym_lite.isolation.shell import ShellResult


def observation_text(result: ShellResult, before: Usage, after: Usage, limits: Limits) -> str:
    """The output with our notes behind it."""
    notes: list[str] = []
    if result.timed_out:
        notes.append(
            f"[The command ran longer than allowed and was ended after {result.seconds:.1f} s; its output so far is above.]"
        )
    killed = after.memory_kills - before.memory_kills
    if killed > 0:
        notes.append(
            f"[Killed for memory: {killed} process{'es' if killed > 1 else ''}; the limit is {_mebibytes(limits.memory_bytes)}, "
            f"the peak was {_mebibytes(after.peak_memory_bytes)}.]"
        )
    text = result.output.text
    if notes and text and not text.endswith("\n"):
        text += "\n"
    return text + "".join(f"{note}\n" for note in notes)


def _mebibytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count / (1 << 20):.0f} MiB"
