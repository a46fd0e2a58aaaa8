"""`mlgym-lite shell`: a person at a terminal, in the agent's sandbox."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from program_harness import Program, Terminal, running_with, wait_until

pytestmark = pytest.mark.kernel

Open = Callable[..., Terminal]


@pytest.fixture
def shell(make_task: Callable[..., Path], working_folder: Path, environment: dict[str, str]) -> Iterator[Open]:
    """Opens `mlgym-lite shell` on the tiny task in a terminal."""
    terminals: list[Terminal] = []

    def open_shell(*options: str) -> Terminal:
        arguments = ["shell", make_task(), "--output", working_folder / "run", *options]
        terminal = Terminal(arguments, folder=working_folder, environment=environment)
        terminals.append(terminal)
        terminal.wait_until_shown("Write a number into answer.txt.")
        terminal.wait_until_shown("$ ")
        return terminal

    yield open_shell
    for terminal in terminals:
        terminal.close()


def result_of(folder: Path) -> dict[str, object]:
    """The result of the run in a folder."""
    content: dict[str, object] = json.loads((folder / "run" / "result.json").read_text(encoding="utf-8"))
    return content


def steps_of(folder: Path) -> list[dict[str, object]]:
    """The recorded steps of the run in a folder."""
    return [json.loads(line) for line in (folder / "run" / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_person_works_validates_and_submits(shell: Open, working_folder: Path) -> None:
    """Commands run as typed, `validate` and `submit` score, and the prompt tells what is left and the best score."""
    terminal = shell()
    terminal.type("echo 3 > answer.txt; cd /tmp\n")
    terminal.wait_until_shown("[19 steps left, best —] /tmp $ ")
    terminal.type("validate\n")
    terminal.wait_until_shown("Score = 3")
    terminal.wait_until_shown("[18 steps left, best 3")
    terminal.type("submit\n")
    terminal.wait_until_shown("Score = 3 (maximize; baseline 1, better by 2)")
    assert terminal.wait_until_ended() == 0
    assert [step["action"] for step in steps_of(working_folder)] == ["echo 3 > answer.txt; cd /tmp", "validate", "submit"]


def test_an_input_goes_on_while_something_is_open(shell: Open, working_folder: Path) -> None:
    """Here-documents, quotes, loops, backslashes and edit blocks take further lines behind `> `, as one action."""
    terminal = shell()
    inputs = (
        ("cat > a.py <<E", "x = 1", "E"),
        ("echo 'a", "b'"),
        ("for i in 1 2; do", "echo $i; done"),
        ("echo a \\", "b"),
        ("open a.py",),
        ("edit 1:1", "y = 2", "end_of_edit"),
    )
    for number, lines in enumerate(inputs, start=1):
        for line in lines[:-1]:
            terminal.type(f"{line}\n")
            terminal.wait_until_shown("\n> ")
        terminal.type(f"{lines[-1]}\n")
        terminal.wait_until_shown(f"[{20 - number} steps left")
    terminal.type("cat a.py\n")
    terminal.wait_until_shown("y = 2")
    terminal.wait_until_shown("steps left")
    terminal.wait_until_shown("$ ")
    terminal.type("\x04")
    terminal.wait_until_ended()
    assert [step["action"] for step in steps_of(working_folder)][: len(inputs)] == ["\n".join(lines) for lines in inputs]


def test_ctrl_c_ends_the_command_and_not_the_episode(shell: Open, working_folder: Path) -> None:
    """A running command is interrupted; what it started is gone, and the next command runs."""
    terminal, marker = shell(), f"3141.{os.getpid()}"
    terminal.type(f"echo begun; sleep {marker}\n")
    terminal.wait_until_shown("begun\r\n")
    wait_until(lambda: [p for p in running_with(marker) if p.name() == "sleep"], "the command runs")
    terminal.type("\x03")
    terminal.wait_until_shown("[19 steps left")
    assert not [process for process in running_with(marker) if process.name() == "sleep"]
    terminal.type("echo still here\n")
    terminal.wait_until_shown("still here\r\n")
    terminal.wait_until_shown("$ ")
    terminal.type("\x04")
    assert terminal.wait_until_ended() == 10


def test_ctrl_c_at_the_prompt_drops_the_line(shell: Open, working_folder: Path) -> None:
    """A half-typed input is dropped without being run, and costs no step."""
    terminal = shell()
    terminal.type("cat <<E\n")
    terminal.wait_until_shown("\n> ")
    terminal.type("\x03")
    while not terminal.shows("$ ", seconds=1.0):  # CPython's input() loses a signal that comes just before it waits
        terminal.type("\x03")
    terminal.wait_until_shown("$ ")
    terminal.type("echo after\n")
    terminal.wait_until_shown("after\r\n")
    terminal.wait_until_shown("[19 steps left")
    terminal.wait_until_shown("$ ")
    terminal.type("\x04")
    terminal.wait_until_ended()
    assert [step["action"] for step in steps_of(working_folder)] == ["echo after"]


def test_ctrl_d_ends_without_a_score(shell: Open, working_folder: Path) -> None:
    """Ctrl-D gives up: no score, status 10, and the record is told."""
    terminal = shell()
    terminal.type("\x04")
    terminal.wait_until_shown("not scored: gave_up")
    terminal.wait_until_shown("record: ")
    assert terminal.wait_until_ended() == 10
    assert result_of(working_folder)["score"] is None


def test_output_cannot_steer_the_terminal(shell: Open) -> None:
    """Control sequences that a command prints are shown as text."""
    terminal = shell()
    terminal.type("printf '\\033[31mred\\007\\n'\n")
    terminal.wait_until_shown("\\x1b[31mred\\x07\r\n")
    terminal.wait_until_shown("$ ")
    terminal.type("\x04")
    terminal.wait_until_ended()


def test_output_is_shown_once(shell: Open) -> None:
    """A line of output that begins with a bracket is not taken for a note of the engine's and shown again."""
    terminal = shell()
    terminal.type("echo '[my line]'\n")
    terminal.wait_until_shown("\n[my line]\r\n")
    terminal.wait_until_shown("$ ")
    terminal.type("echo '[my line]'\n")
    terminal.wait_until_shown("[18 steps left")
    terminal.type("\x04")
    assert terminal.before.count("[my line]\r\n") == 1


def test_the_end_of_the_shell_is_told_and_a_new_one_runs(shell: Open) -> None:
    """`exit` ends the shell, not the episode."""
    terminal = shell()
    terminal.type("exit 3\n")
    terminal.wait_until_shown("[The shell ended with this command")
    terminal.wait_until_shown("[19 steps left")
    terminal.wait_until_shown("$ ")
    terminal.type("\x04")
    terminal.wait_until_ended()


def test_without_a_terminal_the_end_of_input_ends(mlgym: Program, make_task: Callable[..., Path], working_folder: Path) -> None:
    """With stdin at its end, the episode is given up at once, with its one object for --json."""
    ended = mlgym("shell", make_task(), "--output", working_folder / "run")
    assert ended.status == 10
    assert "not scored: gave_up" in ended.err
    assert result_of(working_folder)["agent"] == "human"


def test_json_is_alone_on_stdout(mlgym: Program, make_task: Callable[..., Path]) -> None:
    """With --json, what a person reads is not on stdout."""
    assert json.loads(mlgym("shell", make_task(), "--json").out)["score"] is None
