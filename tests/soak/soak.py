"""Many episodes of a tiny task with faults at random, several at a time: nothing may be left and no step may be lost.

`python tests/soak/soak.py` (or `nox -s soak`) runs it. The processes: this one deals out episodes and counts; workers, each
an engine process of its own (this file with `--worker`), run one episode after another and print a line for each step that
was acknowledged; a worker that is killed by a fault is replaced. After each episode the record is compared with what was
acknowledged, and at the end everything that could be left is looked for. Exit status 1 on any leak or loss.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tiny_task import GRADER, TASK_TOML

import mlgym_lite
from mlgym_lite.config.places import places
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.episode.leftovers import find_leftovers
from mlgym_lite.errors import MLGymLiteError

TOML = (
    TASK_TOML.replace("command_timeout_sec = 30", "command_timeout_sec = 1")
    .replace("memory_mb = 512", "memory_mb = 96")
    .replace("storage_mb = 64", "storage_mb = 24")
)
WAIT_SECONDS = 30.0

ACTIONS: dict[str, list[str]] = {
    "plain": ["echo hello", "echo 1.5 > answer.txt", "validate"],
    "memory bomb": ["python3 -c 'a = bytearray(300 << 20)'", "echo on"],
    "fork bomb": ["f() { f | f & }; f; sleep 0.3", "echo on"],
    "disk fill": ["for i in $(seq 50); do head -c 4M /dev/zero > f$i; done", "rm -f f*; echo 0.5 > answer.txt"],
    "time-out": ["sleep 30", "while :; do :; done"],
    "shell exits": ["exit 3", "exec true", "kill -9 $$", "echo on"],
    "daemons": ["for i in 1 2 3; do setsid -f sleep 8888; (sleep 8888 &); done", "nohup yes > /dev/null 2>&1 &", "echo on"],
    "bad artifact": ["ln -sf /etc/passwd answer.txt", "validate"],
    "kill engine": ["echo hello", "sleep 0.2", "echo 2 > answer.txt", "validate", "sleep 0.3"],
    "kill bwrap": ["echo hello", "sleep 0.2", "echo on", "validate", "sleep 0.3"],
    "Ctrl-C": ["echo hello", "sleep 0.2", "validate", "sleep 0.4"],
}


def say(**content: Any) -> None:
    """One line for whoever deals out the episodes."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def work(task_folder: str) -> None:
    """Run the episodes that are named on standard input, one after another."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where this was started in the background
    task = mlgym_lite.load_task(task_folder)
    say(event="ready")
    for line in sys.stdin:
        wanted = json.loads(line)
        episode = mlgym_lite.Episode(task, settings=RunSettings(output=Path(wanted["output"])))
        try:
            with episode:
                say(event="reset")
                for action in wanted["actions"]:
                    say(event="step", number=episode.step(action).number)
                episode.submit()
        except KeyboardInterrupt:
            say(event="interrupted")
        except MLGymLiteError as error:
            say(event="error", text=f"{type(error).__name__}: {error}"[:300])
        say(event="end", reason=episode.outcome.ending.reason if episode.outcome else "none")


@dataclass(kw_only=True)
class Tally:
    """What came of one kind of episode."""

    episodes: int = 0
    endings: collections.Counter[str] = field(default_factory=collections.Counter)
    lost: int = 0
    """Episodes of which an acknowledged step or a whole line is missing, or that ended without an ending of ours."""
    stuck: int = 0


class Worker:
    """One engine process; its owner replaces it when a fault took it."""

    def __init__(self, task: Path, environment: dict[str, str], log: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", str(task)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
            stderr=log.open("ab"), text=True, bufsize=1, start_new_session=True,
        )  # fmt: skip
        self.lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._has_told_all = False
        threading.Thread(target=self._read, daemon=True).start()
        assert self.lines.get(timeout=WAIT_SECONDS) == {"event": "ready"}

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def run(self, output: Path, actions: list[str]) -> None:
        """Begin an episode."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"output": str(output), "actions": actions}) + "\n")

    def events(self) -> Iterator[dict[str, Any]]:
        """What it tells, until the episode or the process ends; raises queue.Empty where it is stuck."""
        while (event := self.lines.get(timeout=WAIT_SECONDS)) is not None:
            yield event
            if event["event"] == "end":
                return
        self._has_told_all = True

    def is_gone(self) -> bool:
        """Whether it has ended or is about to."""
        return self._has_told_all or self.process.poll() is not None

    def close(self) -> None:
        """End it."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        try:
            self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Soak:
    """The whole of it."""

    def __init__(self, folder: Path, *, episodes: int, workers: int, seed: int, minutes: float, faults: list[str]) -> None:
        self._folder = folder
        self._runs = folder / "runs"
        self._runs.mkdir()
        (folder / "temporary").mkdir()
        self.environment = {**os.environ, "TMPDIR": str(folder / "temporary"), "MLGYM_LITE_CACHE": str(folder / "cache")}
        self._task = _make_task(folder / "tiny")
        self._left = collections.deque(range(episodes))
        self._workers = workers
        self._seed = seed
        self._faults = faults
        self._deadline = time.monotonic() + minutes * 60
        self._lock = threading.Lock()
        self.engines: set[int] = set()
        self.tallies: dict[str, Tally] = {fault: Tally() for fault in ACTIONS}

    def run(self) -> None:
        """Run the episodes, several at a time."""
        threads = [threading.Thread(target=self._serve) for _ in range(self._workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _serve(self) -> None:
        worker: Worker | None = None
        while self._left and time.monotonic() < self._deadline:
            try:
                number = self._left.popleft()
            except IndexError:
                break
            if worker is None or worker.is_gone():
                if worker is not None:
                    worker.close()
                worker = Worker(self._task, self.environment, self._folder / "log")
                self.engines.add(worker.process.pid)
            self._one(worker, number)
        if worker is not None:
            worker.close()

    def _one(self, worker: Worker, number: int) -> None:
        chance = random.Random(f"{self._seed}/{number}")
        fault = chance.choice(self._faults)
        run = self._runs / f"{number:05d}"
        with contextlib.suppress(BrokenPipeError):  # it has ended a moment ago
            worker.run(run, ACTIONS[fault])
        timer = _timer(fault, worker.process.pid, chance)
        told: list[int] = []
        ending, stuck = "killed", 0
        try:
            for event in worker.events():
                if event["event"] == "step":
                    told.append(event["number"])
                elif event["event"] == "end":
                    ending = event["reason"]
        except queue.Empty:
            stuck, ending = 1, "stuck"
            worker.process.send_signal(signal.SIGABRT)  # its threads' stacks go to the log
            worker.process.wait()
        timer.cancel()
        timer.join()
        if worker.process.poll() is None and fault == "kill engine":  # the kill may have come after the end
            worker.process.kill()
        if fault == "kill engine":
            worker.process.wait()
        if ending == "killed" and not told and not run.exists() and fault not in ("kill engine", "Ctrl-C"):
            self._left.append(number)  # the fault of the episode before had hit the engine after its end
            return
        unexpected = ending in ("killed", "none") and fault not in ("kill engine", "Ctrl-C")
        lost = 0 if _is_whole(run, told, ending) and not unexpected else 1
        with self._lock:
            tally = self.tallies[fault]
            tally.episodes += 1
            tally.endings[ending] += 1
            tally.lost += lost
            tally.stuck += stuck
        if lost or stuck:
            print(f"{run}: {fault}: ended {ending}, acknowledged {told}", file=sys.stderr)
        else:
            shutil.rmtree(run, ignore_errors=True)

    def leaks(self) -> dict[str, list[str]]:
        """Everything that is left after the last worker ended."""
        deadline = time.monotonic() + 20
        while any(found := self._leaks().values()) and time.monotonic() < deadline:
            time.sleep(0.2)
        del found
        return self._leaks()

    def _leaks(self) -> dict[str, list[str]]:
        locks = [line.split()[4] for line in Path("/proc/locks").read_text().splitlines() if len(line.split()) > 4]
        groups = [name for _, names, _ in os.walk("/sys/fs/cgroup") for name in names if name.startswith("mlgym-lite-")]
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        tempfile.tempdir = str(self._folder / "temporary")
        left = find_leftovers(places(self.environment), [])
        return {
            "processes": [" ".join(command)[:100] for command in self._commands()],
            "control groups": [name for name in groups if name.split("-")[2] in {str(pid) for pid in self.engines}],
            "mounts": [line for line in mounts if str(self._folder) in line],
            "user ids and locks": [pid for pid in locks if pid.isdigit() and int(pid) in self.engines],
            "temporary files": [path.name for path in (self._folder / "temporary").iterdir()],
            "cache parts": [str(one.path) for one in left if one.kind == "half-made folder"],
        }

    def _commands(self) -> Iterator[list[str]]:
        marks = [str(self._folder), *(f"mlgym-lite-{engine}-" for engine in self.engines)]
        for process in psutil.process_iter():
            try:
                command = process.cmdline()
                ours = any(mark in word for word in command for mark in marks) or command == ["sleep", "8888"]
                if ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    yield command
            except psutil.Error:
                continue


def _timer(fault: str, engine: int, chance: random.Random) -> threading.Timer:
    """What does the fault, at a random moment of the episode; those that the agent does itself need nothing."""
    seconds = chance.uniform(0.0, 1.2)
    acts: dict[str, Callable[[], None]] = {
        "kill engine": lambda: _send(engine, signal.SIGKILL),
        "Ctrl-C": lambda: _send(engine, signal.SIGINT),
        "kill bwrap": lambda: _kill_bwrap(engine, chance),
    }
    timer = threading.Timer(seconds, acts.get(fault, lambda: None))
    timer.start()
    return timer


def _send(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def _kill_bwrap(engine: int, chance: random.Random) -> None:
    with contextlib.suppress(psutil.Error):
        found = [one for one in psutil.Process(engine).children(recursive=True) if one.name() == "bwrap"]
        if found:
            chance.choice(found).kill()


def _is_whole(run: Path, told: list[int], ending: str) -> bool:
    """Whether every acknowledged step is recorded on a line of its own, and an ending that was told is too."""
    path = run / "trajectory.jsonl"
    if not path.exists():
        return not told
    lines = path.read_bytes().split(b"\n")
    if ending != "killed" and lines[-1] != b"":
        return False
    recorded = []
    for line in lines[:-1]:
        try:
            recorded.append(json.loads(line)["step"])
        except (ValueError, KeyError):
            return False
    if recorded != list(range(1, len(recorded) + 1)) or not set(told) <= set(recorded):
        return False
    return ending in ("killed", "stuck", "none") or (run / "result.json").exists()


def _make_task(folder: Path) -> Path:
    contents = {
        "task.toml": TOML,
        "instruction.md": "Write a number into answer.txt.\n",
        "environment/answer.txt": "0.5\n",
        "tests/test.sh": GRADER,
    }
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _report(tallies: dict[str, Tally], leaks: dict[str, list[str]], seconds: float) -> str:
    rows = [f"{'fault':14} {'episodes':>8} {'lost':>5} {'stuck':>5}  endings"]
    for fault, tally in tallies.items():
        endings = ", ".join(f"{name} {count}" for name, count in tally.endings.most_common())
        rows.append(f"{fault:14} {tally.episodes:8} {tally.lost:5} {tally.stuck:5}  {endings}")
    total = sum(tally.episodes for tally in tallies.values())
    rows.append(f"{'all':14} {total:8} {sum(t.lost for t in tallies.values()):5} {sum(t.stuck for t in tallies.values()):5}")
    rows += [f"left: {name}: {len(found)} {found[:5] if found else ''}" for name, found in leaks.items()]
    rows.append(f"{total} episodes in {seconds:.0f} s ({total / max(seconds, 1e-9):.1f} a second)")
    return "\n".join(rows)


def main() -> int:
    """Run the soak and print its table; the exit status."""
    parser = argparse.ArgumentParser(description="Many episodes with faults at random; exit status 1 on any leak or loss.")
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=4, help="episodes at the same time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no episode after so long")
    parser.add_argument("--fault", choices=list(ACTIONS), action="append", help="only this kind of episode; may be repeated")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.worker:
        work(wanted.worker)
        return 0
    folder = Path(tempfile.mkdtemp(prefix="mlgym-lite-soak-"))
    folder.chmod(0o755)
    started = time.monotonic()
    soak = Soak(
        folder,
        episodes=wanted.episodes,
        workers=wanted.workers,
        seed=wanted.seed,
        minutes=wanted.minutes,
        faults=wanted.fault or list(ACTIONS),
    )
    soak.run()
    seconds = time.monotonic() - started
    leaks = soak.leaks()
    print(_report(soak.tallies, leaks, seconds))
    failed = any(leaks.values()) or any(tally.lost or tally.stuck for tally in soak.tallies.values())
    if failed:
        print(f"the records of these runs and the log of the engines are in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
