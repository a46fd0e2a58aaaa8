"""What the sandboxes of one episode show: the agent's, the judge's and the player's, as complete requests.

Everything that is the same for every sandbox of an episode is gathered once in `EpisodeSandboxes`; each method then adds what
is particular to one role. The judge and the player get layers of their own, which the agent never sees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlgym_lite.config.data_folder import DataTrees
from mlgym_lite.config.network_grant import Network
from mlgym_lite.config.sandbox_profile import SandboxProfile
from mlgym_lite.config.task_file import WORKSPACE, Task, Variant
from mlgym_lite.episode.network import network_command, network_environment, network_mounts
from mlgym_lite.isolation.gpu_access import GpuAccess
from mlgym_lite.isolation.protocol import Limits, Mechanism, Mount, SandboxRequest
from mlgym_lite.isolation.toolkit import INSIDE as TOOLS
from mlgym_lite.isolation.toolkit import open_to_all, readable_folder, toolkit
from mlgym_lite.isolation.virtual_environments import (
    INSIDE_VENV,
    BaseEnvironment,
    make_layer,
    search_path,
)

_JUDGE_MEMORY_BYTES = 4 << 30
_LOG_BYTES = 64 << 20
_NO_DESCRIPTOR = -1


@dataclass(frozen=True, kw_only=True)
class EpisodeSandboxes:
    """The parts that an episode's sandboxes are made of."""

    task: Task
    variant: Variant
    seed: int
    mechanism: Mechanism
    profile: SandboxProfile
    limits: Limits
    base: BaseEnvironment
    grader_base: BaseEnvironment
    data: DataTrees
    cache: Path
    task_environment: Mapping[str, str]
    grader_environment: Mapping[str, str]
    network: Network
    """The agent's; the judge and the player have none."""
    further_mounts: tuple[Mount, ...] = ()
    wheelhouse: Path | None = None
    gpus: GpuAccess = field(default_factory=GpuAccess)
    """The agent's and the player's; the judge has none."""

    def agent_request(self, workspace: Path, venv: Path, proxy: Path | None = None) -> SandboxRequest:
        """The agent's sandbox, but for the shell and its descriptors; `proxy` is the folder of the network proxy's socket."""
        kit = toolkit(self.cache, self.base.interpreter.version) / "agent"
        wheelhouse = None if self.wheelhouse is None else readable_folder(self.wheelhouse, self.cache)
        mounts = [*self._shared_mounts(self.base), *self.further_mounts]
        mounts += [Mount(source=kit / name, target=f"{TOOLS}/{name}") for name in ("bin", "lib")]
        if self.data.agent is not None:
            mounts.append(Mount(source=readable_folder(self.data.agent, self.cache), target="/data"))
        mounts += network_mounts(proxy, wheelhouse, kit)
        mounts.append(Mount(source=venv, target=INSIDE_VENV, writable=True))
        mounts.append(Mount(source=workspace, target=WORKSPACE, writable=True))
        environment = {
            **self._shared_environment(self.base, tools=f"{TOOLS}/bin"),
            "MLGYM_LITE_TASK": self.task.name,
            "MLGYM_LITE_VARIANT": self.variant,
            "MLGYM_LITE_SEED": str(self.seed),
            "MLGYM_LITE_PYTHON": str(self.base.interpreter.program),
            **network_environment(self.network, wheelhouse),
            **self.profile.env,
            **self.task_environment,
        }
        command = network_command(proxy, self.base.interpreter.program)
        request = replace(self._request(command, mounts, environment, WORKSPACE, self.limits), network=self.network.mode)
        kits = (Mount(source=kit / "gpu", target=f"{TOOLS}/gpu"),) if self.gpus.gpus else ()
        return self._with_gpus(request, kits)

    def _with_gpus(self, request: SandboxRequest, kits: tuple[Mount, ...] = ()) -> SandboxRequest:
        """The request with the episode's GPUs, or with the word that there are none."""
        return replace(
            request,
            mounts=(*self.gpus.mounts, *kits, *request.mounts),
            devices=self.gpus.devices,
            environment={**request.environment, **self.gpus.variables},
            held_descriptor=self.gpus.lease.descriptor if self.gpus.lease else None,
        )

    def judge_request(
        self, layer: Path, submission: Path, verdict: Path, variables: Mapping[str, str], log: int, nothing: int
    ) -> SandboxRequest:
        """The judge's sandbox: the task's tests, the hidden data and the submission, all read-only but the verdict."""
        tests = readable_folder(self.task.own_folder / "tests", self.cache)
        kit = toolkit(self.cache, self.grader_base.interpreter.version) / "judge"
        mounts = [
            *self._shared_mounts(self.grader_base),
            Mount(source=kit, target=f"{TOOLS}/judge"),
            Mount(source=tests, target="/tests"),
            Mount(source=submission, target="/submission"),
            Mount(source=layer, target=INSIDE_VENV),
            Mount(source=verdict, target="/logs/verifier", writable=True),
        ]
        for tree, target in ((self.data.agent, "/data"), (self.data.judge, "/hidden")):
            if tree is not None:
                mounts.append(Mount(source=readable_folder(tree, self.cache), target=target))
        environment = {
            **self._shared_environment(self.grader_base),
            "MLGYM_LITE_TASK": self.task.name,
            "MLGYM_LITE_VARIANT": self.variant,
            "MLGYM_LITE_SCORING": self.task.scoring,
            "MLGYM_LITE_PYTHON": f"{INSIDE_VENV}/bin/python",
            **GpuAccess().variables,
            **self.grader_environment,
            **variables,
        }
        limits = _with_memory(self.limits, max(self.limits.memory_bytes or 0, _JUDGE_MEMORY_BYTES))
        command = ("/bin/bash", "/tests/test.sh")
        return self._request(command, mounts, environment, "/logs/verifier", limits, log, nothing)

    def player_request(
        self, layer: Path, submission: Path, variables: Mapping[str, str], log: int, nothing: int
    ) -> SandboxRequest:
        """The player's sandbox: the agent's files and the program that plays them; nothing hidden, nothing writable."""
        player = self.task.file.metadata.mlgym_lite.player
        assert player is not None
        program = self.task.path(player.program)
        kit = toolkit(self.cache, self.base.interpreter.version) / "player"
        shown = readable_folder(program.parent, self.cache) / program.name
        mounts = [
            *self._shared_mounts(self.base),
            Mount(source=kit, target=f"{TOOLS}/player"),
            Mount(source=shown, target="/player/player.py"),
            Mount(source=submission, target="/submission"),
            Mount(source=layer, target=INSIDE_VENV),
        ]
        if player.data and self.data.agent is not None:
            mounts.append(Mount(source=readable_folder(self.data.agent, self.cache), target="/data"))
        python = f"{INSIDE_VENV}/bin/python"
        environment = {
            **self._shared_environment(self.base),
            "MLGYM_LITE_PYTHON": python,
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            **variables,
        }
        command = (python, "/player/player.py")
        return self._with_gpus(self._request(command, mounts, environment, "/submission", self.limits, log, nothing))

    def make_grading_layers(self, folder: Path) -> None:
        """The judge's and the player's virtual environments, in judge/ and player/ below a folder."""
        for name, base in (("judge", self.grader_base), ("player", self.base)):
            (folder / name).mkdir()
            make_layer(folder / name, base, (f"{TOOLS}/{name}",))
        open_to_all(folder)

    def _shared_mounts(self, base: BaseEnvironment) -> list[Mount]:
        further = [Mount(source=Path(path), target=path) for path in self.profile.read_only]
        return [*base.mounts(), *further]

    def _shared_environment(self, base: BaseEnvironment, tools: str | None = None) -> dict[str, str]:
        # A control group's share of the CPUs is not seen by libraries, which start a thread for each CPU of the host. A
        # thread that spins while it waits keeps the one it waits for from running where CPUs are shared: tried, 30 times slower.
        threads = {"OMP_WAIT_POLICY": "passive"}
        if self.limits.cpus:
            threads["OMP_NUM_THREADS"] = str(math.ceil(self.limits.cpus))
        return {
            "PATH": search_path(base, tools=tools),
            "HOME": "/home/agent",
            "USER": "agent",
            "LANG": "C.UTF-8",
            "TMPDIR": "/tmp",
            "TERM": "dumb",
            "VIRTUAL_ENV": INSIDE_VENV,
            "MLGYM_LITE_ROOT": "",
            **threads,
        }

    @staticmethod
    def _request(
        command: tuple[str, ...],
        mounts: Sequence[Mount],
        environment: Mapping[str, str],
        directory: str,
        limits: Limits,
        log: int = _NO_DESCRIPTOR,
        nothing: int = _NO_DESCRIPTOR,
    ) -> SandboxRequest:
        return SandboxRequest(
            command=command, mounts=tuple(mounts), environment=environment, working_directory=directory, limits=limits,
            standard_input=nothing, standard_output=log, standard_error=log,
        )  # fmt: skip


def _with_memory(limits: Limits, memory_bytes: int) -> Limits:
    return Limits(
        memory_bytes=memory_bytes, cpus=limits.cpus, processes=limits.processes, open_files=limits.open_files,
        file_bytes=max(limits.file_bytes or 0, _LOG_BYTES), temporary_bytes=limits.temporary_bytes,
    )  # fmt: skip
