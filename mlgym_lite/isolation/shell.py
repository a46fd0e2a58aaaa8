"""The persistent shell of an episode: one bash in the sandbox, driven over descriptors.

Theory of operation. bash runs interactively but without a terminal: commands reach its standard input, output comes back
on a pipe of its own, and after each command one line on a third pipe tells a fresh number, the exit status and the working
directory (`shell_channels`). So nothing that a command prints can be taken for control. The text of a command stands in a
memory file that the shell reads with `.`; that runs with standard input from /dev/null, output to the output pipe, and the
shell's own descriptors closed, so that what it starts holds none of them.

An interactive bash is used because it alone abandons a running loop or function at an interrupt and still keeps its
variables; inside `.` it behaves like a script, without notices about jobs. `shell_run` sees one command to its end.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import replace

from mlgym_lite.errors import SandboxError
from mlgym_lite.isolation.output import OutputCapture
from mlgym_lite.isolation.protocol import Identity, Mechanism, Sandbox, SandboxRequest, Usage
from mlgym_lite.isolation.shell_channels import ShellChannels, Status
from mlgym_lite.isolation.shell_run import ControlHandler, OutputHandler, ShellResult, ShellRun
from mlgym_lite.isolation.storage_watch import StorageWatch
from mlgym_lite.isolation.waiting import readable

_BASH = ("/bin/bash", "--noprofile", "--norc", "--noediting", "-i")
_START_SECONDS = 30.0

_LEASED = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
"""A fork has GPUs of its own."""

SetUp = Callable[[str], str]


class Shell:
    """One bash in one sandbox; whoever opened it closes it."""

    def __init__(self, mechanism: Mechanism, request: SandboxRequest, identity: Identity, set_up: SetUp | None = None) -> None:
        """Start the sandbox (its descriptors are filled in here; `request.command` starts bash).

        `set_up` gets the sandbox's root and gives the text that the shell runs first.
        """
        self._stack = contextlib.ExitStack()
        try:
            self._channels = ShellChannels()
            self._stack.callback(self._channels.close)
            self.sandbox: Sandbox = self._start(mechanism, request, identity)
            self._stack.callback(self.sandbox.close)
            self._channels.started()
            text = set_up(self.sandbox.root) if set_up else ""
            self._wait_for_start(text and f"{text}\n{self._own_variables(request)}")
            self._storage = StorageWatch(request, self.sandbox)
            self._stack.callback(self._storage.close)
        except BaseException:
            self.close()
            raise

    def _start(self, mechanism: Mechanism, request: SandboxRequest, identity: Identity) -> Sandbox:
        channels = self._channels
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            complete = replace(
                request,
                command=(*request.command, *_BASH),
                environment={**request.environment, **channels.variables},
                standard_input=channels.command_end,
                standard_output=nowhere,
                standard_error=channels.errors,
                passed_descriptors=channels.passed,
            )
            return mechanism.start(complete, identity)
        finally:
            os.close(nowhere)

    def _own_variables(self, request: SandboxRequest) -> str:
        """Set the engine's variables again, which a snapshot's may have replaced."""
        known = {**request.environment, **self._channels.variables}
        own = {name: value for name, value in known.items() if name.startswith("MLGYM_LITE_") or name in _LEASED}
        own["MLGYM_LITE_ROOT"] = self.sandbox.root
        return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in own.items())

    def _wait_for_start(self, set_up: str) -> None:
        try:
            self._channels.send_set_up()
            if set_up:
                self._channels.send_action(set_up, shown=False)
            status = self._status(self._channels.ask_status(), time.monotonic() + _START_SECONDS)
        except BrokenPipeError:
            status = None
        if status is None:
            text = os.pread(self._channels.errors, 4000, 0).decode("utf-8", "replace")
            lines = [line for line in text.splitlines() if "terminal process group" not in line and "job control" not in line]
            raise SandboxError("the shell did not start in the sandbox: " + (" | ".join(lines) or "it gave no reason"))

    def _status(self, number: str, deadline: float) -> Status | None:
        """Wait for an answer only, leaving output where it is; None when none comes."""
        channels = self._channels
        while (left := deadline - time.monotonic()) > 0:
            ready = readable([channels.status, self.sandbox.ended_descriptor], left)
            if channels.status in ready:
                try:
                    status = channels.read_status(number)
                except EOFError:
                    return None
                if status is not None:
                    return status
            elif ready and not self.sandbox.is_running():
                return None
        return None

    def run(
        self,
        command: str,
        *,
        timeout_seconds: float,
        capture: OutputCapture,
        on_control: ControlHandler,
        on_output: OutputHandler | None = None,
        interruptible: bool = False,
    ) -> ShellResult:
        """Run one shell input to its end or its time-out; the command may be any text without NUL characters.

        With `interruptible`, Ctrl-C ends the command as a time-out would, instead of raising KeyboardInterrupt.
        """
        stop = self._storage.stop_descriptor
        with self._storage.during_command():
            run = ShellRun(self._channels, self.sandbox, capture, on_control, on_output, stop)
            result = run.finish(command, timeout_seconds, interruptible=interruptible)
        note = self._storage.note(stopped=result.stopped)
        return replace(result, storage_note=note) if note else result

    def exported_variables(self, *, seconds: float = 30.0) -> str:
        """The exported variables as shell text that sets them again; raises SandboxError where the shell does not tell."""
        return self._channels.exported_variables(seconds)

    def usage(self) -> Usage:
        """What the sandbox used so far."""
        return self.sandbox.usage()

    def interrupt(self) -> None:
        """Kill the shell with all it started, from any thread; an input that runs in another one returns as if it had done so."""
        self.sandbox.kill()

    def close(self) -> None:
        """End the sandbox with everything in it; twice is harmless."""
        self._stack.close()
