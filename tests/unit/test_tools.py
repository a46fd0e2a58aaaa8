"""The agent's tools, run as the real programs in a home and a folder of their own."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

BIN = Path(__file__).parents[2] / "mlgym_lite" / "tools" / "bin"
NAMES = [
    *("create", "edit", "find_file", "goto", "insert", "literature_search", "memory_read", "memory_write", "open"),
    *("read_paper", "scroll_down", "scroll_up", "search_dir", "search_file", "submit", "validate", "view_image"),
]
EDITING_ADVICE = "Check indentation and repeated lines above, and edit again if needed."
CONTROL = "MLGYM_LITE_CONTROL_FD"


class Agent:
    """Calls tools as an agent would; lives for one test."""

    def __init__(self, home: Path, workspace: Path) -> None:
        self.home = home
        self.workspace = workspace

    def call(
        self,
        name: str,
        *arguments: str | bytes,
        text: bytes = b"",
        descriptor: int | None = None,
        variables: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run one tool to its end, with the text on its standard input."""
        environment = {"PATH": os.defpath, "HOME": str(self.home), "LANG": "C.UTF-8"}
        environment |= {"MLGYM_LITE_PYTHON": sys.executable, **(variables or {})}
        if descriptor is not None:
            environment[CONTROL] = str(descriptor)
        done = subprocess.run(
            [BIN / name, *arguments],
            input=text,
            capture_output=True,
            cwd=self.workspace,
            env=environment,
            timeout=60,
            pass_fds=() if descriptor is None else (descriptor,),
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="backslashreplace"), done.stderr.decode()
        )

    def ok(self, name: str, *arguments: str | bytes, text: bytes = b"", **variables: str) -> str:
        """Run one tool that must succeed and say nothing on standard error; its output."""
        done = self.call(name, *arguments, text=text, variables=variables)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def refused(self, name: str, *arguments: str | bytes, text: bytes = b"", **variables: str) -> str:
        """Run one tool that must refuse without a traceback; its message."""
        done = self.call(name, *arguments, text=text, variables=variables)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert "Traceback" not in done.stderr
        return done.stderr

    def write(self, name: str, content: bytes | str) -> Path:
        """Put a file into the workspace."""
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent in an empty workspace."""
    home, workspace = tmp_path / "home", tmp_path / "work space"
    home.mkdir()
    workspace.mkdir()
    return Agent(home, workspace.resolve())


def numbered(count: int) -> str:
    """A text of so many lines, each saying its number."""
    return "".join(f"line {number}\n" for number in range(1, count + 1))


def shown_lines(output: str) -> list[int]:
    """The line numbers of the window in a tool's output."""
    heads = (line.split(":")[0] for line in output.splitlines() if not line.startswith(("[", "(")))
    return [int(head) for head in heads if head.isdigit()]


def names_in(folder: Path) -> list[str]:
    """The names of all that is in a folder."""
    return sorted(path.name for path in folder.iterdir())


# --- programs ---------------------------------------------------------------------------------------------------


def test_every_tool_is_an_executable_shell_program() -> None:
    """Each tool is an executable file for sh."""
    assert sorted(path.name for path in BIN.iterdir()) == NAMES
    for name in NAMES:
        assert os.access(BIN / name, os.X_OK)
        assert (BIN / name).read_text(encoding="utf-8").startswith("#!/bin/sh\n")


@pytest.mark.parametrize("name", NAMES)
def test_help_is_one_word_away(agent: Agent, name: str) -> None:
    """--help prints how the tool is used and succeeds."""
    assert agent.ok(name, "--help").startswith(f"Usage: {name}")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("open", []),
        ("open", ["a", "1", "b"]),
        ("open", ["a", "first"]),
        ("open", [""]),
        ("goto", []),
        ("goto", ["-1"]),
        ("goto", ["²"]),
        ("goto", ["9" * 5000]),
        ("scroll_down", ["3"]),
        ("scroll_up", ["3"]),
        ("create", []),
        ("edit", []),
        ("edit", ["5"]),
        ("edit", ["a:b"]),
        ("edit", ["1:2:3"]),
        ("insert", ["x"]),
        ("search_dir", []),
        ("search_file", []),
        ("find_file", []),
        ("validate", ["now"]),
        ("submit", ["now"]),
    ],
)
def test_misuse_shows_the_usage(agent: Agent, name: str, arguments: list[str]) -> None:
    """Wrong arguments are refused with a reason and the tool's usage."""
    message = agent.refused(name, *arguments)
    assert message.startswith("Error: ")
    assert f"\nUsage: {name}" in message


def test_tools_ignore_modules_in_the_workspace(agent: Agent) -> None:
    """A module of the agent's with the name of one that the tools need is not loaded."""
    agent.write("json.py", "raise SystemExit(7)")
    agent.write("documents.py", "raise SystemExit(7)")
    agent.write("a.txt", "text\n")
    assert "1:text" in agent.ok("open", "a.txt", PYTHONPATH=str(agent.workspace), PYTHONSTARTUP="json.py")


def test_a_tool_works_in_a_pipeline(agent: Agent) -> None:
    """A tool is found on the PATH, in a pipeline too, and a reader that stops early is no error."""
    agent.write("a.txt", numbered(5000))
    command = f'PATH="{BIN}:$PATH"; open a.txt | head -n 2; open a.txt | true; echo "${{PIPESTATUS[0]}}"'
    environment = {"HOME": str(agent.home), "MLGYM_LITE_PYTHON": sys.executable, "PATH": os.defpath}
    done = subprocess.run(["bash", "-c", command], cwd=agent.workspace, env=environment, capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[1:] == ["1:line 1", "0"]
    assert done.stderr == b""


def test_open_starts_quickly(agent: Agent) -> None:
    """Opening a file takes a small part of a second, interpreter included."""
    agent.write("a.txt", numbered(2000))
    seconds = []
    for _ in range(8):
        start = time.monotonic()
        agent.ok("open", "a.txt", "1000")
        seconds.append(time.monotonic() - start)
    assert min(seconds) < 0.25


# --- open, goto, scroll -----------------------------------------------------------------------------------------


def test_open_shows_a_short_file_whole(agent: Agent) -> None:
    """A file that fits is shown whole, with its absolute path and numbered lines."""
    path = agent.write("a.txt", "one\n\n  three")
    assert agent.ok("open", "a.txt") == f"[File: {path} (3 lines total)]\n1:one\n2:\n3:  three\n"


def test_open_an_empty_file(agent: Agent) -> None:
    """An empty file has no lines to show."""
    path = agent.write("empty", "")
    assert agent.ok("open", "empty") == f"[File: {path} (0 lines total)]\n"
    assert agent.ok("open", "empty", "3").endswith(f"[File: {path} (0 lines total)]\n")


def test_open_shows_the_first_thousand_lines(agent: Agent) -> None:
    """A long file is opened at its top, and what is below is counted."""
    agent.write("a.txt", numbered(2500))
    output = agent.ok("open", "a.txt")
    assert shown_lines(output) == list(range(1, 1001))
    assert output.endswith("1000:line 1000\n(1500 more lines below)\n")


def test_open_at_a_line_puts_it_a_sixth_below_the_top(agent: Agent) -> None:
    """With a line, the window begins a sixth of its size before it."""
    agent.write("a.txt", numbered(2500))
    output = agent.ok("open", "a.txt", "1200")
    assert shown_lines(output) == list(range(1035, 2035))
    assert "\n(1034 more lines above)\n1035:line 1035\n" in output
    assert output.endswith("(466 more lines below)\n")


def test_a_window_at_the_end_is_full(agent: Agent) -> None:
    """Near the end of a long file the window still has all its lines."""
    agent.write("a.txt", numbered(2500))
    assert shown_lines(agent.ok("open", "a.txt", "2500")) == list(range(1501, 2501))


def test_open_beyond_the_end_shows_the_end(agent: Agent) -> None:
    """A line that the file does not have is replaced by the nearest, and the text says so."""
    agent.write("a.txt", numbered(30))
    output = agent.ok("open", "a.txt", "99", MLGYM_LITE_WINDOW="10")
    assert output.startswith("(The file has no line 99; shown is line 30 of 30.)\n[File: ")
    assert shown_lines(output) == list(range(21, 31))


def test_goto_moves_the_window(agent: Agent) -> None:
    """goto shows the open file around a line as open does."""
    agent.write("a.txt", numbered(100))
    agent.ok("open", "a.txt")
    assert shown_lines(agent.ok("goto", "50", MLGYM_LITE_WINDOW="12")) == list(range(49, 61))


@pytest.mark.parametrize("line", ["0", "101", "999999999999"])
def test_goto_refuses_lines_that_do_not_exist(agent: Agent, line: str) -> None:
    """goto names the lines that there are."""
    agent.write("a.txt", numbered(100))
    agent.ok("open", "a.txt")
    assert "has lines 1 to 100" in agent.refused("goto", line)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("goto", ["1"]),
        ("scroll_down", []),
        ("scroll_up", []),
        ("edit", ["1:1"]),
        ("insert", ["0"]),
        ("search_file", ["x"]),
    ],
)
def test_tools_for_the_open_file_say_when_there_is_none(agent: Agent, name: str, arguments: list[str]) -> None:
    """Without an open file they say how to open one."""
    assert agent.refused(name, *arguments) == "Error: no file is open. Open one first: open PATH\n"


def test_scrolling_overlaps_by_two_lines(agent: Agent) -> None:
    """Windows that follow each other have two lines in common, in both directions."""
    agent.write("a.txt", numbered(40))
    agent.ok("open", "a.txt", MLGYM_LITE_WINDOW="10")
    assert shown_lines(agent.ok("scroll_down", MLGYM_LITE_WINDOW="10")) == list(range(9, 19))
    assert shown_lines(agent.ok("scroll_down", MLGYM_LITE_WINDOW="10")) == list(range(17, 27))
    assert shown_lines(agent.ok("scroll_up", MLGYM_LITE_WINDOW="10")) == list(range(9, 19))


def test_scrolling_stops_at_the_ends(agent: Agent) -> None:
    """At the first or last line scrolling says so."""
    agent.write("a.txt", numbered(15))
    agent.ok("open", "a.txt", MLGYM_LITE_WINDOW="10")
    assert "already starts with the first line" in agent.ok("scroll_up", MLGYM_LITE_WINDOW="10")
    assert shown_lines(agent.ok("scroll_down", MLGYM_LITE_WINDOW="10")) == list(range(6, 16))
    assert "already ends with the last line" in agent.ok("scroll_down", MLGYM_LITE_WINDOW="10")


def test_the_third_scroll_in_a_row_brings_advice(agent: Agent) -> None:
    """Three scrolls in a row are answered with advice; another tool in between starts the count anew."""
    agent.write("a.txt", numbered(100))
    agent.ok("open", "a.txt", MLGYM_LITE_WINDOW="10")
    outputs = [agent.ok("scroll_down", MLGYM_LITE_WINDOW="10") for _ in range(3)]
    assert ["in a row" in output for output in outputs] == [False, False, True]
    agent.ok("find_file", "x")
    assert "in a row" not in agent.ok("scroll_down", MLGYM_LITE_WINDOW="10")


def test_a_window_of_senseless_size_is_refused(agent: Agent) -> None:
    """A window size that is no usable number is named as the mistake."""
    agent.write("a.txt", "x\n")
    for size in ("2", "many", "-5", "1.5"):
        assert "MLGYM_LITE_WINDOW" in agent.refused("open", "a.txt", MLGYM_LITE_WINDOW=size)


def test_a_window_with_long_lines_is_cut_and_scrolling_shows_all(agent: Agent) -> None:
    """No window is much over 60,000 characters, the line asked for is in it, and scrolling misses no line."""
    agent.write("a.txt", "".join(f"{number} {'x' * 1500}\n" for number in range(1, 201)))
    output = agent.ok("open", "a.txt")
    seen = set(shown_lines(output))
    while "more lines below" in output:
        assert len(output) < 61_000
        assert "window was cut" in output
        output = agent.ok("scroll_down")
        seen |= set(shown_lines(output))
    assert seen == set(range(1, 201))
    assert 150 in shown_lines(agent.ok("goto", "150"))
    while "more lines above" in output:
        output = agent.ok("scroll_up")
    assert 1 in shown_lines(output)


def test_a_line_longer_than_a_window_is_cut(agent: Agent) -> None:
    """A giant line is cut with the command that shows more of it, and scrolling gets past it."""
    path = agent.write("it's.txt", "a\n" + "x" * 200_000 + "\n" + "y" * 200_000 + "\nb\n")
    agent.ok("open", "it's.txt")
    output = agent.ok("goto", "2")
    assert len(output) < 61_500
    command = next(line for line in output.splitlines() if "was cut: it has 200,000" in line).partition("it: ")[2][:-1]
    rest = subprocess.run(["sh", "-c", command], capture_output=True, check=True, text=True).stdout
    assert rest.strip() == "x" * 60_000
    assert path.exists()
    assert 3 in shown_lines(agent.ok("scroll_down"))
    assert 4 in shown_lines(agent.ok("scroll_down"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "is an image (PNG)"),
        (b"\xff\xd8\xff\xe0abc", "is an image (JPEG)"),
        (b"GIF89a....", "is an image (GIF)"),
        (b"RIFF\x10\x20\x30\x40WEBPVP8 ", "is an image (WebP)"),
        (b"abc\0def", "is a binary file"),
        (bytes(range(1, 256)) * 4, "is a binary file"),
    ],
)
def test_open_refuses_what_is_not_text(agent: Agent, content: bytes, reason: str) -> None:
    """Images and binary files are told by their content, whatever their name."""
    agent.write("a.txt", content)
    assert reason in agent.refused("open", "a.txt")


@pytest.mark.parametrize("content", ["grün\n".encode("latin-1"), b"\x1b[31mred\x1b[0m\n", b"10%\r20%\r\n", b"\xff\xfe"])
def test_open_takes_odd_text(agent: Agent, content: bytes) -> None:
    """Other encodings, colours and progress bars are text."""
    agent.write("a.txt", content)
    assert shown_lines(agent.ok("open", "a.txt")) == [1]


def test_undecodable_bytes_are_shown_as_escapes(agent: Agent) -> None:
    """A byte that is not UTF-8 is visible in the window."""
    agent.write("a.txt", "grün\n".encode("latin-1"))
    assert "1:gr\\xfcn\n" in agent.ok("open", "a.txt")


def test_open_refuses_what_is_no_file(agent: Agent) -> None:
    """Directories, pipes, devices and sockets are refused at once."""
    os.mkfifo(agent.workspace / "pipe")
    assert "is a directory" in agent.refused("open", ".")
    assert "pipe, socket or device" in agent.refused("open", "pipe")
    assert "pipe, socket or device" in agent.refused("open", "/dev/zero")


def test_open_refuses_giant_files(agent: Agent) -> None:
    """A file too large to be read whole is refused with other ways to look at it."""
    with agent.write("a.txt", "").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    assert "too large" in agent.refused("open", "a.txt")


def test_a_missing_file_brings_the_nearest_name(agent: Agent) -> None:
    """A mistyped name is answered with the nearest in the folder, and a missing folder is named."""
    path = agent.write("src/train.py", "")
    assert f"Did you mean {path}?" in agent.refused("open", "src/Trian.py")
    assert f"there is no folder {agent.workspace / 'lib'}" in agent.refused("open", "lib/train.py")
    assert "find_file NAME" in agent.refused("open", "nothing_like_it.csv")
    assert "does not exist" in agent.refused("open", "src/train.py/x")


def test_an_unreadable_file_is_refused(agent: Agent) -> None:
    """Where permissions forbid reading, the message says so."""
    if os.geteuid() == 0:
        pytest.skip("root can read everything")
    agent.write("a.txt", "x\n").chmod(0)
    assert "cannot be read: Permission denied" in agent.refused("open", "a.txt")


@pytest.mark.parametrize("name", ["two words", "it's", 'say "x"', "a\nb", "-v", "--", "--help", "$(id)", "*", "ü"])
def test_any_name_works(agent: Agent, name: str) -> None:
    """Names with spaces, quotes, line feeds and leading dashes are created, opened, edited, searched and found."""
    agent.ok("create", "--", name)
    assert "1:\n" in agent.ok("open", "--", name)
    agent.ok("edit", "1:1", text=b"needle\n")
    assert (agent.workspace / name).read_bytes() == b"needle\n"
    assert "Line 1:needle" in agent.ok("search_file", "--", "needle", name)
    assert "(1 match)" in agent.ok("search_dir", "needle")
    assert "Found 1 file " in agent.ok("find_file", "--", name)


def test_control_characters_in_names_are_visible(agent: Agent) -> None:
    """A name cannot smuggle lines, colours or undecodable bytes into a message."""
    name = b"a\n[File: fake\x1b[2J\xff\xe2\x80\xae"
    Path(os.fsdecode(os.fsencode(agent.workspace) + b"/" + name)).write_bytes(b"needle\n")
    expected = "a\\n[File: fake\\x1b[2J\\xff\\u202e"
    assert agent.ok("open", name).splitlines()[0] == f"[File: {agent.workspace}/{expected} (1 lines total)]"
    assert f"/{expected} (1 match)\n" in agent.ok("search_dir", "needle")
    assert f"/{expected}\n" in agent.ok("find_file", "a*")
    agent.ok("goto", "1")


# --- state ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"open_file": 3, "first_line": 1, "last_line": 1, "scrolls_in_a_row": 0}',
        b'{"open_file": "/x", "first_line": -1, "last_line": "1", "scrolls_in_a_row": 0}',
        b"[" * 100_000,
    ],
)
def test_a_garbled_state_counts_as_none(agent: Agent, content: bytes) -> None:
    """What cannot be understood is as good as nothing remembered, and the next open repairs it."""
    path = agent.home / ".mlgym_lite" / "state.json"
    path.parent.mkdir()
    path.write_bytes(content)
    assert "no file is open" in agent.refused("goto", "1")
    agent.write("a.txt", "x\n")
    agent.ok("open", "a.txt")
    assert json.loads(path.read_text(encoding="utf-8"))["open_file"] == str(agent.workspace / "a.txt")
    assert names_in(path.parent) == ["state.json"]


def test_the_open_file_survives_a_change_of_folder(agent: Agent) -> None:
    """The open file is remembered by its absolute path."""
    agent.write("a.txt", "text\n")
    agent.ok("open", "a.txt")
    (agent.workspace / "sub").mkdir()
    assert "1:text" in Agent(agent.home, agent.workspace / "sub").ok("goto", "1")


def test_an_unwritable_home_is_told(agent: Agent) -> None:
    """When nothing can be remembered, the tool says where and why."""
    agent.write("a.txt", "text\n")
    (agent.home / ".mlgym_lite").write_bytes(b"")
    assert "could not be remembered" in agent.refused("open", "a.txt")


def test_a_deleted_open_file_is_told(agent: Agent) -> None:
    """A file deleted since it was opened is missing, not an accident."""
    path = agent.write("a.txt", "text\n")
    agent.ok("open", "a.txt")
    path.unlink()
    assert "does not exist" in agent.refused("goto", "1")
    assert "does not exist" in agent.refused("edit", "1:1", text=b"x\n")


# --- create -----------------------------------------------------------------------------------------------------


def test_create_makes_a_file_of_one_empty_line(agent: Agent) -> None:
    """A new file holds one line feed and is open."""
    path = agent.workspace / "new.py"
    assert agent.ok("create", "new.py") == f"[File: {path} (1 lines total)]\n1:\n"
    assert path.read_bytes() == b"\n"


def test_create_leaves_an_existing_file_alone_and_opens_it(agent: Agent) -> None:
    """A file that exists is not touched, the message says so, and it is the open file."""
    path = agent.write("old.py", "keep = 1\n")
    assert "already exists" in (message := agent.refused("create", "old.py"))
    assert "1:keep = 1" in message
    assert path.read_bytes() == b"keep = 1\n"
    agent.ok("goto", "1")


def test_create_says_why_it_cannot(agent: Agent) -> None:
    """A missing folder is named with the command that makes it; directories and dead links are left alone."""
    assert "mkdir -p" in agent.refused("create", "no/such/a.py")
    assert "is a directory" in agent.refused("create", ".")
    (agent.workspace / "dead").symlink_to("nowhere")
    assert "link to nothing" in agent.refused("create", "dead")
    assert not (agent.workspace / "nowhere").exists()


# --- edit and insert --------------------------------------------------------------------------------------------


def open_text(agent: Agent, content: bytes | str, name: str = "a.txt") -> Path:
    """Write a file and open it."""
    path = agent.write(name, content)
    agent.ok("open", name)
    return path


@pytest.mark.parametrize(
    ("lines", "text", "expected"),
    [
        ("2:2", b"B\n", b"a\nB\nc\n"),
        ("1:3", b"X\n", b"X\n"),
        ("2:3", b"B\nC\nD\n", b"a\nB\nC\nD\n"),
        ("2:2", b"", b"a\nc\n"),
        ("1:3", b"", b""),
        ("4:4", b"d\n", b"a\nb\nc\nd\n"),
        ("2:2", b"no newline", b"a\nno newline\nc\n"),
        ("2:2", b"\n", b"a\n\nc\n"),
        ("2:2", b"  in\n\n\n", b"a\n  in\n\n\nc\n"),
        ("2:2", b"$HOME `x` \\n 'q'\n", b"a\n$HOME `x` \\n 'q'\nc\n"),
    ],
)
def test_edit_replaces_lines(agent: Agent, lines: str, text: bytes, expected: bytes) -> None:
    """The range is replaced by the text, nothing deletes it, and one past the end appends."""
    path = open_text(agent, "a\nb\nc\n")
    output = agent.ok("edit", lines, text=text)
    assert path.read_bytes() == expected
    assert output.startswith(f"[File: {path} (")
    assert output.rstrip().endswith(EDITING_ADVICE)


@pytest.mark.parametrize("lines", ["0:1", "2:1", "3:9", "5:5", "4:3"])
def test_edit_checks_its_range(agent: Agent, lines: str) -> None:
    """A range outside the file changes nothing and is answered with the lines there are."""
    path = open_text(agent, "a\nb\nc\n")
    assert "has lines 1 to 3" in agent.refused("edit", lines, text=b"X\n")
    assert path.read_bytes() == b"a\nb\nc\n"


@pytest.mark.parametrize(("line", "expected"), [("0", b"N\na\nb\n"), ("1", b"a\nN\nb\n"), ("2", b"a\nb\nN\n")])
def test_insert_adds_after_a_line(agent: Agent, line: str, expected: bytes) -> None:
    """The text goes behind the line, at the top for 0."""
    path = open_text(agent, "a\nb\n")
    assert "added at line" in agent.ok("insert", line, text=b"N\n")
    assert path.read_bytes() == expected


def test_insert_checks_what_it_is_given(agent: Agent) -> None:
    """A line beyond the end and an empty text are refused."""
    path = open_text(agent, "a\n")
    assert "there is no line 2" in agent.refused("insert", "2", text=b"x\n")
    assert "nothing to insert" in agent.refused("insert", "1")
    assert path.read_bytes() == b"a\n"


def test_an_empty_file_can_be_filled(agent: Agent) -> None:
    """A file without lines takes edit 1:1 and insert 0."""
    path = open_text(agent, "")
    agent.ok("edit", "1:1", text=b"x\n")
    agent.ok("edit", "1:1")
    agent.ok("insert", "0", text=b"y\n")
    assert path.read_bytes() == b"y\n"


@pytest.mark.parametrize(
    ("content", "name", "arguments", "text", "expected"),
    [
        (b"a\r\nb\r\nc\r\n", "edit", "2:2", b"B\nB2\n", b"a\r\nB\r\nB2\r\nc\r\n"),
        (b"a\r\nb\nc\r\n", "edit", "3:3", b"C\n", b"a\r\nb\nC\n"),
        (b"a\nb\nc", "edit", "1:1", b"A\n", b"A\nb\nc"),
        (b"a\nb\nc", "edit", "4:4", b"d\n", b"a\nb\nc\nd\n"),
        (b"a\nb\nc", "insert", "3", b"d\n", b"a\nb\nc\nd\n"),
        (b"a\r\nb", "insert", "2", b"c\n", b"a\r\nb\r\nc\r\n"),
        (b"\xff\nb\n\xe9 \x0c\x0b\x85 z\r\n", "edit", "2:2", b"\xfe\n", b"\xff\n\xfe\n\xe9 \x0c\x0b\x85 z\r\n"),
        ("\ufeffa\nb\u2028c\n".encode(), "edit", "2:2", b"x\n", "\ufeffa\nx\n".encode()),
    ],
)
def test_lines_that_are_not_touched_keep_their_bytes(
    agent: Agent, content: bytes, name: str, arguments: str, text: bytes, expected: bytes
) -> None:
    """Endings, a missing last line feed and undecodable bytes survive; new lines get the file's own ending."""
    path = open_text(agent, content)
    agent.ok(name, arguments, text=text)
    assert path.read_bytes() == expected


def test_edit_shows_the_window_around_the_change(agent: Agent) -> None:
    """After a change the window is around it."""
    open_text(agent, numbered(3000))
    output = agent.ok("edit", "2000:2000", text=b"changed\n")
    assert "\n2000:changed\n" in output
    assert shown_lines(output)[0] == 1501
    assert "lines 2000-2000 replaced by 1 line." in output


def test_edit_keeps_mode_and_follows_links(agent: Agent) -> None:
    """The mode bits stay, and a file opened through a link is changed where it is."""
    path = agent.write("real/run.sh", "#!/bin/sh\n")
    path.chmod(0o751)
    (agent.workspace / "link").symlink_to(path)
    agent.ok("open", "link")
    agent.ok("edit", "2:2", text=b"true\n")
    assert path.read_bytes() == b"#!/bin/sh\ntrue\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o751
    assert (agent.workspace / "link").is_symlink()
    assert names_in(path.parent) == ["run.sh"]


@pytest.mark.parametrize("mode", [0o444, 0o555])
def test_read_only_files_are_not_changed(agent: Agent, mode: int) -> None:
    """A file that permissions protect is refused, for root as well."""
    path = open_text(agent, "keep\n")
    path.chmod(mode)
    assert "is read-only" in agent.refused("edit", "1:1", text=b"x\n")
    assert "is read-only" in agent.refused("insert", "0", text=b"x\n")
    assert path.read_bytes() == b"keep\n"


def test_a_file_in_a_folder_that_cannot_be_written_is_not_changed(agent: Agent) -> None:
    """Where no file can be written aside, the old one stays."""
    if os.geteuid() == 0:
        pytest.skip("root can write everywhere")
    path = open_text(agent, "keep\n", "sub/a.txt")
    path.parent.chmod(0o555)
    try:
        assert "was not changed; Permission denied" in agent.refused("edit", "1:1", text=b"x\n")
    finally:
        path.parent.chmod(0o755)
    assert path.read_bytes() == b"keep\n"


def test_a_full_disk_leaves_the_old_file(agent: Agent) -> None:
    """When the new content cannot be written whole, the old file stays and nothing is left beside it."""
    path = open_text(agent, "keep\n")
    environment = {"HOME": str(agent.home), "MLGYM_LITE_PYTHON": sys.executable, "PATH": os.defpath}
    command = f'trap "" XFSZ; ulimit -f 8; printf "%20000s\\n" x | "{BIN}/edit" 1:1'
    done = subprocess.run(
        ["bash", "-c", command], cwd=agent.workspace, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "was not changed; File too large" in done.stderr
    assert path.read_bytes() == b"keep\n"
    assert names_in(agent.workspace) == ["a.txt"]


def test_edit_works_from_a_heredoc(agent: Agent) -> None:
    """The form that the engine gives an action works in bash, with text before and behind it."""
    path = open_text(agent, "a\nb\nc\n")
    script = (
        f'PATH="{BIN}:$PATH"; echo before\n'
        "edit 2:2 << 'end_of_edit'\n$x 'y' \"z\"\n\n  `w`\nend_of_edit\n"
        "insert 0 << 'end_of_insert'\ntop\nend_of_insert\necho after\n"
    )
    environment = {"HOME": str(agent.home), "MLGYM_LITE_PYTHON": sys.executable, "PATH": os.defpath}
    done = subprocess.run(["bash", "-c", script], cwd=agent.workspace, env=environment, capture_output=True, check=True)
    assert done.stdout.startswith(b"before\n[File: ")
    assert done.stdout.endswith(b"after\n")
    assert path.read_bytes() == b"top\na\n$x 'y' \"z\"\n\n  `w`\nc\n"


# --- linting ----------------------------------------------------------------------------------------------------

GOOD = "import os\n\n\ndef join(first, second):\n    return os.path.join(first, second)\n"


@pytest.mark.parametrize(
    ("lines", "text", "problem"),
    [
        ("5:5", b"    return os.path.join(first\n", "line 5: E999 SyntaxError"),
        ("5:5", b"return first\n", "line 5: E112 IndentationError"),
        ("3:3", b"    x = 1\n", "line 3: E113 IndentationError"),
        ("5:5", b"  return first\n", "line 5: E111 "),
        ("5:5", b"    return third\n", "line 5: F821 undefined name 'third'"),
        ("1:1", b"\n", "line 5: F821 undefined name 'os'"),
        ("2:2", b"__all__ = ['missing']\n", "line 2: F822 "),
        ("4:4", b"def join(first, first):\n", "line 4: E999 SyntaxError: duplicate argument"),
        ("2:2", b"return 3\n", "line 2: E999 SyntaxError: 'return' outside function"),
        ("2:2", b"x = '\xff'\n", "E902 SyntaxError"),
    ],
)
def test_an_edit_that_breaks_python_is_not_applied(agent: Agent, lines: str, text: bytes, problem: str) -> None:
    """New problems are listed, both versions are shown, and the file keeps every byte."""
    path = open_text(agent, GOOD, "a.py")
    message = agent.refused("edit", lines, text=text)
    assert problem in message
    assert "With the change it would have been:\n[File: " in message
    assert "It still is, and its line numbers are the ones that count:\n[File: " in message
    assert path.read_bytes() == GOOD.encode()
    assert names_in(path.parent) == ["a.py"]


def test_insert_is_linted_too(agent: Agent) -> None:
    """insert refuses new problems as edit does."""
    path = open_text(agent, GOOD, "a.py")
    assert "F821 undefined name 'zzz'" in agent.refused("insert", "5", text=b"zzz()\n")
    assert path.read_bytes() == GOOD.encode()


def test_a_rejected_edit_shows_both_versions_around_it(agent: Agent) -> None:
    """The two windows of a rejection reach five lines around the change, not over the whole file."""
    open_text(agent, "x = 1\n" * 400, "a.py")
    message = agent.refused("edit", "200:201", text=b"y = (\n")
    assert shown_lines(message) == [*range(195, 206), *range(195, 207)]
    assert "\n200:y = (\n" in message


def test_old_problems_do_not_count(agent: Agent) -> None:
    """Problems that were there, moved by the edit or on the lines it replaced, do not stop it."""
    path = open_text(agent, "a = old_one\nb = 1\nc = old_two\nd = 1\n", "a.py")
    agent.ok("insert", "0", text=b"import os\nimport sys\n")
    agent.ok("edit", "4:4", text=b"b = 2\nb = 3\n")
    agent.ok("edit", "3:3", text=b"a = old_one + 1\n")
    assert "old_three" in (message := agent.refused("edit", "7:7", text=b"d = old_two + old_three\n"))
    assert "- line 6:" not in message
    assert path.read_text().startswith("import os\nimport sys\na = old_one + 1\nb = 2\nb = 3\nc = old_two\n")


def test_one_more_of_an_old_problem_is_new(agent: Agent) -> None:
    """The same undefined name in a second place is a new problem, told at that place."""
    open_text(agent, "a = old\nb = 1\n", "a.py")
    message = agent.refused("edit", "2:2", text=b"b = old\n")
    assert "1 new problem:\n- line 2: F821 undefined name 'old'\n\n" in message
    message = agent.refused("edit", "1:1", text=b"c = 1\nd = old\ne = old\n")
    assert "1 new problem:\n- line 3: F821 undefined name 'old'\n\n" in message
    open_text(agent, "b = 1\na = old\n", "b.py")
    message = agent.refused("edit", "1:1", text=b"b = 1\nb = old\n")
    assert "1 new problem:\n- line 2: F821 undefined name 'old'\n\n" in message


def test_a_broken_file_can_be_mended_step_by_step(agent: Agent) -> None:
    """In a file that did not parse, only problems on the edited lines count, and what is left is told."""
    path = open_text(agent, "a = (\nx = unknown\ndef f(:\n", "a.py")
    assert "E999" in agent.refused("edit", "1:1", text=b"a = )\n")
    assert "still has a syntax error, line 3: E999" in agent.ok("edit", "1:1", text=b"a = 1\n")
    assert "still has" not in agent.ok("edit", "3:3", text=b"def f():\n    return a\n")
    assert path.read_text() == "a = 1\nx = unknown\ndef f():\n    return a\n"


def test_a_file_keeps_its_own_indentation(agent: Agent) -> None:
    """A file that indents by two may go on doing so."""
    open_text(agent, "def f():\n  return 1\n", "a.py")
    agent.ok("insert", "2", text=b"def g():\n  if f():\n    return 2\n")


def test_a_waived_line_is_not_a_problem(agent: Agent) -> None:
    """`# noqa` waives names, as flake8 has it, but not syntax."""
    open_text(agent, "\n", "a.py")
    agent.ok("edit", "1:1", text=b"display(1)  # noqa: F821\n")
    assert "E999" in agent.refused("edit", "1:1", text=b"display(  # noqa\n")


def test_only_python_is_linted(agent: Agent) -> None:
    """Other files take any text."""
    path = open_text(agent, "\n", "a.yaml")
    agent.ok("edit", "1:1", text=b"def f(:\n  x\n")
    assert path.read_bytes() == b"def f(:\n  x\n"


def test_warnings_of_the_compiler_are_not_shown(agent: Agent) -> None:
    """An odd escape in a string is no problem and makes no noise."""
    open_text(agent, "\n", "a.py")
    agent.ok("edit", "1:1", text=b"x = '\\d' if 1 is 1 else 0\n")


def test_code_too_deep_to_compile_is_a_problem_not_an_accident(agent: Agent) -> None:
    """Nesting that the compiler cannot follow is refused like a syntax error."""
    open_text(agent, "\n", "a.py")
    assert "E999" in agent.refused("edit", "1:1", text=b"x = " + b"(" * 5000 + b"1" + b")" * 5000 + b"\n")
    agent.refused("edit", "1:1", text=b"x = " + b"-" * 100_000 + b"1\n")


def write_checker(folder: Path, code: str) -> str:
    """Put a stand-in for pyflakes into a folder, and return the folder's name."""
    package = folder / "pyflakes"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "checker.py").write_text(code, encoding="utf-8")
    return str(folder)


def test_pyflakes_may_lie_in_a_folder_named_in_the_environment(agent: Agent, tmp_path: Path) -> None:
    """MLGYM_LITE_LINT_PATH names the folder that holds pyflakes, and an empty folder is no harm."""
    folder = write_checker(
        tmp_path / "lint",
        "class UndefinedName:\n    lineno, message, message_args = 2, 'found by %s', ('ours',)\n\n\n"
        "class Checker:\n    def __init__(self, tree):\n"
        "        self.messages = [UndefinedName()] * (len(tree.body) - 1)\n",
    )
    open_text(agent, "z = 1\n", "a.py")
    agent.ok("edit", "1:1", text=b"x = 1\n", MLGYM_LITE_LINT_PATH="/nowhere")
    message = agent.refused("edit", "1:1", text=b"x = 1\ny = 1\n", MLGYM_LITE_LINT_PATH=folder)
    assert "- line 2: F821 found by ours\n" in message


def test_without_pyflakes_only_syntax_is_checked(agent: Agent, tmp_path: Path) -> None:
    """When pyflakes cannot be imported, names are not checked and syntax still is."""
    folder = write_checker(tmp_path / "lint", "raise ImportError\n")
    open_text(agent, "\n", "a.py")
    agent.ok("edit", "1:1", text=b"x = unknown\n", MLGYM_LITE_LINT_PATH=folder)
    assert "E999" in agent.refused("edit", "1:1", text=b"x = (\n", MLGYM_LITE_LINT_PATH=folder)


# --- searching --------------------------------------------------------------------------------------------------


def test_search_dir_counts_lines_in_each_file(agent: Agent) -> None:
    """Every file with the term is listed with its number of lines that have it."""
    agent.write("a.py", "needle needle\nhay\nneedle")
    agent.write("sub/b.py", "a needle\n")
    agent.write("sub/c.py", "hay\n")
    here = agent.workspace
    assert agent.ok("search_dir", "needle") == (
        f'Found 3 matches for "needle" in {here}:\n{here}/a.py (2 matches)\n{here}/sub/b.py (1 match)\n'
        f'End of matches for "needle" in {here}.\n'
    )
    assert agent.ok("search_dir", "needle", "sub").count("match)") == 1


def test_search_dir_takes_the_term_literally(agent: Agent) -> None:
    """A term is no pattern and no option, and may hold anything but nothing."""
    agent.write("a.py", "x.*[y]\n-v\nx--y\n\ttwo  words\nfirst\nsecond\n")
    for term in ("x.*[y]", "-v", "\ttwo  words", "st\nsec", "x--y"):
        assert "Found 1 match " in agent.ok("search_dir", term)
    assert agent.ok("search_dir", "x.y") == f'No matches for "x.y" in {agent.workspace}.\n'


def test_search_dir_leaves_out_hidden_binary_and_linked_files(agent: Agent, tmp_path: Path) -> None:
    """Hidden and binary files are not searched, and no link leads out of the folder."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(b"needle\n")
    agent.write(".hidden/a.py", "needle\n")
    agent.write("sub/.b.py", "needle\n")
    agent.write("c.bin", b"needle\0\n")
    (agent.workspace / "folder").symlink_to(outside)
    (agent.workspace / "file").symlink_to(outside / "secret.txt")
    (agent.workspace / "round").symlink_to(".")
    os.mkfifo(agent.workspace / "pipe")
    assert agent.ok("search_dir", "needle").startswith("No matches")
    assert "Found 1 match " in agent.ok("search_dir", "needle", str(outside))


def test_search_dir_refuses_more_than_a_hundred_files(agent: Agent) -> None:
    """A hundred files are listed; one more brings advice instead."""
    for number in range(100):
        agent.write(f"d/{number}.txt", "needle\n")
    assert agent.ok("search_dir", "needle").count("(1 match)") == 100
    agent.write("d/more.txt", "needle\n")
    assert "more than 100 files" in agent.refused("search_dir", "needle")


def test_search_dir_searches_large_files(agent: Agent) -> None:
    """A file too large to be read at once is counted like any other."""
    agent.write("a.log", b"hay hay hay hay\n" * 1_200_000 + b"needle\nneedle needle\nend needle")
    assert "a.log (3 matches)" in agent.ok("search_dir", "needle")


def test_search_dir_says_what_it_could_not_read(agent: Agent) -> None:
    """A file or folder that cannot be read is not passed over in silence."""
    if os.geteuid() == 0:
        pytest.skip("root can read everything")
    agent.write("a.txt", "needle\n").chmod(0)
    agent.write("sub/b.txt", "needle\n").parent.chmod(0)
    try:
        output = agent.ok("search_dir", "needle")
        assert "could not be read: " in agent.ok("find_file", "b.txt")
    finally:
        (agent.workspace / "sub").chmod(0o755)
    assert "could not be read: " in output
    assert "and 1 other place" in output


def test_search_dir_is_quick_over_ten_thousand_files(agent: Agent) -> None:
    """Ten thousand files are searched in seconds at worst."""
    for folder in range(100):
        (agent.workspace / str(folder)).mkdir()
        for number in range(100):
            (agent.workspace / str(folder) / f"{number}.py").write_bytes(b"hay\n")
    agent.write("99/last.py", "needle\n")
    start = time.monotonic()
    assert "last.py (1 match)" in agent.ok("search_dir", "needle")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", ["search_dir", "find_file"])
def test_searches_name_a_folder_that_is_none(agent: Agent, name: str) -> None:
    """A missing folder and a file in its place are told apart."""
    agent.write("data.csv", "")
    assert "is not a folder" in agent.refused(name, "x", "data.csv")
    assert "does not exist. Did you mean" in agent.refused(name, "x", "dat.csv")


def test_search_file_lists_lines(agent: Agent) -> None:
    """The lines of the open or the named file that have the term are listed with their numbers."""
    path = open_text(agent, "a.b\nhay\n  a.b too\r\n")
    expected = f'Found 2 lines with "a.b" in {path}:\nLine 1:a.b\nLine 3:  a.b too\nEnd of matches for "a.b" in {path}.\n'
    assert agent.ok("search_file", "a.b") == expected
    agent.write("other.txt", "x\n")
    assert agent.ok("search_file", "x", "other.txt").startswith("Found 1 line with")
    assert agent.ok("search_file", "a.b") == expected
    assert agent.ok("search_file", "absent") == f'No matches for "absent" in {path}.\n'


def test_search_file_lists_a_hundred_lines_at_most(agent: Agent) -> None:
    """Of more lines the first hundred are shown and the others counted."""
    open_text(agent, "needle\n" * 250)
    output = agent.ok("search_file", "needle")
    assert output.count("\nLine ") == 100
    assert output.endswith("(150 more lines are not shown; a more precise term shows fewer.)\n")


def test_search_file_shortens_long_lines_around_the_term(agent: Agent) -> None:
    """Of a very long line the part with the term is shown."""
    open_text(agent, "x" * 50_000 + "needle" + "y" * 50_000 + "\n")
    output = agent.ok("search_file", "needle")
    assert "xneedley" in output
    assert len(output) < 1500


def test_find_file_finds_names_and_patterns(agent: Agent) -> None:
    """Names match whole or as a pattern, at any depth, hidden files and links as well."""
    for name in ("a.py", "sub/b.py", "sub/.c.py", "[x].txt", "x.txt"):
        agent.write(name, "")
    (agent.workspace / "link.py").symlink_to("a.py")
    here = agent.workspace
    assert agent.ok("find_file", "b.py").splitlines()[1:-1] == [f"{here}/sub/b.py"]
    assert set(agent.ok("find_file", "*.py").splitlines()[1:-1]) == {
        f"{here}/{name}" for name in ("a.py", "link.py", "sub/.c.py", "sub/b.py")
    }
    assert len(agent.ok("find_file", "[x].txt").splitlines()) == 4
    assert agent.ok("find_file", "a.py", "sub") == f'No files are named "a.py" in {here}/sub.\n'
    assert "cannot have a slash" in agent.refused("find_file", "sub/b.py")


def test_find_file_lists_a_hundred_files_at_most(agent: Agent) -> None:
    """Of more files the first hundred are shown and the others counted."""
    for number in range(130):
        agent.write(f"{number}.png", "")
    output = agent.ok("find_file", "*.png")
    assert output.startswith("Found 130 files")
    assert "(30 more files are not shown" in output


# --- validate and submit ----------------------------------------------------------------------------------------


class Engine:
    """The engine's end of the control descriptor; answers one request, and is joined at the end of the test."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.request = b""
        self.descriptors = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        self.request, descriptors, _, _ = socket.recv_fds(self.ours, 4096, 4)
        self.descriptors = len(descriptors)
        for descriptor in descriptors:
            with socket.socket(fileno=descriptor) as channel:
                for start in range(0, len(self.answer), 1000):
                    channel.sendall(self.answer[start : start + 1000])

    def close(self) -> None:
        """End the connection and the thread."""
        self.theirs.close()
        self._thread.join(timeout=30)
        self.ours.close()


@pytest.fixture
def make_engine() -> object:
    """Makes engines with a given answer and closes them."""
    engines: list[Engine] = []

    def make(answer: bytes) -> Engine:
        engines.append(Engine(answer))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.mark.parametrize("name", ["validate", "submit"])
@pytest.mark.parametrize("is_ok", [True, False])
def test_requests_reach_the_engine(agent: Agent, make_engine: Callable[[bytes], Engine], name: str, is_ok: bool) -> None:
    """One datagram with one descriptor goes out, the answer's text is printed, and `ok` decides the exit status."""
    text = "Score: 2.5 ± 0.1\n" + "x" * 5000
    engine = make_engine(json.dumps({"ok": is_ok, "text": text}).encode())
    done = agent.call(name, descriptor=engine.theirs.fileno())
    assert (done.returncode, done.stdout + done.stderr) == (0 if is_ok else 1, text + "\n")
    assert json.loads(engine.request) == {"request": name}
    assert engine.descriptors == 1


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"3", b'{"ok": true}', b"\xff"])
def test_no_answer_is_told(agent: Agent, make_engine: Callable[[bytes], Engine], answer: bytes) -> None:
    """An answer that is missing or cannot be understood is a clear failure."""
    engine = make_engine(answer)
    done = agent.call("validate", descriptor=engine.theirs.fileno())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: the engine ended the connection without an answer to validate.\n"


@pytest.mark.parametrize("number", ["", "x", "-1", "77", "99999999999999999999", "0"])
def test_a_missing_connection_is_told(agent: Agent, number: str) -> None:
    """Without a usable descriptor the tool fails with a clear message."""
    assert "engine" in agent.refused("submit", MLGYM_LITE_CONTROL_FD=number)
    assert CONTROL in agent.refused("submit")


def test_a_closed_engine_is_told(agent: Agent) -> None:
    """When the engine's end is gone, the tool does not wait."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    with theirs:
        done = agent.call("submit", descriptor=theirs.fileno())
    assert done.returncode == 1
    assert "could not reach the engine" in done.stderr


def test_requests_do_not_depend_on_the_state(agent: Agent, make_engine: Callable[[bytes], Engine]) -> None:
    """A spoiled home does not keep an agent from submitting."""
    (agent.home / ".mlgym_lite").write_bytes(b"")
    engine = make_engine(b'{"ok": true, "text": "done"}')
    done = agent.call("submit", descriptor=engine.theirs.fileno())
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_several_requests_use_the_same_descriptor(agent: Agent) -> None:
    """The control descriptor serves any number of calls, at the same time too, each with its own answer."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(agent.call("validate", descriptor=theirs.fileno()).stdout))
        for _ in range(3)
    ]
    with ours, theirs:
        for thread in threads:
            thread.start()
        channels = [socket.socket(fileno=socket.recv_fds(ours, 4096, 1)[1][0]) for _ in threads]
        for number, channel in enumerate(channels):
            with channel:
                channel.sendall(json.dumps({"ok": True, "text": f"answer {number}"}).encode())
        for thread in threads:
            thread.join(timeout=30)
    assert sorted(results) == ["answer 0\n", "answer 1\n", "answer 2\n"]
