"""The other side of `step` and `reset`: bwrap with the arguments of an episode's own sandbox, and nothing of the engine.

There is no block descriptor, status descriptor, control group, control channel or recording. Like the engine's, these
sandboxes start from the launcher thread, and as an ordinary user where this runs as root. The clock runs from the start of
the program on; what is prepared before (folders, mounts for root, memory files) is the bare side's for free.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

from benchmarks.measuring import Bench, check
from mlgym_lite import RunSettings, Task
from mlgym_lite.episode.preparation import prepare_episode
from mlgym_lite.episode.workspace import copy_tree
from mlgym_lite.isolation import bubblewrap, bubblewrap_arguments
from mlgym_lite.isolation.root_start import is_reachable_by_others, staging_area
from mlgym_lite.isolation.seccomp import filter_program
from mlgym_lite.isolation.virtual_environments import make_layer
from mlgym_lite.processes import launcher_thread

Result = TypeVar("Result")


class BareSandboxes:
    """Starts sandboxes for one task; whoever made it closes it."""

    def __init__(self, bench: Bench, task: Task) -> None:
        self._stack = ExitStack()
        sandboxes = prepare_episode(task, RunSettings(), bench.places, bench.environment).sandboxes
        self._identity = sandboxes.mechanism.identity()
        self._stack.callback(self._identity.close)
        folder = bench.new_path("bare")
        workspace, venv = folder / "workspace", folder / "venv"
        for path in (workspace, venv):
            path.mkdir(parents=True)
        copy_tree(task.folder / "environment", workspace)
        make_layer(venv, sandboxes.base)
        if os.geteuid() == 0:
            for path in (workspace, *workspace.rglob("*"), venv, *venv.rglob("*")):
                os.chown(path, self._identity.user_id, self._identity.user_id, follow_symlinks=False)
        self._request = sandboxes.agent_request(workspace, venv)
        etc = {name: self._memory_file(text.encode()) for name, text in bubblewrap_arguments.ETC_FILES.items()}
        program = filter_program()
        seccomp = self._memory_file(program) if program else None
        self._descriptors = bubblewrap_arguments.Descriptors(etc=etc, filter=seccomp, status=-1, block=-1)
        self._passed = (*etc.values(), *(() if seccomp is None else (seccomp,)))

    def _memory_file(self, content: bytes) -> int:
        descriptor = os.memfd_create("benchmark")
        self._stack.callback(os.close, descriptor)
        os.write(descriptor, content)
        return descriptor

    def seconds_to_end(self) -> float:
        """How long `bash -c true` takes from the start of bwrap to its end."""
        return self.started(("bash", "-c", "true"), _seconds_to_end)

    def started(self, command: tuple[str, ...], then: Callable[[Callable[..., Any]], Result]) -> Result:
        """Give `then` a function that starts bwrap with the command; the sandbox must be up when `then` returns."""
        return launcher_thread().call(lambda: self._started(command, then), undo=lambda _: None)

    def _started(self, command: tuple[str, ...], then: Callable[[Callable[..., Any]], Result]) -> Result:
        sources = [mount.source for mount in self._request.mounts if not is_reachable_by_others(mount.source)]
        with ExitStack() as stack:
            as_root = os.geteuid() == 0
            places = stack.enter_context(staging_area().bound(sources)) if as_root else {}
            words = bubblewrap_arguments.arguments(self._request, self._descriptors, places)
            words = words[: words.index("--json-status-fd")]
            for descriptor in self._passed:  # bwrap reads them from where the last one stopped
                os.lseek(descriptor, 0, os.SEEK_SET)
            user = {"user": self._identity.user_id, "group": self._identity.user_id, "extra_groups": []} if as_root else {}
            line = [bubblewrap.find_bubblewrap(), *words, "--", *command]
            options = {"env": {}, "cwd": "/", "pass_fds": self._passed, "start_new_session": True, "umask": 0o022, **user}
            return then(lambda **streams: subprocess.Popen(line, **{**options, **streams}))

    def close(self) -> None:
        """Give the user id and the descriptors back."""
        self._stack.close()


def _seconds_to_end(start: Callable[..., Any]) -> float:
    started = time.perf_counter()
    process = start(stdin=subprocess.DEVNULL)
    status = process.wait()
    seconds = time.perf_counter() - started
    check(status, 0, "bash -c true")
    return seconds


class BareShell:
    """A persistent bash in a bare sandbox, driven over two pipes; whoever made it closes it."""

    def __init__(self, sandboxes: BareSandboxes) -> None:
        self._process = sandboxes.started(("bash",), self._first_answer)

    def _first_answer(self, start: Callable[..., Any]) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = start(stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._process = process
        check(self.run("true"), b"0\n", "bare bash")
        return process

    def run(self, command: str) -> bytes:
        """Run a command without quotes and without output; its exit status as a line."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"eval '{command}' </dev/null; printf '%d\\n' $?\n".encode())
        return os.read(self._process.stdout.fileno(), 4096)

    def close(self) -> None:
        """End it by ending its input."""
        self._process.communicate()
