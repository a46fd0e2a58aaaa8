"""The landlock mechanism: a sandbox without namespaces, for hosts where those are switched off (Linux 5.13 or newer).

Theory of operation. The launcher thread starts the supervisor (`supervisor`), a program of ours that makes the sandbox's root,
a folder with links to what the request shows, confines a child with landlock rules and a system call filter, and lets it
become the command. What the agent writes lies in the workspace, its virtual environment and the root; the root is removed by
the supervisor, which outlives a killed engine for that. The end of the lifeline is the end of the sandbox.

`none` is the same without any wall: for people who ask for it by name.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from mlgym_lite.config.allowed_hosts import NetworkMode
from mlgym_lite.errors import IsolationError, SandboxError
from mlgym_lite.isolation.confinement import landlock_abi
from mlgym_lite.isolation.landlock_plan import ROOT_VARIABLE, Confinement, plan, weakened
from mlgym_lite.isolation.limits import LimitGroup, choose_limits
from mlgym_lite.isolation.marked_folders import TEMPORARY_PREFIX
from mlgym_lite.isolation.protocol import Identity, SandboxRequest
from mlgym_lite.isolation.root_start import OwnUser
from mlgym_lite.isolation.running_sandbox import Parts, RunningSandbox, first_report
from mlgym_lite.isolation.seccomp import deputised_calls, landlock_filter
from mlgym_lite.isolation.supervisor import remove_folder
from mlgym_lite.processes import launcher_thread

logger = logging.getLogger(__name__)

_NEWEST_ABI = 7
_RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from mlgym_lite.isolation.supervisor import main; main()"


class LandlockMechanism:
    """Puts up sandboxes with landlock and a system call filter, or with `confined=False` with neither."""

    networks: tuple[NetworkMode, ...] = ("no-network", "public")  # a proxy needs a loopback of the sandbox's own

    def __init__(self, *, confined: bool = True, newest_abi: int = _NEWEST_ABI) -> None:
        """Raises IsolationError where the kernel has no landlock; `newest_abi` lowers what is used of it, for trying out."""
        self.name = "landlock" if confined else "none"
        if not confined:
            self.networks = ("public",)
        self._abi = usable_abi(newest_abi) if confined else 0
        self._limits = choose_limits()
        self.limits_name = self._limits.name
        self.weakened = weakened(self._abi, self.limits_name) if confined else ("nothing keeps the agent from this host",)

    def identity(self) -> Identity:
        """The engine's own user: there is no other."""
        return OwnUser(user_id=os.geteuid())

    def start(self, request: SandboxRequest, identity: Identity) -> RunningSandbox:
        """Start a sandbox and put it under its limits before its command runs."""
        group = self._limits.open(request.limits)
        try:
            return launcher_thread().call(lambda: self._launch(request, group), undo=RunningSandbox.close)
        except BaseException:
            group.close()
            raise

    def _confinement(self, request: SandboxRequest) -> Confinement:
        if not self._abi:
            return Confinement(abi=0, filter=None, deputised={})
        program = landlock_filter(self._abi, network=request.network != "no-network")
        return Confinement(abi=self._abi, filter=program, deputised=deputised_calls(self._abi))

    def _launch(self, request: SandboxRequest, group: LimitGroup) -> RunningSandbox:
        with contextlib.ExitStack() as stack:
            status, status_end = os.pipe()
            failed = contextlib.ExitStack()
            failed.callback(os.close, status)
            stack.enter_context(failed)
            stack.callback(os.close, status_end)
            block_end, block = os.pipe()
            lifeline_end, lifeline = os.pipe()
            failed.callback(os.close, lifeline)
            for descriptor in (block_end, block, lifeline_end):
                stack.callback(os.close, descriptor)
            root = Path(tempfile.gettempdir(), f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}")
            descriptors = {"status": status_end, "block": block_end, "lifeline": lifeline_end}
            if request.held_descriptor is not None:
                descriptors["held"] = request.held_descriptor
            try:
                content = plan(request, root, self._confinement(request), descriptors, self._most_processes(request))
                process = _spawn(stack, request, content)
            except OSError as error:
                raise SandboxError(f"the landlock supervisor does not start: {error}") from error
            try:
                group.add(process.pid)
                os.write(block, b"\0")
                report = first_report(status, request.standard_error, "the landlock supervisor")
                if "error" in report:
                    raise SandboxError(f"the landlock sandbox could not be made: {report['error']}")
            except BaseException as error:
                process.terminate()  # before its main program runs there is no root to remove, and after that it does so
                process.wait()
                if isinstance(error, OSError):
                    raise SandboxError(f"the sandbox could not be put under its limits: {error}") from error
                raise
            failed.pop_all()
            return RunningSandbox(
                Parts(
                    process=process, first=process.pid, status=status, error=request.standard_error, group=group,
                    end=lambda _: os.close(lifeline), root=str(root), after_end=lambda: _sweep(root),
                )
            )  # fmt: skip

    def _most_processes(self, request: SandboxRequest) -> int | None:
        """The kernel counts a user's processes all together, so the limit starts from what there is."""
        if self._limits.counts_processes or request.limits.processes is None:
            return None
        return request.limits.processes + _count_tasks(os.geteuid())


def usable_abi(newest: int = _NEWEST_ABI) -> int:
    """The landlock ABI to use on this host; raises IsolationError with what is missing."""
    if os.geteuid() == 0:
        raise IsolationError(
            "the landlock mechanism cannot be started by root: its sandboxes run as the user who starts them, and root's powers "
            "go past landlock. Run as an ordinary user"
        )
    abi = landlock_abi()
    if abi < 1:
        raise IsolationError(
            "this kernel has no landlock (Linux 5.13 or newer, with `landlock` among the names in /sys/kernel/security/lsm: an "
            "administrator adds it to the kernel's boot parameter lsm=)"
        )
    if landlock_filter(abi, network=False) is None:
        raise IsolationError(
            f"there is no system call filter for this machine type ({os.uname().machine}), and landlock needs one"
        )
    return min(abi, newest)


def _spawn(stack: contextlib.ExitStack, request: SandboxRequest, content: dict[str, object]) -> subprocess.Popen[bytes]:
    memory = os.memfd_create("mlgym-lite-plan")
    stack.callback(os.close, memory)
    os.write(memory, json.dumps(content).encode("utf-8", "surrogateescape"))
    os.lseek(memory, 0, os.SEEK_SET)
    descriptors = content["descriptors"]
    assert isinstance(descriptors, dict)
    package = str(Path(__file__).resolve().parents[2])
    interpreter = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    command = [interpreter, "-I", "-S", "-c", _RUN, package, str(memory)]
    logger.debug("start %s", command)
    return subprocess.Popen(
        command, env={}, cwd="/", stdin=request.standard_input, stdout=request.standard_output,
        stderr=request.standard_error, pass_fds=(memory, *descriptors.values(), *request.passed_descriptors), umask=0o022,
        start_new_session=True,
    )  # fmt: skip


def _sweep(root: Path) -> None:
    """Kill what a supervisor that was killed itself has left, told by its environment, and remove its folder."""
    if not root.exists():
        return  # the supervisor has seen to everything
    mark = os.fsencode(f"{ROOT_VARIABLE}={root}")
    while left := [process for process in Path("/proc").glob("[0-9]*") if _has_variable(process, mark)]:
        for process in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(process.name), signal.SIGKILL)
    remove_folder(str(root))


def _has_variable(process: Path, mark: bytes) -> bool:
    try:
        return mark in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _count_tasks(user_id: int) -> int:
    """How many tasks (threads) of a user there are."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid == user_id:
                count += len(list((process / "task").iterdir()))
    return count
