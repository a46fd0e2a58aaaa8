"""Code run as the agent goes for its score: poisons what the judge might run, forges verdicts, requests and time."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from attack_harness import OpenEpisode, run_python
from tiny_task import GRADER, TASK_TOML

from mlgym_lite import Episode

pytestmark = pytest.mark.kernel

PLAYER_TOML = TASK_TOML + '\n[metadata.mlgym_lite.player]\nprogram = "tests/player.py"\n'

REPORT = """\
{ env -0 | sort -z | tr '\\0' '\\n' | grep -v -e '^MLGYM_LITE_SEED=' -e '^_=' -e '_FD='; umask; ulimit -a
  locale; id; set -o; shopt; alias; declare -F; cut -d' ' -f5,6 /proc/self/mountinfo
} > "$MLGYM_LITE_ROOT/logs/verifier/report" 2>&1
{ cat /proc/$$/maps; "$MLGYM_LITE_PYTHON" -I -c 'import json, sys; print(open("/proc/self/maps").read())'
} > "$MLGYM_LITE_ROOT/logs/verifier/maps"
"$MLGYM_LITE_PYTHON" -I -c 'import sys, sysconfig
print(sys.executable, sys.flags, sys.path, sorted(sys.modules), sysconfig.get_paths())' \\
  > "$MLGYM_LITE_ROOT/logs/verifier/python" 2>&1
"""

POISON = """\
R=$MLGYM_LITE_ROOT
cd "$R/venv"
for f in lib/python3*/site-packages lib/python3*; do
  echo 'import os; os.write(2, b"POISONED\\n")' > $f/sitecustomize.py; cp $f/sitecustomize.py $f/poison.pth
  for name in usercustomize json site os encodings mlgym_judge mlgym_player; do cp $f/sitecustomize.py $f/$name.py; done
done
rm -f bin/*; printf '#!/bin/sh\\necho POISONED >&2\\n' > bin/python; chmod +x bin/python; echo 'home = /workspace' > pyvenv.cfg
for name in python3 bash sh env cat head find sed printf ls id locale tr; do cp bin/python bin/$name; done
mkdir -p "$R/workspace/bin"; cp bin/* "$R/workspace/bin"; cd "$R/workspace"
cp "$R"/venv/lib/python3*/site-packages/sitecustomize.py .
for name in json random os mlgym_judge; do cp sitecustomize.py $name.py; done
mkdir -p ~/.config ~/.local/lib/python3.{9,10,11,12,13}/site-packages
for d in ~/.local/lib/*/site-packages; do cp sitecustomize.py $d/usercustomize.py; done
for f in ~/.bashrc ~/.bash_profile ~/.profile ~/.inputrc ~/.pythonrc "$R/tmp/.bashrc"; do echo 'echo POISONED >&2' > $f; done
export PYTHONPATH=$R/workspace PYTHONHOME=$R/workspace PYTHONSTARTUP=$R/workspace/json.py PYTHONUSERBASE=$HOME/.local
export PYTHONWARNINGS=error PYTHONINSPECT=1 PYTHONBREAKPOINT=os.system PYTHONPLATLIBDIR=x PYTHONEXECUTABLE=$R/workspace/bin/python
export PYTHONHASHSEED=7 PYTHONSAFEPATH= BASH_ENV=$R/workspace/json.py ENV=$R/workspace/json.py SHELLOPTS
export PS4='$(echo POISONED >&2)' PROMPT_COMMAND='echo POISONED >&2' CDPATH=/tmp
export LD_PRELOAD=$R/workspace/evil.so LD_LIBRARY_PATH=$R/workspace LD_AUDIT=$R/workspace/evil.so
export GCONV_PATH=$R/workspace LOCPATH=$R/workspace LC_ALL=tr_TR.UTF-8 LANG=xx_XX LANGUAGE=xx TZ=Pacific/Kiritimati
export TMPDIR=$R/workspace HOME=$R/workspace IFS=0123456789 POSIXLY_CORRECT=1
export MLGYM_LITE_PYTHON=$R/workspace/bin/python MLGYM_LITE_SEED=1 MLGYM_LITE_SPLIT=dev
export MLGYM_LITE_PLAYER_FD=0 MLGYM_LITE_VARIANT=mini
head() { echo 99; }; cat() { echo 99; }; printf() { echo 99; }; export -f head cat printf; alias head='echo 99'
export PATH=$R/workspace/bin:$R/venv/bin
umask 777; ulimit -n 12; ulimit -f 0; ulimit -s 512; ulimit -t 3600; renice 19 $$
set -o posix; set -o noglob; trap '' TERM INT HUP
"""


def reports(episode: Episode) -> dict[str, str]:
    """What the judge of the submission told of itself."""
    folder = next(episode.run_directory.glob("grading/*-submit/verifier"))
    root = re.compile(r"/tmp/mlgym-lite-\d+-[0-9a-f]{12}")
    texts = {path.name: root.sub("", path.read_text(encoding="utf-8")) for path in folder.iterdir()}
    # Where the kernel counts a user's processes all together, the limit starts from those there are.
    counted = r"\d{4}-submit|\(-u\) \d+" if episode.root or os.geteuid() else r"\d{4}-submit"
    return {name: re.sub(counted, "", text) for name, text in texts.items()}


def test_the_judge_is_the_same_whatever_the_agent_did(open_episode: OpenEpisode) -> None:
    """Variables, functions, umask, limits, locale, options, mounts and modules of the judge are those of an untouched episode."""
    clean, poisoned = open_episode("task-a", grader=REPORT + GRADER), open_episode("task-b", grader=REPORT + GRADER)
    poisoned.step("cp answer.txt kept; echo 'int x;' > evil.so")
    poisoned.step(POISON)
    attempt = poisoned.validate()
    assert attempt.metrics == {"Score": 0.5}
    assert clean.submit().score == poisoned.submit().score == 0.5
    before, after = reports(clean), reports(poisoned)
    for name in ("report", "python"):
        assert before[name].replace("task-a", "TASK") == after[name].replace("task-b", "TASK"), name
    assert "MLGYM_LITE_SPLIT=test" in after["report"]
    environment = after["report"].partition("\n0022\n")[0]
    assert re.findall(r"^(?:PYTHON|LD_|BASH|ENV=|GCONV|LOC|LC_|.*=/submission|.*=/workspace).*", environment, re.MULTILINE) == []
    assert "/venv/bin/python sys.flags(" in after["python"]
    assert not any(
        "POISONED" in path.read_text(encoding="utf-8", errors="replace")
        for path in poisoned.run_directory.glob("grading/*/*.log")
    )


def test_the_judge_starts_no_file_that_the_agent_could_have_replaced(open_episode: OpenEpisode) -> None:
    """No file that the judge's shell and interpreter map into memory is one of those that the agent can write."""
    episode = open_episode(grader=REPORT + GRADER)
    episode.step(
        "cp /bin/bash $MLGYM_LITE_ROOT/workspace/; cd $MLGYM_LITE_ROOT/venv/bin; p=$(readlink -f python); rm *; cp $p python"
    )
    written = {
        (os.major(state.st_dev), os.minor(state.st_dev), state.st_ino)
        for top in ("workspace", ".state/venv")
        for path in (episode.run_directory / top).rglob("*")
        if (state := path.lstat())
    }
    episode.submit()
    mapped = [line.split() for line in reports(episode)["maps"].splitlines() if len(line.split()) > 5]
    started = {(*(int(part, 16) for part in words[3].split(":")), int(words[4])) for words in mapped if words[5].startswith("/")}
    assert len(started) > 5
    assert started & written == set()


def test_an_agents_interpreter_is_not_started_to_make_an_environment(open_episode: OpenEpisode) -> None:
    """A replaced interpreter, tool or start-up file in /venv is started by nobody but the agent, at any later step."""
    episode = open_episode(grader=REPORT + GRADER)
    episode.step(
        "cd $MLGYM_LITE_ROOT/venv; for f in bin/*; do rm $f; "
        "printf '#!/bin/sh\\ntouch $MLGYM_LITE_ROOT/workspace/started\\n' > $f; "
        'chmod +x $f; done; echo \'import os; open("/workspace/started", "w")\' > lib/python3*/site-packages/x.pth; cd'
    )
    episode.validate()
    episode.step("exit")
    episode.snapshot()
    episode.submit()
    assert list((episode.run_directory / "workspace").glob("started*")) == []


def test_verdicts_the_agent_writes_everywhere_are_ignored(open_episode: OpenEpisode) -> None:
    """Rewards and rejections at every place and name the agent can write, as artifacts too, are no verdict."""
    toml = TASK_TOML.replace('artifacts = ["answer.txt"]', 'artifacts = ["answer.txt", "logs", "reward.json"]')
    episode = open_episode(toml=toml)
    program = """\
places = ["/workspace", "/venv", "/tmp", "/home/agent", "/dev/shm", "/workspace/logs/verifier", "/workspace/submission",
          "/tmp/logs/verifier", "/logs/verifier", "/submission", "/tests", "/venv/logs/verifier", "/workspace/.state",
          "/workspace/grading/0001-submit/verifier"]
verdicts = {"reward.json": '{"Score": 99}', "reward.txt": "99", "rejection.txt": "no", "result.json": '{"score": 99}',
            "grading.json": '{"metrics": {"Score": 99}}'}
for place in places:
    tried(os.makedirs, ROOT + place, 0o777, True)
    for name, text in verdicts.items():
        tried(lambda: open(f"{ROOT}{place}/{name}", "w").write(text))
print('{"Score": 99}')
"""
    run_python(episode, program)
    assert episode.validate().metrics == {"Score": 0.5}
    assert episode.submit().score == 0.5
    assert json.loads((episode.run_directory / "result.json").read_text(encoding="utf-8"))["score"]["value"] == 0.5


def test_the_graders_folder_on_the_host_is_out_of_reach(open_episode: OpenEpisode) -> None:
    """While the judge runs, a process of the agent's that knows where its verdict will lie can neither write nor see it."""
    episode = open_episode(grader="sleep 1\n" + GRADER)
    run = str(episode.run_directory)
    program = """\
if os.fork() == 0:
    os.setsid()
    for number in range(3):
        os.close(number)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for process in filter(str.isdigit, os.listdir("/proc")):
            for name in (f"/proc/{process}/root/logs/verifier/reward.json", f"{run}/grading/0001-validate/verifier/reward.json",
                         f"/proc/{process}/cwd/reward.json", ROOT + "/logs/verifier/reward.json"):
                if not name.startswith(f"/proc/{process}/cwd") or tried(os.readlink, f"/proc/{process}/cwd") == "/logs/verifier":
                    if tried(lambda: open(name, "w").write('{"Score": 99}')) == 13:
                        open(ROOT + "/workspace/got", "a").write(name)
"""
    run_python(episode, program, run=run)
    assert episode.validate().metrics == {"Score": 0.5}
    assert not (episode.run_directory / "workspace" / "got").exists()
    assert episode.submit().score == 0.5


def test_time_is_the_judges(open_episode: OpenEpisode) -> None:
    """Played code that patches every clock of its process, and its interpreter's modules, is timed by the judge's clock."""
    grade = """\
from mlgym_judge import Context, run
import time
def grade(context: Context) -> dict[str, float]:
    with context.player() as player:
        started = time.monotonic()
        claimed = player.ask("work")
        return {"Score": time.monotonic() - started, "Claimed": float(claimed)}
run(grade)
"""
    player = """\
import mlgym_player, os, runpy
mlgym_player.serve(lambda message: runpy.run_path(os.environ.get("MLGYM_LITE_ROOT", "") + "/submission/work.py")["work"]())
"""
    work = """\
import json, math, random, struct, sys, time
for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
    setattr(time, name, lambda: 0.0); setattr(time, name + "_ns", lambda: 0)
math.isfinite = lambda value: True
original, json.dumps = json.dumps, lambda *a, **k: original(0)
sleep = time.sleep
time.sleep = lambda seconds: None
def work():
    started = time.monotonic(); sleep(0.6); print('{"Score": 0}'); return time.monotonic() - started
"""
    episode = open_episode(
        toml=PLAYER_TOML.replace('"answer.txt"', '"work.py"').replace("maximize", "minimize"),
        grader='exec "$MLGYM_LITE_PYTHON" -I "$MLGYM_LITE_ROOT/tests/grade.py"\n',
        files={"tests/grade.py": grade, "tests/player.py": player, "environment/work.py": work},
    )
    attempt = episode.validate()
    assert attempt.metrics is not None
    assert attempt.metrics["Score"] > 0.5
    assert attempt.metrics["Claimed"] == 0.0


@pytest.mark.parametrize("fixed", ["export TZ=X", "date -s 2001-01-01", "touch -d 2001-01-01 answer.txt"])
def test_the_records_time_is_the_engines(episode: Episode, fixed: str) -> None:
    """What an agent does to clocks and times of files shows in no time that is recorded."""
    episode.step(fixed)
    step = episode.step("sleep 0.3")
    assert 0.25 < step.seconds < 5
    assert episode.submit().result["seconds"]["total"] > 0.3


# Requests


def test_submitting_from_a_background_process(episode: Episode) -> None:
    """`submit` from a daemon of its own session ends the command and the episode, once, and what is there is scored."""
    step = episode.step(
        "echo 0.25 > answer.txt; setsid -f bash -c 'sleep 0.3; submit; submit; echo 9 > answer.txt'; "
        "sleep 20; echo 9 > answer.txt"
    )
    assert step.terminated
    assert step.seconds < 10
    assert episode.outcome is not None
    assert episode.outcome.score == 0.25
    assert [attempt.kind for attempt in episode.attempts] == ["submit"]


def test_submitting_between_steps(episode: Episode) -> None:
    """A daemon's `submit` that comes between two steps is served in the next one, which it ends."""
    episode.step("setsid -f bash -c 'touch asked; submit'; while [ ! -e asked ]; do sleep 0.01; done")
    if episode.outcome is None:
        step = episode.step("sleep 10; echo 9 > answer.txt")
        assert step.terminated
    assert episode.outcome is not None
    assert episode.outcome.score == 0.5


def test_requests_of_any_size_and_kind_flood_nothing(episode: Episode) -> None:
    """Requests that are giant, nested, half, or name what is not there cost the agent its time and nobody anything else."""
    program = """\
control = socket.socket(fileno=int(os.environ["MLGYM_LITE_CONTROL_FD"]))
control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
bodies = [b"x" * size for size in (0, 1, 4095, 4096, 4097, 100_000)]
bodies += [b"[" * 4000, b'{"request":' * 300, b'{"request": "submit', b"9" * 4096, b'{"request": "VALIDATE"}', b"NaN",
    b"\\xff" * 4096,
    b'{"request": ["submit"]}', b'{"request": {"submit": 1}}', b'{"request": null}', b'"submit"', b"submit",
    b'{"request": "exec", "command": "id"}', b'{"request": "end", "reason": "submitted", "score": 99}',
    b'{"request": "submit", "metrics": {"Score": 99}}x']
for body in bodies:
    for flags in (0, socket.MSG_OOB, socket.MSG_EOR):
        tried(control.send, body, flags)
"""
    started = time.monotonic()
    assert run_python(episode, program) == ""
    assert time.monotonic() - started < 20
    assert episode.outcome is None
    assert episode.attempts == ()
    assert episode.submit().score == 0.5


def test_a_tool_of_the_agents_own_name_scores_nothing(episode: Episode) -> None:
    """A program named `validate` or `submit` earlier in PATH deceives the agent only."""
    step = episode.step(
        "mkdir -p b; printf '#!/bin/sh\\necho Score = 99\\n' | tee b/submit > b/validate; chmod +x b/*; "
        "PATH=$PWD/b:$PATH; validate; submit"
    )
    assert step.observation == "Score = 99\n" * 2
    assert episode.outcome is None
    assert episode.attempts == ()


def test_files_of_the_verdict_belong_to_the_judge_alone(episode: Episode) -> None:
    """On the host the run's record, verdicts and seals lie in folders that only the engine's user enters."""
    episode.validate()
    run: Path = episode.run_directory
    assert run.stat().st_mode & 0o077 == 0
    assert run.stat().st_uid == os.geteuid()
    assert all((run / name).stat().st_uid == os.geteuid() for name in ("grading", ".state", "trajectory.jsonl", "run.json"))
