"""A cluster of one node on loopback: munged, slurmctld and slurmd of this user, in a private folder; no systemd."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
_PATH = "/usr/sbin:/sbin:" + os.environ.get("PATH", "/usr/bin:/bin")
_CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge/sock,cred_expire=5
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,sched_min_interval=0
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=600
JobRequeue=1
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE DefMemPerCPU=256 State=UP
"""
_GPUS = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"
"""Two that Slurm hands out; what they are it never looks at."""


def missing_programs() -> list[str]:
    """Which of the cluster's programs are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running cluster."""

    folder: Path
    environment: dict[str, str]
    """With which its programs find it."""

    def run(self, *command: str) -> str:
        """What one of its programs prints."""
        result = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0, (command, result.stdout, result.stderr)
        return result.stdout

    def kill_node(self) -> None:
        """What a node does that fails: its slurmd is gone, without a word."""
        os.kill(int((self.folder / "slurmd.pid").read_text()), signal.SIGKILL)

    def start_node(self, *, idle: bool = True) -> None:
        """Start slurmd, and wait until the node can be used, or even is idle."""
        subprocess.run(["slurmd"], env=self.environment, check=True, capture_output=True, timeout=60)
        states = (" State=IDLE ",) if idle else (" State=IDLE ", " State=MIXED ", " State=ALLOCATED ")
        _wait_until(lambda: any(state in self.run("scontrol", "show", "node", "-o") for state in states), "the node is there")


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start it, and end it with everything that runs on it."""
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o700 if name != "spool" else 0o755)
    (folder / "munge").chmod(0o700)
    (folder / "munge" / "key").write_bytes(os.urandom(1024))
    (folder / "munge" / "key").chmod(0o600)
    environment = {**os.environ, "PATH": _PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    host = socket.gethostname().partition(".")[0]
    told = subprocess.run(["slurmd", "-C"], env=environment, capture_output=True, text=True, check=False).stdout
    memory = re.search(r"RealMemory=(\d+)", told)
    (folder / "slurm.conf").write_text(
        _CONFIGURATION.format(
            host=host, folder=folder, user=getpass.getuser(), ports=_free_ports(), memory=memory[1] if memory else "4096"
        )
    )
    (folder / "gres.conf").write_text(_GPUS)
    made = Cluster(folder=folder, environment=environment)
    try:
        _start_munge(folder, environment)
        subprocess.run(["slurmctld", "-i"], env=environment, check=True, capture_output=True, timeout=60)
        _wait_until(lambda: "UP" in made.run("scontrol", "ping"), "slurmctld answers")
        made.start_node()
        yield made
    finally:
        _stop(made)


def _start_munge(folder: Path, environment: dict[str, str]) -> None:
    place = folder / "munge"
    files = {"key-file": "key", "socket": "sock", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    options = [f"--{name}={place / file}" for name, file in files.items()]
    subprocess.run(
        ["munged", "--force", "--num-threads=2", *options], env=environment, check=True, capture_output=True, timeout=60
    )
    place.chmod(0o755)


def _stop(made: Cluster) -> None:
    with contextlib.suppress(AssertionError, OSError, subprocess.TimeoutExpired):
        made.run("scancel", f"--user={getpass.getuser()}")
        _wait_until(lambda: not made.run("squeue", "--noheader").strip(), "no job runs")
    for name in ("slurmd.pid", "slurmctld.pid", "munge/pid"):
        with contextlib.suppress(OSError, ValueError):
            process = int((made.folder / name).read_text())
            os.kill(process, signal.SIGTERM)
            _wait_until(lambda process=process: not Path(f"/proc/{process}").exists(), f"{name} has ended")  # type: ignore[misc]


def _free_ports() -> list[int]:
    held = [socket.socket() for _ in range(2)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def _wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(AssertionError):
            if condition():
                return
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.1)
