"""What an agent leaves to be graded: links and special files, files exchanged during the copy, too much of everything."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from attack_harness import OpenEpisode, run_python
from tiny_task import GRADER, TASK_TOML

from mlgym_lite import Episode

pytestmark = pytest.mark.kernel

FOLDER_TOML = TASK_TOML.replace('artifacts = ["answer.txt"]', 'artifacts = ["out"]')
DEEP_TOML = TASK_TOML.replace('"answer.txt"', '"deep/er/answer.txt"').replace("validations = 3", "validations = 100")
DEEP_GRADER = GRADER.replace("/submission/answer.txt", "/submission/deep/er/answer.txt")
AS_SCORE = "wc -c | sed 's/.*/{\"Score\": &}/' > $MLGYM_LITE_ROOT/logs/verifier/reward.json\n"
COUNTING_GRADER = f"find $MLGYM_LITE_ROOT/submission/out/ -type f -printf x | {AS_SCORE}"

EXCHANGING = """\
os.chdir(ROOT + "/workspace")
os.makedirs("deep/er", exist_ok=True)
open("deep/er/answer.txt", "w").write("0.5\\n")
os.symlink(secret, "to_secret")
os.makedirs("linked"); os.symlink(secret, "linked/er")
os.makedirs("file/er"); os.symlink(secret + "/answer.txt", "file/er/answer.txt")
os.makedirs("hard/er"); open("hard/er/answer.txt", "w").write("0.25\\n"); os.link("hard/er/answer.txt", "hard/er/other")
os.makedirs("fifo/er"); os.mkfifo("fifo/er/answer.txt")
pairs = [("deep", "linked"), ("deep", "file"), ("deep", "to_secret"), ("deep", "hard"), ("deep", "fifo"),
         ("deep/er", "linked/er"), ("deep/er/answer.txt", "file/er/answer.txt"), ("deep/er/answer.txt", "fifo/er/answer.txt")]
if os.fork() == 0:
    os.setsid()
    for number in range(3):
        os.close(number)
    counted = os.open("turns", os.O_CREAT | os.O_WRONLY)
    turn = 0
    while True:
        for first, second in pairs:
            call(316, -100, first.encode(), -100, second.encode(), 2); call(316, -100, first.encode(), -100, second.encode(), 2)
        turn += 1
        os.pwrite(counted, b"%d" % turn, 0)
"""


def test_folders_exchanged_for_links_while_they_are_copied(open_episode: OpenEpisode, tmp_path: Path) -> None:
    """While a process exchanges every component of the path for links to a host's file, that file is never graded."""
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o755)
    (secret / "answer.txt").write_text("777\n", encoding="utf-8")
    tmp_path.chmod(0o755)
    episode = open_episode(toml=DEEP_TOML, grader=DEEP_GRADER)
    run_python(episode, EXCHANGING, secret=str(secret))
    attempts = [episode.validate() for _ in range(60)]
    assert int((episode.run_directory / "workspace" / "turns").read_text(encoding="ascii")) > 100
    assert {attempt.metrics["Score"] for attempt in attempts if attempt.metrics} <= {0.5}
    assert {attempt.metrics is None for attempt in attempts} == {True, False}, [attempt.message for attempt in attempts]
    outcome = episode.submit()
    assert outcome.score in (0.5, None)


def test_a_link_to_the_hosts_file_is_not_graded(open_episode: OpenEpisode, tmp_path: Path) -> None:
    """A link that on the host would lead to a readable file with a splendid answer is refused at every place of the path."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "answer.txt").write_text("777\n", encoding="utf-8")
    episode = open_episode(toml=DEEP_TOML, grader=DEEP_GRADER)
    for make in (
        f"ln -sfn {secret} deep",
        f"rm deep; mkdir deep; ln -s {secret} deep/er",
        f"rm deep/er; mkdir deep/er; ln -s {secret}/answer.txt deep/er",
    ):
        assert episode.step(make).exit_status == 0
        attempt = episode.validate()
        assert attempt.metrics is None
        assert "a symbolic link" in attempt.message


def test_nothing_of_the_agents_runs_while_its_submission_is_copied_and_graded(open_episode: OpenEpisode) -> None:
    """What was graded is what the workspace holds in the end, though a daemon had been changing it all the time."""
    episode = open_episode(grader="sleep 1\n" + GRADER)
    program = """\
begun, begin = os.pipe()
if os.fork() == 0:
    os.setsid()
    for number in range(3):
        os.close(number)
    file = os.open(ROOT + "/workspace/answer.txt", os.O_WRONLY)
    for turn in range(10 ** 9):
        os.pwrite(file, b"0.%09d" % turn, 0)
        if turn == 0:
            os.write(begin, b"x")
os.read(begun, 1)
"""
    run_python(episode, program)
    episode.submit()
    graded = (episode.run_directory / "submission" / "answer.txt").read_bytes()
    assert graded == (episode.run_directory / "workspace" / "answer.txt").read_bytes()
    assert graded != b"0.5\n"


def test_a_file_that_grows_and_shrinks_while_it_is_copied(open_episode: OpenEpisode) -> None:
    """A file that changes its size all the time is graded or refused, and is nobody's error but the agent's."""
    episode = open_episode(toml=TASK_TOML.replace("validations = 3", "validations = 100"))
    program = """\
if os.fork() == 0:
    os.setsid()
    for number in range(3):
        os.close(number)
    file = os.open(ROOT + "/workspace/answer.txt", os.O_WRONLY)
    while True:
        os.ftruncate(file, 60 << 20); os.ftruncate(file, 0); os.pwrite(file, b"0.5", 0); os.ftruncate(file, 3)
"""
    run_python(episode, program)
    started = time.monotonic()
    for _ in range(20):
        attempt = episode.validate()
        assert attempt.metrics in (None, {"Score": 0.5})
    assert time.monotonic() - started < 60
    episode.submit()


@pytest.mark.parametrize(
    ("program", "why"),
    [
        pytest.param("os.makedirs('out')\nfor n in range(10001): os.mkdir(f'out/{n}')", "too many folders", id="empty folders"),
        pytest.param("os.makedirs('out')\nfor n in range(10001): open(f'out/{n}', 'w')", "too many files", id="empty files"),
        pytest.param("os.makedirs('out/' + '/'.join('d' * 33))", "too deep", id="deep"),
        pytest.param("os.makedirs('out'); os.mkfifo('out/' + chr(27) + '[2J' + chr(10))", "a FIFO", id="odd name"),
        pytest.param("os.makedirs('out'); os.symlink('/', b'out/' + bytes([255, 254]))", "a symbolic link", id="no text"),
        pytest.param(
            "os.makedirs('out')\nfor n in range(2):\n    f = open(f'out/{n}', 'w'); f.truncate(40 << 20)", "too large", id="large"
        ),
        pytest.param("os.makedirs('out'); socket.socket(socket.AF_UNIX).bind('out/s')", "a socket", id="socket",
                     marks=pytest.mark.only_bubblewrap("no socket can be made without namespaces")),
        pytest.param("os.makedirs('out'); open('out/a', 'w').close(); os.link('out/a', 'out/b')", "a hard link", id="hard link"),
    ],
)  # fmt: skip
def test_folders_of_anything_but_a_few_plain_files_are_refused(open_episode: OpenEpisode, program: str, why: str) -> None:
    """Too many, too deep, too large, too special: the submission is refused with the reason, and the agent is at fault."""
    episode = open_episode(toml=FOLDER_TOML, grader=COUNTING_GRADER)
    assert run_python(episode, "os.chdir(ROOT + '/workspace')\n" + program) == ""
    attempt = episode.validate()
    assert attempt.metrics is None
    assert why in attempt.message
    outcome = episode.submit()
    assert outcome.score is None
    assert (outcome.ending.reason, outcome.ending.fault) == ("submitted", "agent")


def test_odd_names_are_graded_as_they_are(open_episode: OpenEpisode) -> None:
    """Names of control characters, line ends, bytes that are no text, dashes, and the longest there are reach the grader."""
    episode = open_episode(
        toml=FOLDER_TOML,
        grader=COUNTING_GRADER,
    )
    names = [
        b"\x1b[2J",
        b"a\nb",
        b"\xff\xfe",
        b"-rf",
        b"n" * 255,
        b" ",
        b"$(touch x)",
        b"'\"`;&|",
        "\u202e\u2066".encode(),
        b"\x7f\x9b\r\t",
    ]
    assert (
        run_python(
            episode,
            "os.chdir(ROOT + '/workspace'); os.mkdir('out')\nfor name in names: open(b'out/' + name, 'w').close()",
            names=names,
        )
        == ""
    )
    assert episode.validate().metrics == {"Score": float(len(names))}
    assert episode.submit().score == float(len(names))


@pytest.mark.parametrize(
    "commands", ["umask 777; echo 0.75 > new", "chmod 000 answer.txt", "chmod 6777 answer.txt; chmod 1777 ."]
)
def test_modes_do_not_end_an_episode(episode: Episode, commands: str) -> None:
    """Whatever modes the agent gives to files of its own, they are graded or refused."""
    episode.step(f"cd $MLGYM_LITE_ROOT/workspace; {commands}")
    assert episode.validate().metrics in (None, {"Score": 0.5})
    outcome = episode.submit()
    assert outcome.ending.reason == "submitted"
    for path in (episode.run_directory / "submission").rglob("*"):
        assert path.stat().st_mode & 0o7022 == 0 or path.is_dir()


@pytest.mark.parametrize("place", ["workspace", "venv"])
def test_taking_away_its_own_rights_is_no_error_of_the_sandbox(episode: Episode, place: str) -> None:
    """An agent that locks itself out of its own folders gets a new shell and is graded, and the sandbox is not to blame."""
    episode.step(f"cd /; chmod 000 $MLGYM_LITE_ROOT/{place}")
    episode.validate()
    episode.step("exit")
    assert episode.step("echo usable").observation.endswith("usable\n")
    episode.step(f"cd /; chmod 000 $MLGYM_LITE_ROOT/{place}")
    assert episode.submit().score == 0.5
