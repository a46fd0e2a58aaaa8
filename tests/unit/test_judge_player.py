"""The grading files keep their contract: verdicts of the judge, and the link between judge and player."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from grading_harness import GRADING, grading_interpreter, module_at

judge: Any = module_at(GRADING / "mlgym_judge.py")


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that can import the grading files."""
    return grading_interpreter(tmp_path_factory.mktemp("environment") / "venv")


def framed(payload: bytes) -> bytes:
    """Return one message as it goes over the link."""
    return len(payload).to_bytes(4, "big") + payload


def answer_to(sent: bytes, *, closed: bool = False, **options: Any) -> Any:
    """Ask a player that has already sent these bytes, and perhaps left."""
    near, far = socket.socketpair()
    with far, judge.Player(near) as player:
        far.sendall(sent)
        if closed:
            far.close()
        return player.ask({"question": 1}, **options)


def test_an_answer_is_returned_as_it_was_sent() -> None:
    """The judge gets what the player's JSON says."""
    assert answer_to(framed(b'{"moves": [0, 1, 0.5]}')) == {"moves": [0, 1, 0.5]}


def test_a_player_that_has_left_is_rejected() -> None:
    """The end of the stream, before or within an answer, is the submission's fault."""
    for sent in (b"", framed(b"[0, 1]")[:-1]):
        with pytest.raises(judge.Rejected, match="ended before it had answered"):
            answer_to(sent, closed=True)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[NaN]",
        b"[Infinity]",
        b"[-1e999]",
        b"[" * 90_000 + b"]" * 90_000,
        b"1" * 50_000,
        b"[0] [1]",
    ],
    ids=["empty", "text", "bytes", "nan", "infinity", "overflow", "nested", "digits", "two"],
)
def test_what_is_not_json_with_finite_numbers_is_rejected(payload: bytes) -> None:
    """Whatever a player sends in place of JSON is the submission's fault."""
    with pytest.raises(judge.Rejected, match="not JSON with finite numbers"):
        answer_to(framed(payload))


def test_an_overlong_answer_is_rejected_unread() -> None:
    """A length above the limit ends the exchange at once, without waiting for the rest."""
    for sent, options in ((b"\xff\xff\xff\xff", {}), (framed(b"[0, 1]"), {"reply_limit_bytes": 5})):
        with pytest.raises(judge.Rejected, match="at most"):
            answer_to(sent, **options)


def test_the_time_out_covers_the_whole_answer() -> None:
    """A player that says nothing, or begins and does not go on, is late."""
    for sent in (b"", framed(b"[0, 1]")[:-1]):
        started = time.monotonic()
        with pytest.raises(judge.Rejected, match="in time"):
            answer_to(sent, timeout_seconds=0.05)
        assert time.monotonic() - started < 5


def test_the_time_out_counts_from_the_question_not_from_the_last_byte() -> None:
    """A clock that has passed the deadline ends the exchange although bytes are waiting."""
    times = iter([0.0, 1.0, 2.0, 61.0])
    near, far = socket.socketpair()
    with far, judge.Player(near, clock=lambda: next(times)) as player:
        far.sendall(framed(b"[0, 1]"))
        with pytest.raises(judge.Rejected, match="in time"):
            player.ask({})


def test_a_player_that_does_not_read_is_late() -> None:
    """A question that does not fit the socket's buffer does not hold the judge up for ever."""
    near, far = socket.socketpair()
    with far, judge.Player(near) as player:
        with pytest.raises(judge.Rejected, match="in time"):
            player.ask("x" * 16_000_000, timeout_seconds=0.05)


def test_a_reported_error_shows_its_last_lines_only() -> None:
    """The agent sees the end of its own traceback, cut at a line, with control characters spelled out."""
    report = "first line\n" + "filler line\n" * 500 + "ValueError: \x1b[31mred\x00"
    with pytest.raises(judge.Rejected) as caught:
        answer_to(framed(json.dumps({"error": report}).encode()))
    text = str(caught.value)
    assert text.startswith("the submission's code failed:\nfiller line\n")
    assert text.endswith("ValueError: \\x1b[31mred\\x00")
    assert len(text) < judge.TRACEBACK_LIMIT_CHARACTERS + 100


def test_an_error_that_is_not_text_is_still_a_rejection() -> None:
    """A player cannot break the judge with an error of another shape."""
    with pytest.raises(judge.Rejected):
        answer_to(framed(b'{"error": {"a": [1]}}'))


def test_the_players_seed_is_settled_by_the_judges_but_is_another() -> None:
    """The same grading gives the player the same seed, which differs from the judge's own."""
    assert judge.player_seed(5) == judge.player_seed(5)
    assert len({5, 6, judge.player_seed(5), judge.player_seed(6)}) == 4


def verdict_of(interpreter: Path, root: Path, body: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a grader whose function has this body."""
    logs = root / "logs" / "verifier"
    logs.mkdir(parents=True)
    lines = ["from mlgym_judge import Rejected, run", "def grade(context):", f"    {body}", "run(grade)"]
    root.joinpath("grade.py").write_text("\n".join(lines), encoding="utf-8")
    environment = {
        "MLGYM_LITE_ROOT": str(root),
        "MLGYM_LITE_SPLIT": "dev",
        "MLGYM_LITE_VARIANT": "mini",
        "MLGYM_LITE_SEED": "12",
    } | changes
    return subprocess.run([interpreter, "-I", root / "grade.py"], env=environment, cwd=logs, capture_output=True, text=True)


def names_in(folder: Path) -> list[str]:
    """Return the names of what lies in a folder."""
    return [path.name for path in folder.iterdir()]


def test_a_result_becomes_the_verdict(interpreter: Path, tmp_path: Path) -> None:
    """Finite numbers end up in reward.json, with exit status 0 and nothing else in the folder."""
    body = "return {'Score': context.seed / 8, 'dev': len(context.split), 'mini': len(context.variant)}"
    assert verdict_of(interpreter, tmp_path, body).returncode == 0
    logs = tmp_path / "logs" / "verifier"
    assert json.loads(logs.joinpath("reward.json").read_text(encoding="utf-8")) == {"Score": 1.5, "dev": 3, "mini": 4}
    assert names_in(logs) == ["reward.json"]


def test_a_rejection_is_told_to_the_agent(interpreter: Path, tmp_path: Path) -> None:
    """A refused submission gives exit status 65 and a short harmless text, and no reward."""
    done = verdict_of(interpreter, tmp_path, "raise Rejected('line 3\\n\\x07\\ud800 bad' + 'x' * 10_000)")
    logs = tmp_path / "logs" / "verifier"
    assert done.returncode == 65
    text = logs.joinpath("rejection.txt").read_text(encoding="utf-8")
    assert text.startswith("line 3\n\\x07\\ud800 bad") and len(text) == judge.REJECTION_LIMIT_CHARACTERS
    assert names_in(logs) == ["rejection.txt"]


@pytest.mark.parametrize(
    "body",
    [
        "return {}",
        "return {'Score': float('nan')}",
        "return {'Score': float('inf')}",
        "return {'Score': '1.0'}",
        "return {'Score': True}",
        "return None",
        "raise ZeroDivisionError",
        "context.player()",
    ],
)
def test_a_failing_grader_leaves_no_verdict(interpreter: Path, tmp_path: Path, body: str) -> None:
    """A result that is no finite number, or an exception, is the task's failure, not the agent's."""
    done = verdict_of(interpreter, tmp_path, body)
    assert done.returncode not in (0, 65)
    assert names_in(tmp_path / "logs" / "verifier") == []
    assert "Traceback" in done.stderr


def test_a_wrong_split_or_variant_is_refused(interpreter: Path, tmp_path: Path) -> None:
    """The engine's mistakes are told as such, with the value and what was expected."""
    for at, changes in enumerate(({"MLGYM_LITE_SPLIT": "train"}, {"MLGYM_LITE_VARIANT": "small"})):
        done = verdict_of(interpreter, tmp_path / str(at), "return {'Score': 1}", **changes)
        assert done.returncode == 1 and "expected" in done.stderr


class PlayedBy:
    """A player program with this body for its handler, as a real process, for one test."""

    def __init__(self, interpreter: Path, folder: Path, body: str) -> None:
        """Start the program; the handler's argument is `message`."""
        program = folder / "player.py"
        body = "\n".join("    " + line for line in body.splitlines())
        head = "import os, random, sys, subprocess\nimport mlgym_player\nprint('loaded', flush=True)\n"
        program.write_text(f"{head}def handler(message):\n{body}\nmlgym_player.serve(handler)\nprint('over')", encoding="utf-8")
        near, far = socket.socketpair()
        self.link = judge.Player(near)
        with far:
            self.process = subprocess.Popen(
                [interpreter, program],
                env={"PATH": os.environ["PATH"], "MLGYM_LITE_PLAYER_FD": str(far.fileno())},
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )

    def __enter__(self) -> PlayedBy:
        """Seed the player, as every judge does first."""
        assert self.link.ask({"seed": 3}) == {}
        return self

    def __exit__(self, *_: object) -> None:
        """Let the player end, and make sure of it."""
        self.close()

    def close(self) -> bytes:
        """Close the link and return what the program printed."""
        self.link.close()
        try:
            return self.process.communicate(timeout=20)[0]
        finally:
            self.process.kill()


def test_the_player_answers_until_the_judge_leaves(interpreter: Path, tmp_path: Path) -> None:
    """Each message gets the handler's answer; the closed link ends the loop with status 0."""
    with PlayedBy(interpreter, tmp_path, "return [message, 'é']") as player:
        assert player.link.ask({"a": 1}) == [{"a": 1}, "é"]
        assert player.link.ask(None) == [None, "é"]
        assert player.close() == b"loaded\nover\n"
    assert player.process.returncode == 0


def test_prints_do_not_disturb_the_link(interpreter: Path, tmp_path: Path) -> None:
    """What the agent's code prints, or writes to the standard descriptors, is no answer."""
    body = "print('{}')\nsys.stderr.write('{}')\nos.write(1, b'xx')\nreturn 7"
    with PlayedBy(interpreter, tmp_path, body) as player:
        assert player.link.ask(0) == 7
        assert player.link.ask(0) == 7


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("raise ValueError('no move')", "ValueError: no move"),
        ("sys.exit(0)", "SystemExit: 0"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("return {1, 2}", "TypeError"),
        ("return float('nan')", "ValueError"),
        ("return handler(message)", "RecursionError"),
    ],
)
def test_a_failing_handler_is_reported(interpreter: Path, tmp_path: Path, body: str, shown: str) -> None:
    """Any exception of the agent's code reaches the judge as a traceback and ends the player with status 1."""
    with PlayedBy(interpreter, tmp_path, body) as player:
        with pytest.raises(judge.Rejected, match=shown):
            player.link.ask(0)
        player.close()
    assert player.process.returncode == 1


def test_the_seed_settles_random_and_numpy(interpreter: Path, tmp_path: Path) -> None:
    """Two players with the same seed draw the same numbers, in `random` and in numpy."""
    body = "import numpy\nreturn [random.random(), float(numpy.random.rand())]"
    draws = []
    for name in ("first", "second"):
        tmp_path.joinpath(name).mkdir()
        with PlayedBy(interpreter, tmp_path / name, body) as player:
            draws.append(player.link.ask(0))
    assert draws[0] == draws[1]


def test_programs_of_the_agent_do_not_inherit_the_link(interpreter: Path, tmp_path: Path) -> None:
    """A child process sees neither the descriptor nor the variable that names it."""
    body = (
        "listing = ['ls', '-l', '/proc/self/fd']\n"
        "seen = subprocess.run(listing, stdout=subprocess.PIPE, close_fds=False).stdout.decode()\n"
        "return ['socket:' in seen, 'MLGYM_LITE_PLAYER_FD' in os.environ]"
    )
    with PlayedBy(interpreter, tmp_path, body) as player:
        assert player.link.ask(0) == [False, False]


def test_a_killed_player_is_rejected(interpreter: Path, tmp_path: Path) -> None:
    """A player that is killed in mid-answer is told from one that is slow."""
    with PlayedBy(interpreter, tmp_path, f"os.kill(os.getpid(), {int(signal.SIGKILL)})") as player:
        with pytest.raises(judge.Rejected, match="ended before it had answered"):
            player.link.ask(0, timeout_seconds=30)
