"""How episodes end, what they leave on disk, and how they are forked: through the API and as a program that is killed."""

from __future__ import annotations

import contextlib
import json
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tiny_task import TASK_TOML

import mlgym_lite
from mlgym_lite import Episode, Outcome, Snapshot, Step
from mlgym_lite.config.run_settings import IsolationChoice, RunSettings
from mlgym_lite.episode.kept_states import KeptLink
from mlgym_lite.episode.outcome import FAULTS
from mlgym_lite.errors import EpisodeStateError, GraderError, OutputError

pytestmark = pytest.mark.kernel

OpenEpisode = Callable[..., Episode]
WAIT_SECONDS = 30.0


@pytest.fixture
def open_episode(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> Iterator[OpenEpisode]:
    """Opens episodes with some settings and closes them after the test; each has a run directory of its own."""
    with contextlib.ExitStack() as stack:
        runs = 0

        def open_one(toml: str = TASK_TOML, **settings: Any) -> Episode:
            nonlocal runs
            runs += 1
            chosen = {"output": tmp_path / f"run-{runs}", **settings}
            task = mlgym_lite.load_task(make_task(toml=toml))
            return stack.enter_context(Episode(task, settings=RunSettings(**chosen), environment=environment))

        yield open_one


@pytest.fixture
def fork(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[Snapshot], Episode]]:
    """Forks a snapshot into an open episode and closes it after the test."""
    with contextlib.ExitStack() as stack:
        forks = 0

        def fork_one(snapshot: Snapshot) -> Episode:
            nonlocal forks
            forks += 1
            settings = RunSettings(output=tmp_path / f"fork-{forks}")
            return stack.enter_context(Episode.fork(snapshot, settings=settings, environment=environment))

        yield fork_one


def result_of(episode: Episode) -> dict[str, Any]:
    """The content of result.json."""
    content: dict[str, Any] = json.loads((episode.run_directory / "result.json").read_text(encoding="utf-8"))
    return content


def steps_of(run: Path) -> list[dict[str, Any]]:
    """The lines of trajectory.jsonl."""
    return [json.loads(line) for line in (run / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()]


def names_in(folder: Path) -> set[str]:
    """What lies in a folder."""
    return {path.name for path in folder.iterdir()}


# Endings


def test_submitting_over_the_api(open_episode: OpenEpisode) -> None:
    """`submit` scores the workspace, ends the episode and writes the result."""
    episode = open_episode()
    episode.step("echo 1.5 > answer.txt")
    outcome = episode.submit()
    assert (outcome.ending.reason, outcome.ending.fault, outcome.ending.autosubmitted) == ("submitted", "agent", False)
    assert (outcome.score, outcome.result["improvement"]) == (1.5, 0.5)
    assert result_of(episode) == outcome.result


def test_submitting_from_inside(open_episode: OpenEpisode) -> None:
    """The tool `submit` does the same, and the step that called it says so."""
    episode = open_episode()
    step = episode.step("echo 1.5 > answer.txt; submit; echo never")
    assert step.terminated
    assert not step.truncated
    assert [(attempt.kind, attempt.metrics) for attempt in step.attempts] == [("submit", {"Score": 1.5})]
    assert "never" not in step.observation
    assert episode.outcome is not None
    assert episode.outcome.ending.reason == "submitted"


def test_step_limit_submits(open_episode: OpenEpisode) -> None:
    """When the steps are used up the workspace is scored as it is, and marked."""
    episode = open_episode(max_steps=2)
    assert not episode.step("echo 2 > answer.txt").truncated
    step = episode.step("echo 3 > answer.txt")
    assert step.truncated
    assert not step.terminated
    ending = result_of(episode)["ending"]
    assert (ending["reason"], ending["fault"], ending["autosubmitted"]) == ("step_limit", "limit", True)
    assert result_of(episode)["score"]["value"] == 3.0


def test_submitting_with_the_last_step_is_no_limit(open_episode: OpenEpisode) -> None:
    """A submission with the last step is the agent's own."""
    episode = open_episode(max_steps=1)
    assert episode.step("submit").terminated
    assert result_of(episode)["ending"]["reason"] == "submitted"


def test_time_limit_submits(open_episode: OpenEpisode) -> None:
    """When the episode's time is up the running command is ended, and the workspace is scored as it is, and marked."""
    episode = open_episode(time_limit_seconds=1.0)
    step = episode.step("echo 3 > answer.txt; sleep 60")
    assert step.truncated
    assert step.seconds < 10
    ending = result_of(episode)["ending"]
    assert (ending["reason"], ending["fault"], ending["autosubmitted"]) == ("time_limit", "limit", True)
    assert result_of(episode)["score"]["value"] == 3.0


def test_a_limit_with_an_invalid_submission(open_episode: OpenEpisode) -> None:
    """A limit reached without a valid submission leaves no score and says why."""
    episode = open_episode(max_steps=1)
    episode.step("rm answer.txt")
    assert result_of(episode)["score"] is None
    assert result_of(episode)["ending"]["reason"] == "step_limit"
    assert "answer.txt: missing" in result_of(episode)["ending"]["detail"]


def test_giving_up(open_episode: OpenEpisode) -> None:
    """An agent that gives up gets no score, and no limit or error is told."""
    episode = open_episode()
    outcome = episode.give_up("enough")
    assert (outcome.ending.reason, outcome.ending.fault, outcome.ending.detail) == ("gave_up", "agent", "enough")
    assert result_of(episode)["score"] is None


@pytest.mark.parametrize("reason", ["cost_limit", "context_limit", "format_errors", "agent_error"])
@pytest.mark.parametrize("autosubmit", [False, True])
def test_endings_from_outside(open_episode: OpenEpisode, reason: Any, autosubmit: bool) -> None:
    """Whoever drives an episode can end it for the reasons that lie with the agent or its model, scored or not."""
    episode = open_episode()
    outcome = episode.end(reason, "why", autosubmit=autosubmit)
    assert (outcome.ending.reason, outcome.ending.fault, outcome.ending.autosubmitted) == (
        reason,
        FAULTS[outcome.ending.reason],
        autosubmit,
    )
    assert (outcome.score is not None) == autosubmit
    assert result_of(episode)["ending"]["detail"] == "why"


def test_an_error_of_the_driver(open_episode: OpenEpisode) -> None:
    """An exception that leaves the episode's block is recorded as the agent program's error."""
    episode = open_episode()
    episode.__exit__(ValueError, ValueError("broken"), None)
    assert result_of(episode)["ending"]["reason"] == "agent_error"
    assert "broken" in result_of(episode)["ending"]["detail"]


def test_closing_an_unfinished_episode(open_episode: OpenEpisode) -> None:
    """Closing an episode that has not ended records that it was given up; closing it again does nothing."""
    episode = open_episode()
    episode.step("sleep 60 &")
    episode.close()
    before = (episode.run_directory / "result.json").read_bytes()
    episode.close()
    assert result_of(episode)["ending"]["reason"] == "gave_up"
    assert (episode.run_directory / "result.json").read_bytes() == before


@pytest.mark.parametrize(
    "call",
    [
        lambda episode: episode.step("true"),
        lambda episode: episode.validate(),
        lambda episode: episode.submit(),
        lambda episode: episode.give_up(),
        lambda episode: episode.end("cost_limit"),
    ],
    ids=["step", "validate", "submit", "give_up", "end"],
)
def test_nothing_goes_on_after_the_end(open_episode: OpenEpisode, call: Callable[[Episode], object]) -> None:
    """After the end every call says that the episode has ended, and the result stays."""
    episode = open_episode()
    outcome = episode.submit()
    with pytest.raises(EpisodeStateError, match="submitted"):
        call(episode)
    assert episode.outcome is outcome


def test_a_step_is_interrupted_from_another_thread(open_episode: OpenEpisode, mechanism: IsolationChoice) -> None:
    """What it runs is killed, it returns, and the next one finds a new shell; after the end there is nothing to do."""
    episode = open_episode(isolation=mechanism)
    episode.step("mkfifo pipe; echo kept > file")
    timer = threading.Timer(0.3, episode.interrupt)
    timer.start()
    step = episode.step("cat pipe")
    timer.join()
    assert step.exit_status != 0 and step.seconds < 20
    assert episode.step("cat file").observation == "kept\n"
    episode.close()
    episode.interrupt()


def test_nothing_goes_before_the_reset(make_task: Callable[..., Path]) -> None:
    """Before the reset a step says what to do first, and closing is harmless."""
    episode = Episode(mlgym_lite.load_task(make_task()))
    with pytest.raises(EpisodeStateError, match="reset"):
        episode.step("true")
    episode.close()


def test_resetting_twice(
    make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reset starts afresh in a new run directory; what was unfinished is recorded as given up."""
    monkeypatch.chdir(tmp_path)
    with Episode(mlgym_lite.load_task(make_task()), environment=environment) as episode:
        first = episode.run_directory
        episode.step("echo 2 > answer.txt; export x=1; validate")
        observation = episode.reset()
        assert observation.text == "Write a number into answer.txt.\n"
        assert observation.working_directory == "/workspace"
        assert episode.run_directory != first
        assert episode.step("cat answer.txt; echo [$x]").observation == "0.5\n[]\n"
        assert (episode.budget.steps_used, episode.budget.validations_used, episode.attempts) == (1, 0, ())
        episode.submit()
        episode.reset()
        assert episode.outcome is None
    assert json.loads((first / "result.json").read_text(encoding="utf-8"))["ending"]["reason"] == "gave_up"
    assert len(list((tmp_path / "runs").iterdir())) == 3


# What is on disk

RESULT_KEYS = {
    "": {
        "schema_version", "task", "variant", "agent", "model", "seed", "ending", "score", "baseline", "improvement", "attempts",
        "validations_used", "steps", "seconds", "resources", "usage", "isolation", "run_directory",
    },
    "ending": {"reason", "fault", "detail", "autosubmitted"},
    "score": {"metric", "direction", "value", "metrics"},
    "baseline": {"metrics"},
    "seconds": {"total", "agent", "commands", "grading", "framework"},
    "resources": {"peak_memory_bytes", "cpu_seconds", "gpu_seconds"},
    "usage": {"input_tokens", "output_tokens", "cost_usd"},
    "isolation": {"mechanism", "limits", "network", "weakened"},
}  # fmt: skip


def test_result_keys(open_episode: OpenEpisode) -> None:
    """result.json has every documented key, and its times add up to the whole."""
    episode = open_episode(seed=7)
    episode.step("validate; sleep 0.2")
    episode.submit()
    result = result_of(episode)
    for name, keys in RESULT_KEYS.items():
        assert keys <= set(result[name] if name else result), name
    assert all({"step", "kind", "metrics"} <= set(attempt) for attempt in result["attempts"])
    assert [(attempt["step"], attempt["kind"]) for attempt in result["attempts"]] == [(1, "validate"), (1, "submit")]
    assert (result["schema_version"], result["seed"], result["steps"], result["validations_used"]) == (1, 7, 1, 1)
    seconds = dict(result["seconds"])
    assert seconds.pop("total") == pytest.approx(sum(seconds.values()), abs=0.05)
    assert all(value >= 0 for value in seconds.values())
    assert seconds["commands"] >= 0.2
    assert result["isolation"]["mechanism"] == "bubblewrap"


def test_run_directory(open_episode: OpenEpisode) -> None:
    """The run directory holds what the documentation names, and is its owner's alone."""
    episode = open_episode()
    run = episode.run_directory
    assert {"run.json", "trajectory.jsonl", "outputs", "workspace", "submission", "grading"} <= names_in(run)
    assert not (run / "result.json").exists()
    episode.step("echo 1.5 > answer.txt; seq 100000")
    episode.submit()
    assert {"result.json"} <= names_in(run)
    assert not [name for name in names_in(run) if name.endswith(".part")]
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert (run / "submission" / "answer.txt").read_text(encoding="utf-8") == "1.5\n"
    assert (run / "workspace" / "answer.txt").read_text(encoding="utf-8") == "1.5\n"
    assert len((run / "outputs" / "0001.txt").read_bytes()) == 588895
    resolved = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert {"task", "agent", "model", "seed", "profile", "mechanism", "limits", "versions", "host", "gpus", "git_commit"} <= set(
        resolved
    )
    assert resolved["task"]["digest"] == episode.task.digest


def test_each_step_is_on_disk_before_the_next(open_episode: OpenEpisode) -> None:
    """After each step its line is in trajectory.jsonl with everything that is known of it."""
    episode = open_episode()
    for number, action in enumerate(("cd /tmp; echo a", "validate; (exit 3)", "exit"), start=1):
        step = episode.step(action, thought=f"thought {number}")
        lines = steps_of(episode.run_directory)
        assert len(lines) == number
        assert lines[-1]["action"] == action
        assert lines[-1]["observation"] == step.observation
        assert lines[-1]["thought"] == f"thought {number}"
        assert (lines[-1]["step"], lines[-1]["exit_status"], lines[-1]["cwd"]) == (
            number,
            step.exit_status,
            step.working_directory,
        )
        assert {"seconds", "resources", "scores", "tokens", "cost"} <= set(lines[-1])
    assert [score["metrics"] for score in steps_of(episode.run_directory)[1]["scores"]] == [{"Score": 0.5}]


def test_a_run_is_never_overwritten(open_episode: OpenEpisode, tmp_path: Path) -> None:
    """A run directory that exists is refused, and stays as it is."""
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "precious").write_text("kept", encoding="utf-8")
    with pytest.raises(OutputError, match="already exists"):
        open_episode(output=taken)
    assert names_in(taken) == {"precious"}


def test_an_output_that_cannot_be_made(open_episode: OpenEpisode) -> None:
    """A run directory that cannot be made is told with its path and what to do."""
    with pytest.raises(OutputError, match=r"/proc/run: cannot be made.*--output"):
        open_episode(output=Path("/proc/run"))


def test_an_output_below_a_file(open_episode: OpenEpisode, tmp_path: Path) -> None:
    """A run directory below a file is not told to exist already."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be made"):
        open_episode(output=tmp_path / "file" / "run")


# Snapshots and forks


def test_fork_goes_on_where_the_snapshot_was(open_episode: OpenEpisode, fork: Callable[[Snapshot], Episode]) -> None:
    """A fork has the files, links, environment, working directory, exported variables and budgets of its snapshot."""
    episode = open_episode(max_steps=10)
    name = "we ird\n'q\"$x"
    episode.step(
        "mkdir -p $'we ird\\n\\'q\"$x'; cd $'we ird\\n\\'q\"$x'; ln -s /etc/passwd link; ln -s nowhere dead; echo "
        "hi > file; chmod 750 file"
    )
    episode.step("export A=$'line\\nbreak' B=\"quote'\\\"\" C='$(touch /tmp/ran)' D=; not_exported=1; touch /venv/mark; validate")
    copy = fork(episode.snapshot())
    step = copy.step(
        'printf "%s|" "$A" "$B" "$C" "${D-unset}" "${not_exported-unset}" "$PWD"; ls /tmp; ls /venv/mark; readlink '
        "link dead; cat file; stat -c %a file"
    )
    assert (
        step.observation
        == f"line\nbreak|quote'\"|$(touch /tmp/ran)||unset|/workspace/{name}|/venv/mark\n/etc/passwd\nnowhere\nhi\n750\n"
    )
    assert step.working_directory == f"/workspace/{name}"
    assert step.number == 3
    assert (copy.budget.steps_used, copy.budget.validations_left) == (3, 2)


def test_what_an_ended_episode_left_can_be_forked(
    make_task: Callable[..., Path], open_episode: OpenEpisode, fork: Callable[[Snapshot], Episode]
) -> None:
    """Until it is closed; with the directory and variables that it had before the submission. What failed has no state."""
    episode = open_episode()
    episode.step("mkdir deep; cd deep; export KEPT=kept; echo 7 > ../answer.txt")
    episode.step("echo 8 > ../answer.txt; submit")
    left = episode.snapshot()
    assert fork(left).step("pwd; echo $KEPT; cat ../answer.txt").observation == "/workspace/deep\nkept\n8\n"
    episode.close()
    with pytest.raises(EpisodeStateError):
        episode.snapshot()
    failed = Episode(mlgym_lite.load_task(make_task("failing", grader="exit 3")), settings=episode_settings(episode))
    failed.reset()
    with pytest.raises(GraderError):
        failed.submit()
    with pytest.raises(EpisodeStateError):
        failed.snapshot()
    failed.close()


def episode_settings(episode: Episode) -> RunSettings:
    """Settings of another episode beside one."""
    return RunSettings(output=episode.run_directory.with_name("failing-run"))


def test_fork_and_original_do_not_touch_each_other(open_episode: OpenEpisode, fork: Callable[[Snapshot], Episode]) -> None:
    """What happens in a fork stays there, and so does what happens in the original afterwards."""
    episode = open_episode()
    episode.step("echo 1 > shared; cp shared kept")
    snapshot = episode.snapshot()
    episode.step("echo original > shared; rm kept")
    first, second = fork(snapshot), fork(snapshot)
    first.step("echo first >> shared; touch /venv/first; echo 7 > answer.txt")
    assert second.step("cat shared kept; ls /venv/first 2>/dev/null; cat answer.txt").observation == "1\n1\n0.5\n"
    assert episode.step("cat shared; ls /venv/first 2>/dev/null").observation == "original\n"
    assert (first.submit().score, second.submit().score, episode.submit().score) == (7.0, 0.5, 0.5)


def test_tools_work_in_a_fork(open_episode: OpenEpisode, fork: Callable[[Snapshot], Episode]) -> None:
    """A fork's `validate` and `submit` reach its own engine, also while the original is open."""
    episode = open_episode()
    episode.step("true")
    copy = fork(episode.snapshot())
    step = copy.step("echo 4 > answer.txt; validate")
    assert "Score = 4" in step.observation
    assert copy.step("submit").terminated
    assert episode.attempts == ()


def test_fork_of_a_fork_after_the_original_ended(open_episode: OpenEpisode, fork: Callable[[Snapshot], Episode]) -> None:
    """A snapshot outlives its episode, and a fork can be forked."""
    episode = open_episode()
    episode.step("echo 2 > answer.txt; export x=1")
    snapshot = episode.snapshot()
    episode.close()
    copy = fork(snapshot)
    copy.step("export y=$((x + 1))")
    assert fork(copy.snapshot()).step("echo $x $y; cat answer.txt").observation == "1 2\n2\n"


def test_special_files_do_not_hold_up_a_snapshot(open_episode: OpenEpisode, fork: Callable[[Snapshot], Episode]) -> None:
    """FIFOs, sockets and links to anywhere are no hindrance, and nothing of the host is copied through a link."""
    episode = open_episode()
    episode.step(
        "mkfifo pipe; ln -s /etc etc; ln -s /proc/1/root root; ln -s . self; mkdir -p a/b; ln -s ../../.. a/b/up; "
        "truncate -s 10M sparse"
    )
    episode.step("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'")
    snapshot = episode.snapshot()
    assert snapshot.trees["workspace"].entries["etc"] == KeptLink("/etc")
    assert (
        fork(snapshot).step("ls -A | tr '\\n' ' '; stat -c %s sparse").observation
        == "a answer.txt etc root self sparse 10485760\n"
    )


def test_a_snapshot_while_files_come_and_go(open_episode: OpenEpisode) -> None:
    """A background job that makes and deletes files is no hindrance for a snapshot."""
    episode = open_episode()
    episode.step(
        "python3 -c \"\nimport os\nwhile True:\n    for n in range(50): open(f'f{n}', 'w').close()\n    for n in "
        "range(50): os.unlink(f'f{n}')\n\" & :"
    )
    for _ in range(100):
        episode.snapshot()


def test_a_snapshot_of_very_deep_folders(open_episode: OpenEpisode) -> None:
    """Folders nested deeper than a path can be long do not end in a Python error."""
    episode = open_episode()
    episode.step("python3 -c \"\nimport os\nfor _ in range(2100):\n    os.mkdir('d'); os.chdir('d')\n\"")
    try:
        with contextlib.suppress(mlgym_lite.errors.MLGymLiteError):
            episode.snapshot()
    finally:
        subprocess.run(
            ["rm", "-rf", episode.run_directory / "workspace", *episode.run_directory.glob(".state/snap*")], check=True
        )


# As a program


def start_program(task: Path, run: Path, actions: list[str], environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    """Start `mlgym-lite run` with scripted actions."""
    script = run.with_suffix(".actions")
    script.write_text("".join(json.dumps(action) + "\n" for action in actions), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mlgym_lite",
        "run",
        str(task),
        "--actions",
        str(script),
        "--output",
        str(run),
        "--quiet",
        *options,
    ]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something holds, and fail when it does not in time."""
    deadline = time.monotonic() + WAIT_SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.02)


def groups_of(process_id: int) -> list[Path]:
    """The control groups that an engine made."""
    return list(Path("/sys/fs/cgroup").glob(f"**/mlgym-lite-{process_id}-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_program(
    make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C and SIGTERM during a step leave a result that says interrupted, exit status 130, and nothing running."""
    run = tmp_path / "run"
    program = start_program(make_task(), run, ["echo 1", "touch started; sleep 2001 & sleep 2002"], environment)
    wait_until(lambda: (run / "workspace" / "started").exists())
    children = psutil.Process(program.pid).children(recursive=True)
    program.send_signal(number)
    _, errors = program.communicate(timeout=WAIT_SECONDS)
    assert program.returncode == 130
    assert "Traceback" not in errors
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert (result["ending"]["reason"], result["ending"]["fault"], result["score"]) == ("interrupted", "user", None)
    _, alive = psutil.wait_procs(children, timeout=WAIT_SECONDS)
    assert alive == []
    wait_until(lambda: not groups_of(program.pid))
    assert [step["step"] for step in steps_of(run)][:1] == [1]


def test_impatient_interrupts(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C again and again leaves nothing running either."""
    run = tmp_path / "run"
    program = start_program(make_task(), run, ["touch started; sleep 2001 & sleep 2002"], environment)
    wait_until(lambda: (run / "workspace" / "started").exists())
    children = psutil.Process(program.pid).children(recursive=True)
    while program.poll() is None:
        program.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(0.003)
    program.communicate(timeout=WAIT_SECONDS)
    _, alive = psutil.wait_procs(children, timeout=WAIT_SECONDS)
    assert alive == []
    wait_until(lambda: not groups_of(program.pid))


def test_interrupted_grading(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C while the submission is graded says interrupted too, and ends the grader."""
    run = tmp_path / "run"
    task = make_task(grader="touch /logs/verifier/started; sleep 2001 & sleep 2002\n")
    program = start_program(task, run, ["submit"], environment)
    wait_until(lambda: bool(list(run.glob("grading/*/verifier/started"))))
    children = psutil.Process(program.pid).children(recursive=True)
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=WAIT_SECONDS)
    assert json.loads((run / "result.json").read_text(encoding="utf-8"))["ending"]["reason"] == "interrupted"
    _, alive = psutil.wait_procs(children, timeout=WAIT_SECONDS)
    assert alive == []


def test_killed_program(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """A program killed in its third step has its first two on record, and nothing of it runs on."""
    run = tmp_path / "run"
    program = start_program(make_task(), run, ["echo 1", "echo 2; sleep 2001 &", "touch started; sleep 2002"], environment)
    wait_until(lambda: (run / "workspace" / "started").exists())
    children = psutil.Process(program.pid).children(recursive=True)
    program.kill()
    program.communicate(timeout=WAIT_SECONDS)
    _, alive = psutil.wait_procs(children, timeout=WAIT_SECONDS)
    assert alive == []
    wait_until(lambda: not groups_of(program.pid))
    assert [step["observation"] for step in steps_of(run)] == ["1\n", "2\n"]
    assert not (run / "result.json").exists()
    assert (run / "run.json").exists()


def test_program_prints_the_result(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """With --json standard output is result.json's object and nothing else, and exit status 0 means scored."""
    run = tmp_path / "run"
    program = start_program(make_task(), run, ["echo 2 > answer.txt; submit"], environment, "--json")
    output, errors = program.communicate(timeout=WAIT_SECONDS)
    assert program.returncode == 0, errors
    assert json.loads(output) == json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert json.loads(output)["score"]["value"] == 2.0


def test_program_without_a_score(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """Actions that end without a submission give no score, an exit status of their own and a result that says so."""
    run = tmp_path / "run"
    program = start_program(make_task(), run, ["echo 1"], environment)
    program.communicate(timeout=WAIT_SECONDS)
    assert program.returncode == 10
    assert json.loads((run / "result.json").read_text(encoding="utf-8"))["ending"]["reason"] == "gave_up"


def test_types_of_what_is_handed_out(open_episode: OpenEpisode) -> None:
    """A step is a Step, an end is an Outcome, and both are what the package names."""
    episode = open_episode()
    assert isinstance(episode.step("true"), Step)
    assert isinstance(episode.submit(), Outcome)
