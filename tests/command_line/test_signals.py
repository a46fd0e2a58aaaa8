"""Ctrl-C and SIGTERM at any moment: status 130, what was done is recorded, and nothing is left running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from program_harness import DEADLINE_SECONDS, running_with, wait_until

from mlgym_lite.models.script_server import ScriptServer

Make = Callable[..., Path]
Write = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]

both_signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture
def marker() -> str:
    """A word no other process of this host has in its command line."""
    return f"27182.{int.from_bytes(os.urandom(4), 'big')}"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may write, for programs that run as another one."""
    folder = Path(tempfile.mkdtemp(prefix="mlgym-lite-test-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def interrupted(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal, wait for the end, and check that it was told as an interruption; stderr."""
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert "Traceback" not in err, err
    assert (process.returncode, out) == (130, ""), err
    assert err.rstrip().endswith("mlgym-lite: interrupted")
    return err


def ending_of(run: Path) -> tuple[str, str]:
    """How a run ended and whose doing it was, by its result.json."""
    ending = json.loads((run / "result.json").read_text(encoding="utf-8"))["ending"]
    return ending["reason"], ending["fault"]


@both_signals
def test_before_anything_started(started: Start, make_task: Make, tmp_path: Path, number: signal.Signals) -> None:
    """While input is being read, there is nothing to record and no run directory."""
    os.mkfifo(tmp_path / "actions")
    process = started("run", make_task(), "--actions", tmp_path / "actions", "--output", tmp_path / "run")
    with open(tmp_path / "actions", "wb"):  # opens once the program reads
        interrupted(process, number)
    assert not (tmp_path / "run").exists()


@both_signals
def test_while_an_environment_is_built(
    started: Start, make_task: Make, cache: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """A build that is interrupted leaves no half of an environment and no program behind."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE_SECONDS)
        port = server.getsockname()[1]
        toml = (make_task() / "task.toml").read_text(encoding="utf-8").replace("domain =", 'requirements = "r.txt"\ndomain =')
        files = {"r.txt": f"slow @ http://127.0.0.1:{port}/slow-1.0-py3-none-any.whl\n"}
        folder = make_task("slow", toml=toml, files=files)
        variables = {"MLGYM_LITE_CACHE": str(tmp_path / "cache"), "UV_CACHE_DIR": str(tmp_path / "uv"), "NO_PROXY": "*"}
        process = started("run", folder, "--agent", "baseline", "--output", tmp_path / "run", **variables)
        connection, _ = server.accept()
        with connection:
            interrupted(process, number)
    assert not (tmp_path / "run").exists()
    assert not [path for path in (tmp_path / "cache" / "environments").iterdir() if path.is_dir()]
    wait_until(lambda: not running_with(str(tmp_path / "cache")), "uv has ended")


@pytest.mark.kernel
@both_signals
def test_while_the_sandbox_starts(
    started: Start, make_task: Make, open_folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """A reset that is interrupted is recorded as that and leaves no sandbox."""
    real = shutil.which("bwrap")
    wrapper = open_folder / "bwrap"
    go = open_folder / "go"
    wrapper.write_text(
        f'#!/bin/bash\n: > {open_folder}/begun\nuntil [ -e {go} ]; do read -rt 0.01 <> <(:); done\nexec {real} "$@"\n',
        encoding="utf-8",
    )
    wrapper.chmod(0o755)
    process = started(
        "run", make_task(), "--agent", "baseline", "--output", tmp_path / "run", PATH=f"{open_folder}:{os.environ['PATH']}"
    )
    wait_until((open_folder / "begun").exists, "the sandbox starts")
    process.send_signal(number)
    go.touch()
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert "Traceback" not in err
    assert (process.returncode, out) == (130, "")
    wait_until(lambda: not running_with(str(open_folder)), "the sandbox has ended")
    if (tmp_path / "run").exists():
        assert ending_of(tmp_path / "run") == ("interrupted", "user")


@pytest.mark.kernel
@both_signals
def test_in_a_step(started: Start, make_task: Make, actions: Write, tmp_path: Path, marker: str, number: signal.Signals) -> None:
    """A command that runs, and what it left in the background, end with the program; the steps before are on disk."""
    text = json.dumps("echo first") + "\n" + json.dumps(f"sleep {marker} & sleep {marker}") + "\n"
    process = started("run", make_task(), "--actions", actions(text), "--output", tmp_path / "run")
    wait_until(lambda: len([p for p in running_with(marker) if p.name() == "sleep"]) == 2, "the step runs")
    interrupted(process, number)
    assert not running_with(marker)
    assert ending_of(tmp_path / "run") == ("interrupted", "user")
    lines = (tmp_path / "run" / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["observation"] == "first\n"


@pytest.mark.kernel
@both_signals
@pytest.mark.parametrize("action", ["validate", "submit"])
def test_in_a_grading(
    started: Start, make_task: Make, actions: Write, tmp_path: Path, marker: str, number: signal.Signals, action: str
) -> None:
    """A grading ends with the program, and the run has no score."""
    folder = make_task(grader=f"sleep {marker}\n")
    process = started("run", folder, "--actions", actions(f'"{action}"\n'), "--output", tmp_path / "run")
    wait_until(lambda: [p for p in running_with(marker) if p.name() == "sleep"], "the grader runs")
    interrupted(process, number)
    assert not running_with(marker)
    assert ending_of(tmp_path / "run") == ("interrupted", "user")
    assert json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["score"] is None


@pytest.mark.kernel
def test_a_kill_that_cannot_be_caught_leaves_nothing_running(
    started: Start, make_task: Make, actions: Write, tmp_path: Path, marker: str
) -> None:
    """After SIGKILL the kernel ends the sandbox, and the steps before are on disk."""
    text = json.dumps("echo first") + "\n" + json.dumps(f"setsid sleep {marker} & sleep {marker}") + "\n"
    process = started("run", make_task(), "--actions", actions(text), "--output", tmp_path / "run")
    wait_until(lambda: len([p for p in running_with(marker) if p.name() == "sleep"]) == 2, "the step runs")
    process.kill()
    process.communicate(timeout=DEADLINE_SECONDS)
    wait_until(lambda: not running_with(marker), "the sandbox has ended")
    lines = (tmp_path / "run" / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1]


@pytest.mark.kernel
def test_check_can_be_interrupted(started: Start, make_task: Make, marker: str) -> None:
    """`check`, which runs several episodes, ends them all."""
    folder = make_task(grader=f"sleep {marker}\n")
    process = started("check", folder)
    wait_until(lambda: [p for p in running_with(marker) if p.name() == "sleep"], "a grader runs")
    interrupted(process, signal.SIGINT)
    assert not running_with(marker)


@both_signals
@pytest.mark.kernel
def test_while_a_model_is_asked(started: Start, make_task: Make, tmp_path: Path, number: signal.Signals) -> None:
    """The steps before it are kept, and the run ended as interrupted."""
    command = "```\necho 1 > answer.txt\n```\n"
    with ScriptServer([{"content": command}, {"content": "late", "delay_seconds": 600}]) as server:
        process = started(
            "run", make_task(), "--agent", "react", "--model", "openai/script", "--base-url", server.base_url,
            "--output", tmp_path / "run", OPENAI_API_KEY="none",
        )  # fmt: skip
        wait_until(lambda: len(server.requests) == 2, "the second request")
        interrupted(process, number)
    assert ending_of(tmp_path / "run") == ("interrupted", "user")
    assert len((tmp_path / "run" / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()) == 1


@both_signals
@pytest.mark.kernel
def test_while_a_program_decides(started: Start, make_task: Make, tmp_path: Path, number: signal.Signals) -> None:
    """The program is ended too."""
    program = tmp_path / "agent.py"
    told = tmp_path / "pid"
    code = f"import os, sys, time\nsys.stdin.readline()\nopen({str(told)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    program.write_text(code, encoding="utf-8")
    process = started("run", make_task(), "--agent", program, "--output", tmp_path / "run")
    wait_until(lambda: told.exists() and told.read_text(encoding="utf-8") != "", "the program")
    interrupted(process, number)
    assert ending_of(tmp_path / "run") == ("interrupted", "user")
    assert not Path("/proc", told.read_text(encoding="utf-8")).exists()
