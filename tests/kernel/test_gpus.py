"""GPUs of an episode: leased among the node's runs, shown alone, tried before the first step. The driver is a fake one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from fake_driver import UUIDS, cuda_library, fake_driver
from tiny_task import TASK_TOML

import mlgym_lite
from mlgym_lite import Episode
from mlgym_lite.config.run_settings import IsolationChoice, RunSettings
from mlgym_lite.errors import IsolationError, LimitError
from mlgym_lite.isolation import gpu_access
from mlgym_lite.isolation.gpu_access import lease_gpus
from mlgym_lite.isolation.gpu_discovery import GpuHost
from mlgym_lite.isolation.gpu_watch import GpuWatch

GPU_TOML = TASK_TOML.replace("memory_mb = 512", "memory_mb = 512\ngpus = 1")
WAIT_SECONDS = 20.0
Open = Callable[..., Episode]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a sandbox's user can read when root makes it."""
    with tempfile.TemporaryDirectory(prefix="mlgym-lite-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def host(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> GpuHost:
    """A fake driver with three GPUs."""
    found = fake_driver(open_folder / "host")
    monkeypatch.setattr(gpu_access, "GpuHost", lambda: found)
    monkeypatch.setenv("PATH", f"{open_folder / 'host' / 'bin'}:{os.environ['PATH']}")
    return found


@pytest.fixture
def variables(environment: dict[str, str], host: GpuHost, open_folder: Path) -> dict[str, str]:
    """The engine's environment: leases of this test's own, and a CUDA library that works."""
    libraries = cuda_library(open_folder / "cuda")
    return {**environment, "MLGYM_LITE_GPU_LEASES": str(open_folder / "leases"), "LD_LIBRARY_PATH": str(libraries)}


@pytest.fixture
def open_episode(
    make_task: Callable[..., Path], variables: dict[str, str], tmp_path: Path, mechanism: IsolationChoice
) -> Iterator[Open]:
    """Opens episodes that lease GPUs."""
    with contextlib.ExitStack() as stack:

        def open_one(name: str = "run", gpus: int | None = None, **further: str) -> Episode:
            settings = RunSettings(output=tmp_path / name, gpus=gpus, isolation=mechanism)
            task = mlgym_lite.load_task(make_task(toml=GPU_TOML))
            return stack.enter_context(Episode(task, settings=settings, environment={**variables, **further}))

        yield open_one


NODES = "cd /dev; for n in nvidia* nvidia-caps/*; do [ -e $n ] && echo $n; done; true"


@pytest.mark.kernel
def test_only_the_leased_nodes_are_shown(make_task: Callable[..., Path], variables: dict[str, str], tmp_path: Path) -> None:
    """With one GPU leased its node and the shared ones are there, writable; without GPUs there is none of them."""
    for count, expected in ((1, "nvidia-uvm\nnvidia-uvm-tools\nnvidia2\nnvidiactl\n"), (0, "")):
        settings = RunSettings(output=tmp_path / f"run {count}", gpus=count)
        with Episode(mlgym_lite.load_task(make_task(toml=GPU_TOML)), settings=settings, environment=variables) as episode:
            assert episode.step(NODES).observation == expected
            if count:
                assert episode.step("echo x > /dev/nvidia2 && echo written; mknod /dev/nvidia0 c 1 3").observation.startswith(
                    "written\n"
                )


def test_the_variables_name_the_leased_gpus(open_episode: Open) -> None:
    """CUDA_VISIBLE_DEVICES inside holds UUIDs, whose meaning does not depend on how many GPUs are seen."""
    episode = open_episode(gpus=2)
    step = episode.step("echo $CUDA_VISIBLE_DEVICES $CUDA_DEVICE_ORDER $NVIDIA_VISIBLE_DEVICES")
    assert step.observation == f"{UUIDS[0]},{UUIDS[1]} PCI_BUS_ID {UUIDS[0]},{UUIDS[1]}\n"
    run = json.loads((episode.run_directory / "run.json").read_text(encoding="utf-8"))
    assert [gpu["uuid"] for gpu in run["gpus"]] == list(UUIDS[:2])
    assert episode.submit().result["resources"]["gpu_seconds"] > 0


def test_without_gpus_cuda_sees_none(open_episode: Open) -> None:
    """Without GPUs the variable says that there are none, rather than nothing."""
    assert (
        open_episode(gpus=0).step("env | grep VISIBLE | sort").observation
        == "CUDA_VISIBLE_DEVICES=\nNVIDIA_VISIBLE_DEVICES=none\n"
    )


def test_an_outer_choice_is_honoured(open_episode: Open) -> None:
    """What CUDA_VISIBLE_DEVICES grants to the engine is all that an episode gets of GPUs."""
    assert open_episode(CUDA_VISIBLE_DEVICES="2").step("echo $CUDA_VISIBLE_DEVICES").observation == f"{UUIDS[2]}\n"
    with pytest.raises(LimitError, match="CUDA_VISIBLE_DEVICES=2 leaves no more"):
        open_episode("other", gpus=2, CUDA_VISIBLE_DEVICES="2")


def test_a_fork_has_gpus_of_its_own(open_episode: Open, variables: dict[str, str], tmp_path: Path) -> None:
    """A fork leases anew, and its variables name its own GPUs and not those of where it came from."""
    snapshot = open_episode("first").snapshot()
    with Episode.fork(snapshot, environment=variables, settings=replace(snapshot.settings, output=tmp_path / "fork")) as fork:
        assert fork.step("echo $CUDA_VISIBLE_DEVICES $NVIDIA_VISIBLE_DEVICES").observation == f"{UUIDS[1]} {UUIDS[1]}\n"


def test_two_runs_share_the_gpus_out(open_episode: Open, tmp_path: Path) -> None:
    """Runs at the same time have different GPUs; one too many is refused before its run directory exists; an end frees them."""
    first, second = open_episode("first", gpus=1), open_episode("second", gpus=2)
    shown = first.step("echo $CUDA_VISIBLE_DEVICES").observation + second.step("echo $CUDA_VISIBLE_DEVICES").observation
    assert sorted(shown.replace("\n", ",").strip(",").split(",")) == list(UUIDS)
    with pytest.raises(LimitError, match="1 GPUs are wanted and 0 of 3 are free"):
        open_episode("third")
    assert not (tmp_path / "third").exists()
    second.close()
    assert open_episode("fourth", gpus=2).step("true").exit_status == 0


@pytest.mark.parametrize(("fault", "told"), [
    ({"status": 100}, "cuInit failed: CUDA_ERROR_NO_DEVICE"), ({"missing": 1}, "CUDA sees 0 GPUs, and 1 are leased"),
    ({"wrong": 1}, "gave back other numbers"),
])  # fmt: skip
def test_a_gpu_that_does_not_compute_ends_the_episode(
    open_episode: Open, open_folder: Path, tmp_path: Path, fault: dict[str, int], told: str
) -> None:
    """An operation on the GPU inside the sandbox is tried before the first step, and its failure is loud."""
    with pytest.raises(IsolationError, match=f"(?s){told}.*--gpus 0"):
        open_episode(LD_LIBRARY_PATH=str(cuda_library(open_folder / "broken", **fault)))
    assert json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["ending"]["fault"] == "us"


def test_a_missing_library_is_told(open_episode: Open, tmp_path: Path) -> None:
    """A driver without its library is told, and not passed over."""
    with pytest.raises(IsolationError, match="library cannot be loaded"):
        open_episode(LD_LIBRARY_PATH=str(tmp_path))


ENGINE = (
    "import sys; sys.path.insert(0, sys.argv[4]); from pathlib import Path\n"
    "import mlgym_lite; from mlgym_lite.config.run_settings import RunSettings\n"
    "from mlgym_lite.isolation import gpu_access; from mlgym_lite.isolation.gpu_discovery import GpuHost\n"
    "found = GpuHost(devices=Path(sys.argv[3], 'dev'), driver=Path(sys.argv[3], 'driver')); gpu_access.GpuHost = lambda: found\n"
    "settings = RunSettings(output=Path(sys.argv[2]), gpus=3, isolation=sys.argv[5])\n"
    "e = mlgym_lite.Episode(mlgym_lite.load_task(sys.argv[1]), settings=settings)\n"
    "e.reset(); print('ready', flush=True); e.step('exec sleep 3210')\n"
)


def test_a_lease_lasts_as_long_as_its_sandbox(
    make_task: Callable[..., Path], variables: dict[str, str], host: GpuHost, tmp_path: Path, mechanism: IsolationChoice
) -> None:
    """After kill -9 of an engine its GPUs are free once its sandbox is gone, and not while that lives."""
    command = [
        sys.executable,
        "-c",
        ENGINE,
        str(make_task(toml=GPU_TOML)),
        str(tmp_path / "run"),
        str(host.devices.parent),
        "",
        mechanism,
    ]
    engine = subprocess.Popen(command, env={**variables, "PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, text=True)
    try:
        assert engine.stdout is not None and engine.stdout.readline() == "ready\n"
        outermost = [child for child in psutil.Process(engine.pid).children() if child.children()]
        for process in outermost:
            process.send_signal(signal.SIGSTOP)
        engine.kill()
        engine.wait()
        if mechanism == "landlock":  # bwrap is killed by the kernel even where it is stopped
            with pytest.raises(LimitError, match="0 of 3 are free"):
                lease_gpus(1, variables)
        for process in outermost:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
        deadline, pause = time.monotonic() + WAIT_SECONDS, threading.Event()
        while True:
            with contextlib.suppress(LimitError):
                access = lease_gpus(3, variables)
                break
            assert time.monotonic() < deadline
            pause.wait(0.05)
        assert access.lease is not None
        access.lease.close()
    finally:
        engine.kill()
        engine.wait()
        assert engine.stdout is not None
        engine.stdout.close()


def test_the_agent_does_not_hold_the_lease(open_episode: Open, variables: dict[str, str]) -> None:
    """No process of the agent's has a descriptor through which the lease could be given up."""
    episode = open_episode(gpus=3)
    assert "leases" not in episode.step("ls -l /proc/self/fd /proc/$$/fd /proc/1/fd 2>/dev/null").observation
    with pytest.raises(LimitError):
        lease_gpus(1, variables)


def test_racing_runs_never_share_a_gpu(variables: dict[str, str], host: GpuHost) -> None:
    """Many takers at once get each GPU at most once."""
    taken: list[str] = []
    start = threading.Barrier(8)
    leases = []

    def take() -> None:
        start.wait()
        with contextlib.suppress(LimitError):
            access = lease_gpus(1, variables)
            taken.append(access.gpus[0].uuid)
            leases.append(access.lease)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(UUIDS)
    for lease in leases:
        assert lease is not None
        lease.close()


def test_another_user_meets_the_same_leases(variables: dict[str, str], host: GpuHost) -> None:
    """A lease of one user holds for another, who opens the same file without owning it."""
    if os.geteuid() != 0:
        pytest.skip("only root can be two users")
    access = lease_gpus(3, variables)
    pid = os.fork()
    if pid == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            lease_gpus(1, variables)
        except LimitError as error:
            os._exit(7 if "0 of 3 are free" in str(error) else 8)
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert access.lease is not None
    access.lease.close()


def test_leases_on_a_link_are_refused(variables: dict[str, str], host: GpuHost, tmp_path: Path) -> None:
    """A folder of leases that is a link to somewhere is not used."""
    (tmp_path / "aim").mkdir()
    (tmp_path / "link").symlink_to("aim")
    with pytest.raises(LimitError, match="MLGYM_LITE_GPU_LEASES"):
        lease_gpus(1, {**variables, "MLGYM_LITE_GPU_LEASES": str(tmp_path / "link")})


def test_the_soft_cap_kills_the_largest(open_episode: Open) -> None:
    """A process over the cap on GPU memory is killed within a look or two; one under it lives."""
    episode = open_episode()
    episode.step("sleep 3219 & sleep 3218 & until [ $(pgrep -c sleep) -ge 2 ]; do :; done")
    sandbox = episode._agent_shell.current.sandbox  # type: ignore[union-attr]
    processes = {" ".join(psutil.Process(number).cmdline()): number for number in sandbox.process_ids()}
    used = {processes["sleep 3219"]: 3 << 30, processes["sleep 3218"]: 1 << 20}
    watch = GpuWatch(sandbox, 2 << 30, lambda: {pid: size for pid, size in used.items() if psutil.pid_exists(pid)})
    try:
        psutil.wait_procs([psutil.Process(processes["sleep 3219"])], WAIT_SECONDS)
        assert watch.kills >= 1
        assert psutil.pid_exists(processes["sleep 3218"])
    finally:
        watch.close()
