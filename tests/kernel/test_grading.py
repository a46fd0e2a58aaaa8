"""Scores stay honest: what an agent leaves as its submission, does to its grader's surroundings, or asks of the engine."""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attack_harness import wait_until
from tiny_task import GRADER, TASK_TOML

import mlgym_lite
from mlgym_lite import Attempt, Episode, Outcome
from mlgym_lite.config.run_settings import IsolationChoice, RunSettings
from mlgym_lite.config.task_file import ScoringKind, Variant
from mlgym_lite.errors import EpisodeStateError, GraderError, TaskError
from mlgym_lite.isolation.protocol import Sandbox, SandboxRequest
from mlgym_lite.isolation.storage_watch import StorageWatch

pytestmark = pytest.mark.kernel

OpenEpisode = Callable[..., Episode]
FOLDER_TOML = TASK_TOML.replace('artifacts = ["answer.txt"]', 'artifacts = ["out"]')
LISTING_GRADER = """\
find /submission -mindepth 1 -printf '%y %s %n %P\\0' > /logs/verifier/listing
printf '{"Score": 1}' > /logs/verifier/reward.json
"""
PATIENT_TOML = TASK_TOML.replace("max_steps = 20", "max_steps = 100")


@pytest.fixture
def open_episode(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> Iterator[OpenEpisode]:
    """Opens episodes of a task given by its parts and closes them after the test."""
    with contextlib.ExitStack() as stack:

        def open_one(
            *,
            variant: Variant = "full",
            scoring: ScoringKind = "clean",
            isolation: IsolationChoice = "auto",
            **parts: Any,
        ) -> Episode:
            task = mlgym_lite.load_task(make_task(**parts))
            settings = RunSettings(output=tmp_path / "run", variant=variant, scoring=scoring, isolation=isolation)
            return stack.enter_context(Episode(task, settings=settings, environment=environment))

        yield open_one


@pytest.fixture
def episode(open_episode: OpenEpisode) -> Episode:
    """An episode of the tiny task."""
    return open_episode()


def run_python(episode: Episode, program: str) -> str:
    """What a Python program prints that the agent runs."""
    return episode.step(f"python3 - <<'END_OF_PROGRAM'\n{program}\nEND_OF_PROGRAM").observation


def graded(episode: Episode) -> tuple[Attempt, Outcome]:
    """A validation and then the submission."""
    return episode.validate(), episode.submit()


def assert_rejected(episode: Episode, why: str) -> None:
    """Both kinds of scoring refuse the submission in words, and nobody but the agent is at fault."""
    attempt, outcome = graded(episode)
    assert attempt.metrics is None
    assert why in attempt.message
    assert outcome.score is None
    assert outcome.ending.reason == "submitted"
    assert why in outcome.ending.detail


# What is handed in


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        ("rm answer.txt", "missing"),
        ("ln -sf /etc/passwd answer.txt", "a symbolic link"),
        ("ln -sf /tests/test.sh answer.txt", "a symbolic link"),
        ("echo 9 > other; ln -sf other answer.txt", "a symbolic link"),
        ("ln -sf /proc/self/fd/0 answer.txt", "a symbolic link"),
        ("ln answer.txt second", "a hard link"),
        ("rm answer.txt; mkfifo answer.txt", "a FIFO"),
        ("rm answer.txt; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"answer.txt\")'", "a socket"),
    ],
)
def test_only_plain_files_are_taken(episode: Episode, commands: str, why: str) -> None:
    """A declared file that is missing, a link, a FIFO or a socket is rejected with its kind."""
    episode.step(commands)
    assert_rejected(episode, why)


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        ("mkdir out; ln -s /etc out/link", "out/link: a symbolic link"),
        ("mkdir -p out/a/b; mkfifo out/a/b/f", "out/a/b/f: a FIFO"),
        ("mkdir out; echo x > x; ln x out/x", "out/x: a hard link"),
        ("ln -s /tmp out", "out: a symbolic link"),
        ("mkdir -p out/$(printf 'd/%.0s' {1..40})", "too deep"),
        ("mkdir out; seq 10001 | sed 's,^,out/,' | xargs touch", "too many files"),
        ("mkdir out; for i in 1 2 3; do truncate -s 60M out/$i; done", "too large"),
        (": > x; mkdir -p real/out; ln -s real/out out", "out: a symbolic link"),
    ],
)
def test_folders_hold_plain_files_only(open_episode: OpenEpisode, commands: str, why: str) -> None:
    """A declared folder with anything but folders and plain files in it, or with too much, is rejected."""
    episode = open_episode(toml=FOLDER_TOML, grader=LISTING_GRADER)
    episode.step(commands)
    assert_rejected(episode, why)


def test_a_link_above_a_file_is_refused(open_episode: OpenEpisode) -> None:
    """No component of a declared path may be a link."""
    episode = open_episode(toml=TASK_TOML.replace('"answer.txt"', '"deep/er/answer.txt"'))
    episode.step("mkdir -p deep real; ln -s ../real deep/er; cp answer.txt real/")
    assert_rejected(episode, "a symbolic link")


def test_very_long_paths_are_refused(open_episode: OpenEpisode) -> None:
    """A declared folder whose paths grow longer than the kernel takes is rejected."""
    episode = open_episode(toml=FOLDER_TOML, grader=LISTING_GRADER)
    run_python(
        episode,
        "import os\nos.mkdir('out'); os.chdir('out')\nfor _ in range(25):\n    os.mkdir('d' * 250); os.chdir('d' "
        "* 250)\nopen('f', 'w')",
    )
    assert_rejected(episode, "out/")


def test_unusual_names_are_handed_in(open_episode: OpenEpisode) -> None:
    """Files keep their names, content and place, whatever characters are in them; rights and times do not matter."""
    episode = open_episode(toml=FOLDER_TOML, grader=LISTING_GRADER)
    episode.step(
        "mkdir -p $'out/a\\nb' out/empty; cd out; printf 12 > $'a\\nb/\\xff\\xfe'; printf 3 > ' x '; printf '' > "
        "'-n'; chmod 6777 ./-n; touch -d 2001-01-01 ./-n"
    )
    attempt, outcome = graded(episode)
    assert attempt.metrics == {"Score": 1.0}
    listing = (episode.run_directory / "grading" / "0002-submit" / "verifier" / "listing").read_bytes()
    files = sorted(entry for entry in listing.split(b"\0") if entry.startswith(b"f"))
    assert files == [b"f 0 1 out/-n", b"f 1 1 out/ x ", b"f 2 1 out/a\nb/\xff\xfe"]
    assert outcome.score == 1.0
    for path in (episode.run_directory / "submission").rglob("*"):
        assert path.stat().st_mode & 0o7022 == 0 or path.is_dir()


def test_huge_sparse_files_are_refused_at_once(open_episode: OpenEpisode) -> None:
    """A file that pretends to ten gigabytes can neither be made nor handed in, and takes no time."""
    episode = open_episode(toml=FOLDER_TOML, grader=LISTING_GRADER)
    assert episode.step("truncate -s 10G out").exit_status != 0
    episode.step("rm -f out; mkdir out; for i in {1..200}; do truncate -s 60M out/$i; done")
    started = time.monotonic()
    assert_rejected(episode, "too large")
    assert time.monotonic() - started < 20


def test_files_swapped_while_they_are_copied(open_episode: OpenEpisode) -> None:
    """A process that swaps the file with links, FIFOs and folders all the time gets nothing but its own file graded."""
    episode = open_episode(toml=PATIENT_TOML.replace("validations = 3", "validations = 60"), grader=LISTING_GRADER)
    episode.step(
        "cat > swap.py <<'END'\nimport os\nos.symlink('/etc/passwd', 'l'); os.mkfifo('p'); os.mkdir('d')\nopen('f',"
        " 'w').write('0.5\\n')\n"
        "while True:\n    for name in 'lfpfdf':\n        try:\n            os.rename(name, 'moved'); "
        "os.rename('moved', 'answer.txt')\n"
        "            os.rename('answer.txt', name)\n        except OSError:\n            "
        "os.path.isdir('answer.txt') and os.rename('answer.txt', 'd')\nEND\n"
        "rm answer.txt; python3 swap.py & :"
    )
    kinds = set()
    for number in range(1, 61):
        attempt = episode.validate()
        kinds.add(attempt.metrics is not None)
        if attempt.metrics is not None:
            listings = sorted(episode.run_directory.glob("grading/*/verifier/listing"))
            assert listings[-1].read_bytes() in (b"f 4 1 answer.txt\0", b"d 4096 2 answer.txt\0"), number
    episode.submit()


def test_background_processes_are_dead_before_the_submission_is_copied(episode: Episode) -> None:
    """A process that changes the file all the time no longer runs when the submission is copied."""
    run_python(episode, "import os\nif os.fork() == 0:\n    os.setsid()\n    while True:\n        open('beat', 'a').write('x')")
    episode.step("while [ ! -s beat ]; do sleep 0.01; done")
    episode.submit()
    beat = episode.run_directory / "workspace" / "beat"
    size = beat.stat().st_size
    assert beat.stat().st_size == size
    assert (episode.run_directory / "submission" / "answer.txt").read_text(encoding="utf-8") == "0.5\n"


def test_the_submission_is_sealed_while_it_is_graded(open_episode: OpenEpisode) -> None:
    """The judge can change neither the submission nor the tests, and the agent no copy that is being graded."""
    episode = open_episode(
        grader="for f in /submission/answer.txt /submission/new /tests/test.sh /tests/new /venv/new /new; do\n"
        "(echo 9 > $f) 2>/dev/null && echo $f >> /logs/verifier/written; done\n" + GRADER
    )
    attempt, outcome = graded(episode)
    assert attempt.metrics == {"Score": 0.5}
    assert outcome.score == 0.5
    assert not list(episode.run_directory.glob("grading/*/verifier/written"))


# Graders that fail


REWARD = "> /logs/verifier/reward.json"


@pytest.mark.parametrize(
    ("grader", "why"),
    [
        ("exit 1", "exit status 1"),
        ("kill -9 $$", "exit status 137"),
        ("true", "no reward.json"),
        (f"printf '' {REWARD}", "not JSON"),
        (f"echo garbage {REWARD}", "not JSON"),
        (f"echo '{{\"Score\": NaN}}' {REWARD}", "finite"),
        (f"echo '{{\"Score\": Infinity}}' {REWARD}", "finite"),
        (f"echo '{{\"Score\": -Infinity}}' {REWARD}", "finite"),
        (f"echo '{{\"Score\": 1e999}}' {REWARD}", "finite"),
        (f'echo \'{{"Score": "1"}}\' {REWARD}', "finite"),
        (f"echo '{{\"Score\": true}}' {REWARD}", "finite"),
        (f"echo '{{\"Score\": null}}' {REWARD}", "finite"),
        (f'echo \'{{"Score": 1, "Other": [1]}}\' {REWARD}', "finite"),
        (f"echo '{{}}' {REWARD}", "object"),
        (f"echo '[1]' {REWARD}", "object"),
        (f"echo '1' {REWARD}", "object"),
        (f"echo '{{\"score\": 1}}' {REWARD}", "lacks the metric 'Score'"),
        (f"head -c 3000000 /dev/zero | tr '\\0' 1 {REWARD}", "longer"),
        ("echo '{\"Score\": 9}' > /tmp/r; ln -s /tmp/r /logs/verifier/reward.json", "not a plain file"),
        ("ln -s /submission/answer.txt /logs/verifier/reward.json", "not a plain file"),
        ("mkfifo /logs/verifier/reward.json", "not a plain file"),
        (f"echo '{{\"Score\": 1}}' {REWARD}; exit 3", "exit status 3"),
        ("ln -s /etc/passwd /logs/verifier/rejection.txt; exit 65", "not a plain file"),
    ],
)
def test_a_grader_that_fails_is_the_tasks_fault(open_episode: OpenEpisode, grader: str, why: str) -> None:
    """A grader without exit status 0 and an object of finite numbers is an error of the task, and never a score."""
    episode = open_episode(grader=grader + "\n")
    with pytest.raises(GraderError, match=why):
        episode.submit()
    assert episode.outcome is not None
    assert (episode.outcome.ending.reason, episode.outcome.ending.fault) == ("grader_error", "task")
    assert episode.outcome.score is None
    assert json.loads((episode.run_directory / "result.json").read_text(encoding="utf-8"))["ending"]["reason"] == "grader_error"


def test_a_folder_in_the_place_of_the_reward(open_episode: OpenEpisode) -> None:
    """A folder where the reward should be is an error of the grader like any other."""
    episode = open_episode(grader="mkdir /logs/verifier/reward.json\n")
    with pytest.raises(GraderError, match="not a plain file"):
        episode.submit()


@pytest.mark.parametrize(
    "text",
    ["'{\"Score\": 1'$(printf '0%.0s' {1..400})'}'", "$(printf '[%.0s' {1..5000})"],
)
def test_a_reward_that_python_cannot_read(open_episode: OpenEpisode, text: str) -> None:
    """Numbers too large for a float and JSON nested too deep are errors of the grader like any other."""
    episode = open_episode(grader=f"echo {text} {REWARD}\n")
    with pytest.raises(GraderError):
        episode.submit()


@pytest.mark.parametrize("hang", ["sleep 100", "while :; do :; done", "trap '' INT TERM; sleep 100 & sleep 100"])
def test_a_grader_that_hangs_is_ended(open_episode: OpenEpisode, hang: str) -> None:
    """A grader that outlives its time limit is ended and is the task's fault."""
    episode = open_episode(toml=TASK_TOML.replace("timeout_sec = 20.0", "timeout_sec = 1.0"), grader=hang + "\n")
    started = time.monotonic()
    with pytest.raises(GraderError, match="did not end within 1 s"):
        episode.validate()
    assert time.monotonic() - started < 10
    assert episode.outcome is not None
    assert episode.outcome.ending.reason == "grader_error"


def test_what_a_grader_prints_is_never_parsed(open_episode: OpenEpisode) -> None:
    """Prints of the grader, a reward among them, go to a log of their own and change nothing."""
    episode = open_episode(grader="echo '{\"Score\": 99}'; head -c 300000 /dev/urandom; echo '{\"Score\": 99}' >&2\n" + GRADER)
    attempt, _ = graded(episode)
    assert attempt.metrics == {"Score": 0.5}
    assert b'{"Score": 99}' in (episode.run_directory / "grading" / "0001-validate" / "judge.log").read_bytes()


def test_a_rejection_is_the_agents_fault(episode: Episode) -> None:
    """A grader's rejection is shown to the agent, ends nothing before the submission, and there leaves no score."""
    episode.step("echo nonsense > answer.txt")
    step = episode.step("validate")
    assert "answer.txt: expected a number" in step.observation
    assert step.exit_status == 1
    assert episode.outcome is None
    outcome = episode.submit()
    assert outcome.score is None
    assert outcome.ending.fault == "agent"
    assert outcome.result["attempts"][0] == {
        "step": 2,
        "kind": "validate",
        "metrics": {},
        "rejected": "answer.txt: expected a number",
    }


def test_a_failing_grader_during_a_command_is_recorded(open_episode: OpenEpisode) -> None:
    """A grader that fails under `validate` ends the episode as the task's fault, and the step is on record."""
    episode = open_episode(grader="exit 1\n")
    with pytest.raises(GraderError):
        episode.step("echo before; validate; echo after")
    assert episode.outcome is not None
    assert episode.outcome.ending.reason == "grader_error"
    assert len((episode.run_directory / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()) == 1


# What the agent cannot reach


def test_the_graders_folders_are_not_in_the_agents_sandbox(episode: Episode) -> None:
    """The agent neither sees nor can make /tests, /hidden, /submission, /logs or /player, before and after a validation."""
    probe = "ls -d /tests /hidden /submission /logs /player 2>/dev/null; mkdir -p /logs/verifier 2>/dev/null && echo made; true"
    assert episode.step(probe).observation == ""
    episode.step("validate")
    assert episode.step(probe).observation == ""


def test_rewards_the_agent_writes_are_ignored(episode: Episode) -> None:
    """Files named like the verdict's, wherever the agent can write them, are no verdict."""
    episode.step(
        "for d in . /tmp ~ /venv /dev/shm; do echo '{\"Score\": 99}' > $d/reward.json; mkdir -p $d/logs/verifier; "
        "cp $d/reward.json $d/logs/verifier; done"
    )
    attempt, outcome = graded(episode)
    assert attempt.metrics == {"Score": 0.5}
    assert outcome.score == 0.5


POISON = """\
cd /venv
for f in lib/python3*/site-packages; do
  echo 'import os; os.write(2, b"POISONED\\n")' > $f/sitecustomize.py; cp $f/sitecustomize.py $f/poison.pth
  for name in usercustomize json mlgym_judge mlgym_player; do cp $f/sitecustomize.py $f/$name.py; done
done
rm -f bin/python bin/python3; printf '#!/bin/sh\\necho POISONED >&2\\n' > bin/python; chmod +x bin/python
cp bin/python bin/python3; cp bin/python bin/bash; echo 'home = /workspace' > pyvenv.cfg
cd /workspace; cp /venv/lib/python3*/site-packages/sitecustomize.py .
for name in json random mlgym_judge; do cp sitecustomize.py $name.py; done
mkdir -p ~/.local/lib; echo POISONED > ~/.bashrc
export PYTHONPATH=/workspace PYTHONSTARTUP=/workspace/json.py BASH_ENV=/workspace/json.py PATH=/workspace:$PATH
"""

PLAYING_GRADE = """\
from mlgym_judge import Context, run
import mlgym_judge, sys
def grade(context: Context) -> dict[str, float]:
    print(sys.executable, sys.flags.isolated, mlgym_judge.__file__, file=sys.stderr)
    with context.player() as player:
        return {"Score": float(player.ask("hello"))}
run(grade)
"""

PLAYER = """\
import sys
import mlgym_player
print(sys.executable, mlgym_player.__file__, file=sys.stderr)
mlgym_player.serve(lambda message: float(open("answer.txt").read()))
"""

PLAYER_TOML = TASK_TOML + '\n[metadata.mlgym_lite.player]\nprogram = "tests/player.py"\n'


def test_a_poisoned_environment_does_not_reach_judge_and_player(open_episode: OpenEpisode) -> None:
    """Whatever the agent does to its Python, its shell and its workspace, judge and player run their own."""
    episode = open_episode(
        toml=PLAYER_TOML,
        grader='exec "$MLGYM_LITE_PYTHON" -I /tests/grade.py\n',
        files={"tests/grade.py": PLAYING_GRADE, "tests/player.py": PLAYER},
    )
    episode.step(POISON)
    assert "POISONED" in episode.step("python -c 1").observation
    attempt, outcome = graded(episode)
    assert attempt.metrics == {"Score": 0.5}
    assert outcome.score == 0.5
    for log in (*episode.run_directory.glob("grading/*/*.log"),):
        text = log.read_text(encoding="utf-8")
        assert "/venv/bin/python" in text
        assert "POISONED" not in text


def test_the_player_does_not_hold_what_the_judge_holds(open_episode: OpenEpisode) -> None:
    """The player sees neither tests nor hidden data, verdict folder, seed, network nor anything it can write."""
    player = """\
import os
import mlgym_player
link = int(os.environ["MLGYM_LITE_PLAYER_FD"])
def look(message):
    seen = [path for path in ("/tests", "/hidden", "/logs", "/workspace", "/solution") if os.path.exists(path)]
    seen += [name for name in os.environ if name in ("MLGYM_LITE_SEED", "MLGYM_LITE_SPLIT")]
    seen += [str(number) for number in range(3, 256) if number != link and os.path.exists(f"/proc/self/fd/{number}")]
    for folder in ("/submission", "/player", "/venv", "/", "/opt"):
        try:
            open(os.path.join(folder, "x"), "w"); seen.append(folder)
        except OSError:
            pass
    return seen
mlgym_player.serve(look)
"""
    grade = PLAYING_GRADE.replace('float(player.ask("hello"))', 'float(len(player.ask("hello")))')
    episode = open_episode(
        toml=PLAYER_TOML,
        grader='exec "$MLGYM_LITE_PYTHON" -I /tests/grade.py\n',
        files={"tests/grade.py": grade, "tests/player.py": player},
    )
    assert episode.validate().metrics == {"Score": 0.0}


# Validations


def test_validations_have_a_budget(episode: Episode) -> None:
    """After the allowed number of validations there are none, neither for the agent nor over the API."""
    answers = [episode.step("validate") for _ in range(4)]
    assert [answer.exit_status for answer in answers] == [0, 0, 0, 1]
    assert "Validation 3 of 3 (development split): Score = 0.5" in answers[2].observation
    assert "No validations are left (3 were allowed)" in answers[3].observation
    with pytest.raises(EpisodeStateError, match="no validations are left"):
        episode.validate()
    assert episode.submit().result["validations_used"] == 3


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("echo 0.25 > answer.txt && validate && echo then", "Score = 0.25\nBaseline: Score = 1\nthen\n"),
        ("validate | sed s/Score/score/ | head -1", "score = 0.5\n"),
        ("validate & wait", "Score = 0.5\n"),
        ("(cd /; validate)", "Score = 0.5\n"),
        ('x=$(validate); echo "[$x]"', "Score = 0.5\nBaseline: Score = 1]\n"),
        ("bash -c validate", "Score = 0.5\n"),
        ("env validate", "Score = 0.5\n"),
        ("python3 -c 'import subprocess; subprocess.run([\"validate\"], close_fds=False)'", "Score = 0.5\n"),
        ("for i in 1 2; do validate; done", "Validation 2 of 3"),
        ("validate >&-; echo $?", "\n"),
        ("timeout 20 validate < /dev/zero", "Score = 0.5\n"),
    ],
)
def test_validate_within_a_command_line(episode: Episode, command: str, shown: str) -> None:
    """`validate` works wherever a program does in a command line."""
    step = episode.step(command)
    assert shown in step.observation
    assert len(step.attempts) >= 1
    assert all(attempt.kind == "validate" and attempt.step == 1 for attempt in step.attempts)


def test_two_validations_at_once(episode: Episode) -> None:
    """Two at once are served one after the other, and each gets its own answer."""
    text = episode.step("validate > a & validate > b & wait; cat a b").observation
    assert sorted(line.split(" (")[0] for line in text.splitlines() if "Validation" in line) == [
        "Validation 1 of 3",
        "Validation 2 of 3",
    ]


def test_a_validation_asked_for_between_steps(episode: Episode) -> None:
    """A background job's request that comes between two steps is served during the next."""
    episode.step("(until [ -e go ]; do sleep 0.01; done; touch asked; validate > answer) & :")
    step = episode.step("touch go; wait; cat answer")
    assert "Score = 0.5" in step.observation


def test_time_spent_grading_is_not_the_commands(open_episode: OpenEpisode) -> None:
    """A command is not timed out for the time its validation takes."""
    toml = TASK_TOML.replace("command_timeout_sec = 30", "command_timeout_sec = 1")
    episode = open_episode(toml=toml, grader="sleep 1.5\n" + GRADER)
    step = episode.step("validate && echo then")
    assert step.observation.endswith("then\n")
    assert step.seconds < 1


def test_submit_within_a_command_line(episode: Episode) -> None:
    """`submit` ends the episode at once, in the midst of a command line with jobs that print without end."""
    step = episode.step("echo 0.75 > answer.txt; yes & yes & yes & submit; echo 9 > answer.txt")
    assert step.terminated
    assert episode.outcome is not None
    assert episode.outcome.score == 0.75


def test_the_seed_of_a_grading_is_fresh(open_episode: OpenEpisode) -> None:
    """Each grading gets a seed of its own, drawn by the engine and not the one the agent knows."""
    episode = open_episode(grader='printf \'{"Score": 1, "Seed": %s}\' "$MLGYM_LITE_SEED" > /logs/verifier/reward.json\n')
    episode.validate()
    episode.validate()
    episode.submit()
    seeds = {
        json.loads(path.read_text(encoding="utf-8"))["seed"] for path in episode.run_directory.glob("grading/*/grading.json")
    }
    assert len(seeds) == 3
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert all(
        math.isclose(attempt.metrics["Seed"], seed)
        for attempt, seed in zip(episode.attempts, sorted_seeds(episode), strict=True)
        if attempt.metrics
    )


def sorted_seeds(episode: Episode) -> list[int]:
    """The seeds of an episode's gradings, in their order."""
    paths = sorted(episode.run_directory.glob("grading/*/grading.json"))
    return [json.loads(path.read_text(encoding="utf-8"))["seed"] for path in paths]


def test_splits(open_episode: OpenEpisode) -> None:
    """Validations see the development split and the submission the test split."""
    episode = open_episode(grader='test "$MLGYM_LITE_SPLIT" = dev; printf \'{"Score": %s}\' $? > /logs/verifier/reward.json\n')
    attempt, outcome = graded(episode)
    assert attempt.metrics == {"Score": 0.0}
    assert outcome.score == 1.0


# Forged requests

CONTROL = """\
import os, socket, struct, time
control = socket.socket(fileno=int(os.environ["MLGYM_LITE_CONTROL_FD"]))
"""


@pytest.mark.parametrize(
    "program",
    [
        "for m in (b'x', b'{', b'{}', b'[]', b'1', b'null', b'\\xff\\xfe', b'[' * "
        "4000, b'{\"request\": [[]]}', b'\\0' * 60000, b'9' * 60000): control.send(m)",
        "control.send(b'{\"request\": \"validate\"}')",
        "control.send(b'')",
        "socket.send_fds(control, [b'{\"request\": \"x\"}'], [os.open('answer.txt', os.O_RDWR)])",
        "socket.send_fds(control, [b'{\"request\": \"x\"}'], [os.open('/dev/zero', os.O_RDWR)])",
        "r, w = os.pipe(); socket.send_fds(control, [b'{\"request\": \"x\"}'], [w])",
        "os.mkfifo('p'); socket.send_fds(control, [b'{\"request\": \"x\"}'], [os.open('p', os.O_RDWR)])",
        "socket.send_fds(control, [b'{\"request\": \"x\"}'], [os.open('.', os.O_RDONLY)] * 200)",
        "socket.send_fds(control, [b''], [os.open('.', os.O_RDONLY)])",
        "s = socket.create_server(('127.0.0.1', 0)); socket.send_fds(control, [b'{\"request\": \"x\"}'], [s.fileno()])",
        "s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); "
        "socket.send_fds(control, [b'{\"request\": \"x\"}'], [s.fileno()])",
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); socket.send_fds(control, [b'{\"request\": \"x\"}'], [s.fileno()])",
        "socket.send_fds(control, [b'{\"request\": \"x\"}'], [control.fileno()])",
        "a, b = socket.socketpair(); b.shutdown(socket.SHUT_RDWR); "
        "socket.send_fds(control, [b'{\"request\": \"validate\"}'], [b.fileno()])",
        "control.shutdown(socket.SHUT_RDWR)",
        "control.shutdown(socket.SHUT_WR)",
        "fd = control.detach(); os.close(fd)",
    ],
)  # fmt: skip
def test_forged_requests_do_no_harm(episode: Episode, program: str) -> None:
    """Requests that are garbage, or come with anything but a socket to answer on, change nothing."""
    assert "Traceback" not in run_python(episode, CONTROL + program)
    assert episode.step("echo usable").observation == "usable\n"
    assert episode.outcome is None
    assert episode.submit().score == 0.5


def test_an_answer_nobody_reads(episode: Episode) -> None:
    """A socket that is full cannot hold the engine up."""
    run_python(
        episode,
        CONTROL + "a, b = socket.socketpair(); b.setblocking(False)\ntry:\n    while True:\n        b.send(b'x' * "
        "65536)\nexcept BlockingIOError:\n    pass\n"
        'b.setblocking(True)\nsocket.send_fds(control, [b\'{"request": "x"}\'], [b.fileno()])',
    )
    assert episode.step("echo usable").observation == "usable\n"


def test_descriptors_with_empty_requests_are_not_kept(episode: Episode) -> None:
    """Descriptors that come with a message without content do not stay with the engine."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        run_python(episode, CONTROL + "socket.send_fds(control, [b''], [os.open('.', os.O_RDONLY)] * 200)")
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 20


def test_ten_thousand_requests(episode: Episode) -> None:
    """Ten thousand requests are answered one by one, and the engine keeps no descriptor of them."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    program = (
        "for _ in range(10000):\n    a, b = "
        'socket.socketpair()\n    socket.send_fds(control, [b\'{"request": "x"}\'], [b.fileno()])\n    b.close()\n'
        "    assert b'known here: validate, submit' in a.recv(1000)\n    a.close()\nprint('all')"
    )
    assert run_python(episode, CONTROL + program) == "all\n"
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert "Score" in episode.step("validate").observation


def test_requests_without_end_do_not_put_off_a_time_out(open_episode: OpenEpisode) -> None:
    """A command that floods the engine with requests is ended at its time-out like any other."""
    episode = open_episode(toml=TASK_TOML.replace("command_timeout_sec = 30", "command_timeout_sec = 1"))
    flood = "    a, b = socket.socketpair(); socket.send_fds(control, [b'[1,2,' * 800], [b.fileno()]); a.close(); b.close()"
    episode.step(f"cat > flood.py <<'END'\n{CONTROL}while True:\n{flood}\nEND")
    started = time.monotonic()
    step = episode.step("for i in 1 2 3 4 5 6; do python3 flood.py & done; sleep 12")
    assert "longer than allowed" in step.observation
    assert time.monotonic() - started < 8


LINGER = """
def lingering():
    s = socket.create_connection(listening.getsockname())
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 8))
    except OSError:
        pass
    s.setblocking(False)
    try:
        while True:
            s.send(bytes(65536))
    except BlockingIOError:
        return s
listening = socket.create_server(("127.0.0.1", 0), backlog=200)
s, request, nothing = lingering(), b"{}", os.open("/dev/null", 0)
for _ in range(50):
    control.send(b"[1,2," * 800)  # so that the engine comes to the next request after the agent has closed its copy
"""


@pytest.mark.parametrize(
    "send",
    [
        pytest.param("socket.send_fds(control, [request], [s.fileno()]); s.close()", id="as the answer's"),
        pytest.param(
            "socket.send_fds(control, [request], [nothing, s.fileno()]); s.close()",
            id="behind another",
        ),
        pytest.param(
            "a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [s.fileno()]); s.close()\n"
            "socket.send_fds(control, [request], [b.fileno()]); b.close()",
            id="within the answer's",
        ),
    ],
)
def test_a_socket_that_lingers_does_not_hold_the_engine(open_episode: OpenEpisode, send: str) -> None:
    """Closing whatever socket the agent sent takes the engine no time, even one set to linger with data unread."""
    episode = open_episode(toml=TASK_TOML.replace("command_timeout_sec = 30", "command_timeout_sec = 1"))
    started = time.monotonic()
    run_python(episode, f"{CONTROL}{LINGER}{send}\ntime.sleep(30)")
    assert time.monotonic() - started < 5


def test_many_sockets_that_linger_do_not_fill_the_engine(open_episode: OpenEpisode) -> None:
    """However many lingering sockets an agent sends, the engine's threads and descriptors do not pile up."""
    episode = open_episode()
    send = (
        "for _ in range(60):\n    s = lingering(); socket.send_fds(control, [request], [s.fileno()]); s.close()\ntime.sleep(0.5)"
    )
    most = 0

    def count() -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, threading.active_count())

    done = threading.Event()
    counter = threading.Thread(target=count)
    counter.start()
    try:
        run_python(episode, f"{CONTROL}{LINGER}{send}")
    finally:
        done.set()
        counter.join()
    assert most < 20


TWO_PLAYERS_GRADE = """\
from mlgym_judge import run
def grade(context):
    with context.player() as first, context.player() as second:
        answers = [player.ask({"bytes": bytes(range(256)), "number": number}) for number, player in enumerate((first, second))]
    assert [answer["back"] for answer in answers] == [bytes(range(256))] * 2, answers
    assert answers[0]["place"] != answers[1]["place"], answers
    assert [answer["met"] for answer in answers] == [[], []], answers
    assert [answer["data"] for answer in answers] == ["rows", "rows"], answers
    return {"Score": float(answers[1]["number"])}
run(grade)
"""
ONE_OF_TWO = """\
import glob, os, mlgym_player
def answer(message):
    met = glob.glob("/tmp/here-*") + glob.glob("/dev/shm/here-*")
    open(f"/tmp/here-{message['number']}", "w").close()
    data = open(os.environ.get("MLGYM_LITE_ROOT", "") + "/data/rows").read()
    place = os.readlink("/proc/self/ns/pid")
    return {"back": message["bytes"], "number": message["number"], "met": met, "place": place, "data": data}
mlgym_player.serve(answer)
"""


def test_several_players_cannot_meet_and_take_bytes(open_episode: OpenEpisode) -> None:
    """Each player a task asks for has a sandbox of its own, sees the agent's data if the task says so, and answers in bytes."""
    toml = PLAYER_TOML.replace('program = "tests/player.py"', 'program = "tests/player.py"\ncount = 2\ndata = true')
    episode = open_episode(
        toml=toml + '\n[metadata.mlgym_lite.data]\nmini = "mini"\nprepare = "tests/grade.py"\n',
        grader='exec "$MLGYM_LITE_PYTHON" -I "$MLGYM_LITE_ROOT/tests/grade.py"\n',
        files={"tests/grade.py": TWO_PLAYERS_GRADE, "tests/player.py": ONE_OF_TWO, "mini/agent/rows": "rows", "mini/judge/x": ""},
        variant="mini",
    )
    episode.step("echo 1 > answer.txt")
    outcome = episode.submit()
    assert outcome.score == 1.0


ONE_AFTER_THE_OTHER_GRADE = """\
from mlgym_judge import run
def grade(context):
    with context.player() as first:
        first.ask("stay")
    with context.player() as second:
        return {"Score": float(second.ask("look"))}
run(grade)
"""
STAYING = """\
import fcntl, os, time, mlgym_player
def answer(message):
    file = open(os.environ.get("MLGYM_LITE_ROOT", "") + "/submission/answer.txt")
    if message == "look":
        assert b"passed" not in os.pread(1, 1000, 0) + os.pread(2, 1000, 0)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return 1
    os.write(1, b"passed")
    fcntl.flock(file, fcntl.LOCK_EX)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 3)
            time.sleep(60)
    return 0
mlgym_player.serve(answer)
"""


def test_a_player_is_gone_before_the_next_one_is_asked(open_episode: OpenEpisode, mechanism: IsolationChoice) -> None:
    """What a player leaves running, and the locks it holds, end before the judge goes on; what it printed is out of reach."""
    toml = PLAYER_TOML.replace('program = "tests/player.py"', 'program = "tests/player.py"\ncount = 2')
    episode = open_episode(
        toml=toml,
        grader='exec "$MLGYM_LITE_PYTHON" -I "$MLGYM_LITE_ROOT/tests/grade.py"\n',
        files={"tests/grade.py": ONE_AFTER_THE_OTHER_GRADE, "tests/player.py": STAYING},
        isolation=mechanism,
    )
    episode.step("echo 1 > answer.txt")
    started = time.monotonic()
    assert episode.submit().score == 1.0
    assert time.monotonic() - started < 30


PARITY_GRADE = """\
from mlgym_judge import run
def grade(context):
    published = float(context.parity and context.split == "test")
    return {"Score": 2.0 - published, "Time": 5.0 + published}
run(grade)
"""


def test_parity_scores_as_the_paper_did_and_is_recorded(open_episode: OpenEpisode) -> None:
    """Validations see the test split, metric, direction and baseline are the paper's, and the result says so."""
    toml = TASK_TOML + '\n[metadata.mlgym_lite.parity]\nmetric = "Time"\ndirection = "minimize"\nbaseline = { Time = 8.0 }\n'
    grader = 'exec "$MLGYM_LITE_PYTHON" -I "$MLGYM_LITE_ROOT/tests/grade.py"\n'
    episode = open_episode(toml=toml, grader=grader, files={"tests/grade.py": PARITY_GRADE}, scoring="parity")
    episode.step("echo 1 > answer.txt")
    attempt, outcome = graded(episode)
    assert attempt.metrics == {"Score": 1.0, "Time": 6.0}
    result = outcome.result
    assert result["score"]["metric"] == "Time" and result["score"]["direction"] == "minimize"
    assert result["improvement"] == 2.0 and result["scoring"] == "parity" and result["feedback"] == "test"
    record = json.loads((episode.run_directory / "run.json").read_text(encoding="utf-8"))
    assert record["scoring"] == "parity"


def test_a_task_that_does_not_say_how_the_paper_scored_refuses_parity(open_episode: OpenEpisode) -> None:
    """Rather than passing clean scores off as the paper's."""
    with pytest.raises(TaskError, match="cannot be scored as MLGym's paper did"):
        open_episode(scoring="parity")


@pytest.mark.landlock
def test_a_judge_that_has_ended_before_it_is_watched(open_episode: OpenEpisode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folders are gone by then, and its verdict is there: on a busy host an engine can come so late."""
    episode = open_episode(isolation="landlock")

    def late(request: SandboxRequest, sandbox: Sandbox) -> StorageWatch:
        wait_until(lambda: not Path(sandbox.root, "tmp").exists())
        return StorageWatch(request, sandbox)

    monkeypatch.setattr("mlgym_lite.episode.grading.StorageWatch", late)
    assert episode.validate().metrics == {"Score": 0.5}
