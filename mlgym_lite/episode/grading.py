"""Scoring a submission: the judge, the player, and the verdict.

The engine has already copied the artifacts. A fresh sandbox, the judge, runs the task's tests/test.sh. Where the task has a
player, a second fresh sandbox runs the agent's code and the two speak over one stream socket; the player never sees the
seed, the tests or the hidden data. A player whose link the judge closes is ended with all it has started before the judge
goes on, so that nothing of it can speak to the next player. The verdict is the judge's exit status and
/logs/verifier/reward.json, nothing else:

exit 0 and reward.json of {name: finite number}   scored
exit 65 (EX_DATAERR of sysexits.h) and rejection.txt   the submission is invalid, the agent's doing
anything else                                     GraderError, the task's doing
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlgym_lite.episode.sandboxes import EpisodeSandboxes
from mlgym_lite.episode.workspace import read_small_file
from mlgym_lite.errors import GraderError
from mlgym_lite.isolation.protocol import Identity, Sandbox
from mlgym_lite.isolation.storage_watch import StorageWatch
from mlgym_lite.isolation.waiting import readable

REJECTED_STATUS = 65
_MOST_REWARD_BYTES = 1 << 20
_MOST_REJECTION_BYTES = 1 << 16
_SHOWN_LOG_BYTES = 2000
_PLAYER_NUMBER_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judge found."""

    metrics: Mapping[str, float] | None
    """None when the submission was rejected."""
    message: str
    """Why it was rejected."""
    seed: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Link:
    """The two ends of the socket between the judge and one player."""

    judge: socket.socket
    player: socket.socket


class Grader:
    """Grades submissions of one episode; lives as long as the episode."""

    def __init__(self, sandboxes: EpisodeSandboxes, folder: Path, layers: Path, *, before: int = 0) -> None:
        """`folder` is the run's grading/; `layers` an existing folder for the graders' virtual environments.

        `before` gradings were begun before an interruption.
        """
        self._sandboxes = sandboxes
        self._folder = folder
        self._layers = layers
        self._count = before

    def grade(self, submission: Path, *, split: str, kind: str, seed: int | None = None) -> Verdict:
        """Score the artifacts in `submission`; raises GraderError or SandboxError.

        The seed is drawn here, after the artifacts are sealed, unless a replay gives the recorded one.
        """
        if not any(self._layers.iterdir()):
            self._sandboxes.make_grading_layers(self._layers)
        self._count += 1
        place = self._folder / f"{self._count:04d}-{kind}"
        verdict_folder = place / "verifier"
        verdict_folder.mkdir(parents=True)
        seed = secrets.randbits(63) if seed is None else seed
        started = time.monotonic()
        status = self._run(place, verdict_folder, submission, {"MLGYM_LITE_SPLIT": split, "MLGYM_LITE_SEED": str(seed)})
        metrics, message = self._read(status, place, verdict_folder)
        verdict = Verdict(metrics=metrics, message=message, seed=seed, seconds=time.monotonic() - started)
        _record(place, verdict, split)
        return verdict

    def _run(self, place: Path, verdict_folder: Path, submission: Path, variables: Mapping[str, str]) -> int:
        with contextlib.ExitStack() as stack:
            nothing = _opened(stack, Path(os.devnull), os.O_RDONLY)
            judge_log = _opened(stack, place / "judge.log", os.O_RDWR | os.O_CREAT | os.O_APPEND)
            links = [self._link(stack) for _ in range(self._player_count())]
            ending = [self._link(stack)] if links else []
            identity = self._identity(stack)
            if os.geteuid() == 0:
                os.chown(verdict_folder, identity.user_id, identity.user_id)
            ends = [link.judge for link in links]
            numbers = [end.fileno() for end in ends]
            judge_request = self._sandboxes.judge_request(
                self._layers / "judge",
                submission,
                verdict_folder,
                {**variables, **_named(ends), **_named([link.judge for link in ending], "MLGYM_LITE_PLAYER_END_FD")},
                judge_log,
                nothing,
            )
            judge = self._start(stack, judge_request, identity, [*ends, *(link.judge for link in ending)])
            players = {}
            for count, (number, link) in enumerate(zip(numbers, links, strict=True), start=1):
                # a log of its own: its standard output is a file that it can also read
                name = "player.log" if count == 1 else f"player-{count}.log"
                player_log = _opened(stack, place / name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
                player_request = self._sandboxes.player_request(
                    self._layers / "player", submission, _named([link.player]), player_log, nothing
                )
                players[number] = stack.enter_context(contextlib.ExitStack())
                self._start(players[number], player_request, self._identity(players[number]), [link.player])
            return self._wait(judge, [link.player for link in ending], players)

    def _player_count(self) -> int:
        player = self._sandboxes.task.file.metadata.mlgym_lite.player
        return 0 if player is None else player.count

    @staticmethod
    def _link(stack: contextlib.ExitStack) -> Link:
        judge, player = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for end in (judge, player):
            stack.callback(end.close)
        return Link(judge=judge, player=player)

    def _identity(self, stack: contextlib.ExitStack) -> Identity:
        identity = self._sandboxes.mechanism.identity()
        stack.callback(identity.close)
        return identity

    def _start(self, stack: contextlib.ExitStack, request: Any, identity: Identity, ends: Sequence[socket.socket]) -> Sandbox:
        passed = tuple(end.fileno() for end in ends)
        sandbox = self._sandboxes.mechanism.start(replace(request, passed_descriptors=passed), identity)
        stack.callback(sandbox.close)
        if sandbox.root:  # its /tmp and home are on the host's disk
            watch = StorageWatch(request, sandbox)
            stack.callback(watch.close)
            stack.enter_context(watch.during_command())
        for end in ends:
            end.close()
        return sandbox

    def _wait(self, judge: Sandbox, endings: list[socket.socket], players: dict[int, contextlib.ExitStack]) -> int:
        """Wait for the judge; meanwhile end each player that it is done with, and tell it when nothing of the player is left."""
        limit = self._sandboxes.task.file.verifier.timeout_sec
        deadline = time.monotonic() + limit
        while judge.ended_descriptor not in (ready := self._ready(judge, endings, deadline - time.monotonic())):
            if not ready:
                raise GraderError(
                    f"{self._sandboxes.task.name}: the grader did not end within {limit:g} s ([verifier].timeout_sec); what it "
                    f"printed is in {self._folder}"
                )
            [ending] = endings
            number = ending.recv(_PLAYER_NUMBER_BYTES)
            if not number:
                endings = []
                continue
            players[int.from_bytes(number, "big")].close()
            with contextlib.suppress(BrokenPipeError):  # a judge that has ended meanwhile is seen in the next round
                ending.sendall(b"\0")
        return judge.exit_status()

    @staticmethod
    def _ready(judge: Sandbox, endings: Sequence[socket.socket], seconds: float) -> set[int]:
        return readable([judge.ended_descriptor, *(ending.fileno() for ending in endings)], seconds)

    def _read(self, status: int, place: Path, verdict_folder: Path) -> tuple[Mapping[str, float] | None, str]:
        try:
            if status == REJECTED_STATUS:
                text = read_small_file(verdict_folder, "rejection.txt", _MOST_REJECTION_BYTES)
                return None, (text or b"").decode("utf-8", "replace").strip() or "the grader gave no reason"
            if status != 0:
                raise ValueError(f"it ended with exit status {status}")
            return _metrics(read_small_file(verdict_folder, "reward.json", _MOST_REWARD_BYTES), self._sandboxes.task.metric), ""
        except (ValueError, OverflowError, RecursionError) as error:
            log = (place / "judge.log").read_bytes()[-_SHOWN_LOG_BYTES:].decode("utf-8", "replace").strip()
            shown = f"\n{log}" if log else ""
            raise GraderError(
                f"{self._sandboxes.task.name}: the grader failed: {error}. What it printed is in {place / 'judge.log'}{shown}"
            ) from error


def _metrics(data: bytes | None, metric: str) -> Mapping[str, float]:
    if data is None:
        raise ValueError("it left no reward.json")
    try:
        content = json.loads(data, parse_constant=_no_constant)
    except ValueError as error:
        raise ValueError(f"its reward.json is not JSON of finite numbers ({error})") from error
    if not isinstance(content, dict) or not content:
        raise ValueError("its reward.json is not an object {name: number}")
    for name, value in content.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"its reward.json has {name!r}: {value!r}; expected a finite number")
    if metric not in content:
        raise ValueError(f"its reward.json lacks the metric {metric!r}; it has {', '.join(sorted(content))}")
    return {name: float(value) for name, value in content.items()}


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a finite number")


def _named(ends: Sequence[socket.socket], name: str = "MLGYM_LITE_PLAYER_FD") -> dict[str, str]:
    return {name: ",".join(str(end.fileno()) for end in ends)} if ends else {}


def _opened(stack: contextlib.ExitStack, path: Path, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, descriptor)
    return descriptor


def _record(place: Path, verdict: Verdict, split: str) -> None:
    content = {
        "split": split,
        "seed": verdict.seed,
        "metrics": None if verdict.metrics is None else dict(verdict.metrics),
        "rejected": verdict.message or None,
        "seconds": verdict.seconds,
    }
    (place / "grading.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
