"""docs/tasks/writing-a-task.md, word for word: its commands run, and print what it shows, but for numbers and paths."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "tasks" / "writing-a-task.md"
DEADLINE_SECONDS = 60


@dataclass(frozen=True)
class Typed:
    """One command of the page."""

    command: str
    shown: list[str]


def commands() -> list[Typed]:
    """Everything that is typed, in order."""
    found: list[Typed] = []
    for block in re.findall(r"^```console\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Typed(line[2:], []))
            elif line.startswith("> ") or line == ">":
                found[-1] = Typed(found[-1].command + "\n" + line[2:], [])
            else:
                found[-1].shown.append(line)
    return found


def comparable(lines: list[str]) -> list[str]:
    """Lines without what differs from run to run: numbers, paths, the mechanism, and what is told once for a host."""
    kept = [line for line in lines if "(once for this host)" not in line]
    plain = [re.sub(r"(bubblewrap|landlock), limits by .*", "SANDBOX", re.sub(r"/\S+/", "/", line)) for line in kept]
    plain = [re.sub(r"fish-mini-baseline-[0-9a-f-]+", "RUN", line) for line in plain]
    return [re.sub(r"-?\d+(\.\d+)?(e[+-]?\d+)?", "N", line).rstrip() for line in plain]


@pytest.mark.kernel
def test_the_page_s_commands_print_what_it_shows(tmp_path: Path, environment: dict[str, str]) -> None:
    """A stranger who types the page gets what stands there, and has a checked task at its end."""
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "mlgym-lite"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mlgym_lite "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    variables = {**environment, "PATH": f"{programs}:{environment['PATH']}"}
    here = tmp_path / "here"
    here.mkdir()
    folder = here
    for typed in commands():
        if typed.command.startswith("cd "):
            folder = (folder / typed.command[3:]).resolve()
            continue
        result = subprocess.run(
            ["bash", "-c", typed.command], cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_SECONDS,
        )  # fmt: skip
        said = result.stdout.splitlines()
        assert comparable(said) == comparable(typed.shown), typed.command
        assert result.returncode == (14 if any("checks failed" in line for line in typed.shown) else 0)
        for record in re.findall(r"its record: (.*)", result.stdout):
            shutil.rmtree(Path(record).parent)
    assert typed.command == "mlgym-lite check fish" and said[-1].endswith("checks passed")
