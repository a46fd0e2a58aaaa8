"""The table of all benchmarks: one row for each number, with what it is compared with and what is allowed."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from mlgym_lite.isolation.limits import choose_limits

Unit = Literal["seconds", "bytes", "count"]
Verdict = Literal["ok", "over", "failed", "not run", ""]

_TITLES = ("benchmark", "what", "ours", "other side", "ratio", "allowed", "")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of ours; with another side it is judged by the ratio of both, without one by itself."""

    benchmark: str
    what: str
    ours: float | None = None
    other: float | None = None
    unit: Unit = "seconds"
    allowed: float | None = None
    """The highest ratio, or without another side the highest number; None: told, not judged."""
    note: str = ""
    state: Literal["measured", "failed", "not run"] = "measured"
    """`failed`: the benchmark ended with an error; `not run`: the other side is not to be had. The note tells why."""

    @property
    def ratio(self) -> float | None:
        """Ours over the other side's."""
        return None if self.ours is None or not self.other else self.ours / self.other

    @property
    def judged_alone(self) -> bool:
        """Whether the limit is on our number and not on a ratio."""
        return self.other is None and self.state == "measured"

    @property
    def verdict(self) -> Verdict:
        """Whether the number is within what is allowed."""
        if self.state != "measured":
            return self.state
        judged = self.ours if self.other is None else self.ratio
        if judged is None or self.allowed is None:
            return ""
        return "ok" if judged <= self.allowed else "over"

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        allowed = "" if self.allowed is None else _shown(self.allowed, self.unit) if self.judged_alone else f"{self.allowed:g} x"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f} x" if self.ratio >= 0.1 else f"{self.ratio:.4f} x"
        numbers = (_shown(self.ours, self.unit), _shown(self.other, self.unit))
        return (self.benchmark, self.what, *numbers, ratio, allowed, self.verdict)


def is_within_limits(rows: Sequence[Row]) -> bool:
    """Whether no row is over its limit and none failed."""
    return all(row.verdict not in ("over", "failed") for row in rows)


def as_text(machine: Mapping[str, str], rows: Sequence[Row]) -> str:
    """The table for people: the machine, the rows, the notes."""
    lines = [_TITLES, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_TITLES))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    notes = [f"{row.benchmark}, {row.what}: {row.note}" for row in rows if row.note]
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    return "\n".join([facts, "", shown[0], "-" * len(shown[0]), *shown[1:], *([""] if notes else []), *notes])


def as_json(machine: Mapping[str, str], rows: Sequence[Row]) -> str:
    """The table for programs, numbers unrounded."""
    content = [{**asdict(row), "ratio": row.ratio, "verdict": row.verdict} for row in rows]
    return json.dumps({"machine": dict(machine), "rows": content}, indent=1)


def machine_facts() -> dict[str, str]:
    """What a reader must know of the machine to judge the numbers; the load is that before the first of them."""
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": str(os.cpu_count()),
        "python": platform.python_version(),
        "user": "root" if os.geteuid() == 0 else "ordinary",
        "limits": choose_limits().name,
        "load": f"{os.getloadavg()[0]:.2f}",
    }


def _shown(number: float | None, unit: Unit) -> str:
    if number is None:
        return "-"
    if unit == "bytes":
        return f"{number / (1 << 20):.2f} MiB"
    if unit == "count":
        return f"{number:g}"
    return f"{number * 1000:.3f} ms" if number < 1 else f"{number:.2f} s"
