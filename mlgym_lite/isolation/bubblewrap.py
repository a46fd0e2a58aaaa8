"""The bubblewrap mechanism: a sandbox in namespaces of its own, without root.

Theory of operation. The launcher thread starts `bwrap` with an empty environment, its arguments in a memory file (so that
they show in no process list) and as an ordinary user always. bwrap makes the namespaces, reports the host process id of
the sandbox's first process on the status descriptor and waits on the block descriptor; the engine puts that process under
its limits and lets go. To end a sandbox the engine kills that first process: the kernel then ends everything else in the
process namespace, bwrap reaps it and exits, and the status descriptor shows end of file. If the engine dies, the kernel
kills bwrap (`--die-with-parent`), with the same effect.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from mlgym_lite.config.allowed_hosts import NetworkMode
from mlgym_lite.errors import IsolationError, SandboxError
from mlgym_lite.isolation.bubblewrap_arguments import Descriptors, arguments, etc_files
from mlgym_lite.isolation.limits import LimitGroup, choose_limits
from mlgym_lite.isolation.protocol import Identity, SandboxRequest
from mlgym_lite.isolation.root_start import OwnUser, TransientUser, is_reachable_by_others, staging_area
from mlgym_lite.isolation.running_sandbox import Parts, RunningSandbox, first_report, last_text
from mlgym_lite.isolation.seccomp import filter_program
from mlgym_lite.processes import launcher_thread

logger = logging.getLogger(__name__)


class BubblewrapMechanism:
    """Puts up sandboxes with the bwrap program."""

    name = "bubblewrap"
    networks: tuple[NetworkMode, ...] = ("no-network", "allowlist", "public")

    def __init__(self, program: str) -> None:
        self._program = program
        self._limits = choose_limits()
        self._filter = filter_program()
        self.limits_name = self._limits.name
        self.weakened: tuple[str, ...] = () if self._filter else ("no system call filter for this machine type",)

    def identity(self) -> Identity:
        """A user of its own when the engine is root, else the engine's user."""
        return TransientUser() if os.geteuid() == 0 else OwnUser(user_id=os.geteuid())

    def start(self, request: SandboxRequest, identity: Identity) -> RunningSandbox:
        """Start a sandbox and put it under its limits before its command runs."""
        group = self._limits.open(request.limits)
        try:
            return launcher_thread().call(lambda: self._launch(request, identity, group), undo=RunningSandbox.close)
        except BaseException:
            group.close()
            raise

    def _limited(self, request: SandboxRequest) -> list[str]:
        """The command behind the limits that a process can only set for itself and what it starts."""
        limits = request.limits
        wanted = ["-c 0"]
        if limits.open_files:
            wanted.append(f"-n {limits.open_files}")
        if limits.file_bytes:
            wanted.append(f"-f {limits.file_bytes // 1024}")
        if limits.processes and not self._limits.counts_processes:
            # Counted for each user namespace since Linux 5.14, so that other processes of the user do not count.
            wanted.append(f"-u {limits.processes}")
        settings = "; ".join(f"ulimit {word} 2>/dev/null" for word in wanted)
        return ["/bin/bash", "-c", f'{settings}; exec "$@"', "sandbox", *request.command]

    def _launch(self, request: SandboxRequest, identity: Identity, group: LimitGroup) -> RunningSandbox:
        with contextlib.ExitStack() as stack:
            places = stack.enter_context(staging_area().bound(_unreachable(request))) if os.geteuid() == 0 else {}
            status, status_end = os.pipe()
            block_end, block = os.pipe()
            stack.callback(os.close, block)
            try:
                process = self._spawn(request, identity, places, status_end, block_end)
            finally:
                os.close(status_end)
                os.close(block_end)
            try:
                first = int(str(first_report(status, request.standard_error, "bwrap")["child-pid"]))
            except BaseException:
                process.kill()
                process.wait()
                os.close(status)
                raise
            sandbox = RunningSandbox(
                Parts(
                    process=process, first=first, status=status, error=request.standard_error, group=group,
                    end=lambda opened: _kill_first(first, opened, process),
                )
            )  # fmt: skip
            try:
                group.add(first)
                os.write(block, b"\0")
            except OSError as error:
                sandbox.close()
                said = last_text(request.standard_error)
                reason = f"bwrap could not make the sandbox: {said}" if said else f"{self._limits.name}: {error}"
                raise SandboxError(f"the sandbox could not be put under its limits ({reason})") from error
            return sandbox

    def _spawn(
        self, request: SandboxRequest, identity: Identity, places: dict[Path, Path], status: int, block: int
    ) -> subprocess.Popen[bytes]:
        with contextlib.ExitStack() as stack:
            descriptors = Descriptors(
                etc={name: _memory_file(stack, text.encode()) for name, text in etc_files(request.network).items()},
                filter=_memory_file(stack, self._filter) if self._filter else None,
                status=status,
                block=block,
            )
            words = _memory_file(stack, b"".join(os.fsencode(w) + b"\0" for w in arguments(request, descriptors, places)))
            own = [*descriptors.etc.values(), status, block, words]
            own += [number for number in (descriptors.filter, request.held_descriptor) if number is not None]
            command = [self._program, "--args", str(words), "--", *self._limited(request)]
            logger.debug("start %s", command)
            user: dict[str, Any] = {}
            if os.geteuid() == 0:
                user = {"user": identity.user_id, "group": identity.user_id, "extra_groups": []}
            return subprocess.Popen(
                command, env={}, cwd="/", stdin=request.standard_input, stdout=request.standard_output,
                stderr=request.standard_error, pass_fds=(*own, *request.passed_descriptors), umask=0o022,
                start_new_session=True, **user,
            )  # fmt: skip


def _unreachable(request: SandboxRequest) -> list[Path]:
    return [mount.source for mount in request.mounts if not is_reachable_by_others(mount.source)]


def _kill_first(first: int, opened: int | None, process: subprocess.Popen[bytes]) -> None:
    """Kill a sandbox's first process, which may outlive bwrap; by its number only while bwrap vouches for it."""
    if opened is not None:
        signal.pidfd_send_signal(opened, signal.SIGKILL)
    elif process.poll() is None:
        os.kill(first, signal.SIGKILL)


def _memory_file(stack: contextlib.ExitStack, content: bytes) -> int:
    descriptor = os.memfd_create("mlgym-lite")
    stack.callback(os.close, descriptor)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def find_bubblewrap() -> str:
    """The path of bwrap; raises IsolationError with what to install where there is none."""
    program = shutil.which("bwrap")
    if program is None:
        raise IsolationError(
            "bubblewrap is not installed (no `bwrap` on PATH).\n"
            "  Debian, Ubuntu:  sudo apt-get install bubblewrap\n"
            "  Fedora, RHEL:    sudo dnf install bubblewrap\n"
            "  without root:    conda install -c conda-forge bubblewrap"
        )
    return program
