"""What the agent is shown after an action: its output, and notes of ours in square brackets where something happened.

What an action used is told beside it, from the counters before and after.
"""

from __future__ import annotations

from mlgym_lite.config.task_file import WORKSPACE
from mlgym_lite.isolation.protocol import Limits, Usage
from mlgym_lite.isolation.shell_run import ShellResult

SUBMITTED_NOTE = "[Submitted: the episode has ended.]\n"


def notes_on(result: ShellResult, before: Usage, after: Usage, limits: Limits) -> str:
    """What the agent is told beside the output, a line for each thing."""
    notes: list[str] = []
    if result.interrupted:
        notes.append(f"[You interrupted the command after {result.seconds:.1f} s.]")
    elif result.timed_out and not result.stopped:
        notes.append(
            f"[The command ran longer than allowed and was ended after {result.seconds:.1f} s; its output so far is above.]"
        )
    if result.storage_note:
        notes.append(result.storage_note)
    killed = after.memory_kills - before.memory_kills
    if killed > 0:
        notes.append(
            f"[Killed for memory: {killed} process{'es' if killed > 1 else ''}; the limit is {_mebibytes(limits.memory_bytes)}, "
            f"the peak was {_mebibytes(after.peak_memory_bytes)}.]"
        )
    return "".join(f"{note}\n" for note in notes)


def with_notes(output: str, notes: str) -> str:
    """The observation: output first, notes on lines of their own."""
    return f"{output}\n{notes}" if notes and output and not output.endswith("\n") else output + notes


def _mebibytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count / (1 << 20):.0f} MiB"


def new_shell_note(result: ShellResult) -> str:
    """What the agent is told when its shell ended with an action."""
    why = "did not answer and was ended" if result.timed_out else "ended with this command"
    return (
        f"[The shell {why}; a new one is running in {WORKSPACE}. The files in {WORKSPACE} and /venv are kept; variables, "
        "background jobs, /tmp and the home folder are gone.]\n"
    )


def resources_between(before: Usage, after: Usage) -> dict[str, float | int | None]:
    """What one action used; the peak is the sandbox's so far."""
    used = None if after.cpu_seconds is None else after.cpu_seconds - (before.cpu_seconds or 0.0)
    return {"peak_memory_bytes": after.peak_memory_bytes, "cpu_seconds": used}


def added_usage(first: Usage, second: Usage) -> Usage:
    """What two sandboxes, one after the other, used together."""
    peaks = [usage.peak_memory_bytes for usage in (first, second) if usage.peak_memory_bytes is not None]
    seconds = [usage.cpu_seconds for usage in (first, second) if usage.cpu_seconds is not None]
    return Usage(
        peak_memory_bytes=max(peaks, default=None),
        cpu_seconds=sum(seconds) if seconds else None,
        memory_kills=first.memory_kills + second.memory_kills,
    )
