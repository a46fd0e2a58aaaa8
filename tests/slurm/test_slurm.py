"""A bench on a real Slurm cluster of one node: arrays, jobs that go on after a requeue, jobs that ended badly."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import Cluster, cluster
from tiny_task import TASK_TOML

from mlgym_lite import load_task
from mlgym_lite.config.data_folder import write_manifest
from mlgym_lite.shipped_files import tasks_folder

pytestmark = [pytest.mark.slurm, pytest.mark.kernel]

PLAYER = """
import json, os, sys, time
for line in sys.stdin:
    said = json.loads(line)
    {before}
    print(json.dumps({{"action": "echo " + str(2 + said["steps"]) + " > answer.txt; submit"}}), flush=True)
"""
SLOW = (
    "print(json.dumps({'action': 'touch started; while [ ! -e go ]; do sleep 0.1; done; echo gone'}), flush=True)\n"
    "sys.stdin.readline()"
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, for all tests of this file."""
    folder = tmp_path_factory.mktemp("cluster")
    folder.chmod(0o755)
    with cluster(folder) as made:
        yield made


BETTER = """
import json, pathlib, sys
said = json.loads(sys.stdin.readline())
folder = pathlib.Path({tasks!r}, said["task"], "solution")
text, program = (folder / "better.sh").read_text(), folder / "better.py"
if program.exists():
    text = f"cat > better.py <<'END_OF_FILE'\\n{{program.read_text()}}\\nEND_OF_FILE\\npython better.py"
print(json.dumps({{"action": text}}), flush=True)
sys.stdin.readline()
print(json.dumps({{"action": "submit"}}), flush=True)
"""
"""Plays a shipped task's better method."""


class Bench:
    """A bench file with its cluster."""

    def __init__(self, file: Path, running: Cluster, environment: dict[str, str]) -> None:
        self.file = file
        self.results = file.parent / f"{file.stem}-results" / "full"
        self._environment = {**environment, **running.environment, "MLGYM_LITE_CACHE": environment["MLGYM_LITE_CACHE"]}

    def call(self, command: str, *arguments: str) -> dict[str, Any]:
        """What `mlgym-lite COMMAND --json` prints."""
        line = [sys.executable, "-m", "mlgym_lite", command, str(self.file), "--json", *arguments]
        result = subprocess.run(line, env=self._environment, capture_output=True, text=True, timeout=600, check=False)
        assert result.returncode == 0, result.stderr
        content: dict[str, Any] = json.loads(result.stdout)
        return content

    def submit(self, *arguments: str) -> dict[str, str]:
        """Submit; the new jobs by their episodes' folders."""
        jobs: dict[str, str] = self.call("bench", "--executor", "slurm", *arguments)["jobs"]
        return jobs

    def counts(self) -> dict[str, int]:
        """How many episodes are in each state."""
        return {state: number for state, number in self.call("status")["counts"].items() if number}

    def wait_for(self, counts: dict[str, int]) -> None:
        """Wait until so many are in each state."""
        wait_until(lambda: self.counts() == counts, f"{counts}, not {self.counts()}")

    def report(self) -> dict[str, Any]:
        """What `mlgym-lite report --json` prints of the results."""
        line = [sys.executable, "-m", "mlgym_lite", "report", str(self.results.parent), "--json"]
        return json.loads(subprocess.run(line, capture_output=True, text=True, timeout=60, check=True).stdout)  # type: ignore[no-any-return]

    def why(self) -> str:
        """What is told of the first episode."""
        told: str = self.call("status")["episodes"][0]["why"]
        return told


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.2)


@pytest.fixture
def bench(make_task: Callable[..., Path], running: Cluster, environment: dict[str, str], tmp_path: Path) -> Callable[..., Bench]:
    """Writes a bench file beside the tiny task and a player."""
    folder = tmp_path / "my 'bench'"
    folder.mkdir()
    make_task("one").rename(folder / "one")

    def write(before: str = "pass", *, seeds: int = 1, further: str = "") -> Bench:
        (folder / "player.py").write_text(PLAYER.format(before=before), encoding="utf-8")
        file = folder / "b.toml"
        file.write_text(f'tasks = ["./one"]\nagents = ["./player.py"]\nseeds = {seeds}\n{further}', encoding="utf-8")
        return Bench(file, running, environment)

    return write


def test_an_array_runs_every_episode(bench: Callable[..., Bench]) -> None:
    """One array, a job for each; the same command submits nothing a second time; the scores are those of this machine."""
    made = bench(seeds=4, further="[slurm]\ntime_minutes = 5\nmemory_mb = 256\n")
    jobs = made.submit()
    assert len(jobs) == 4 and len({number.partition("_")[0] for number in jobs.values()}) == 1
    assert made.submit() == {}
    made.wait_for({"done": 4})
    assert made.submit() == {}
    assert {episode["score"] for episode in made.call("status")["episodes"]} == {2.0}
    result = json.loads((made.results / "one" / "player" / "seed-3" / "try-1" / "result.json").read_text(encoding="utf-8"))
    assert (result["seed"], result["ending"]["reason"]) == (3, "submitted")


def test_a_preempted_job_goes_on(bench: Callable[..., Bench], running: Cluster) -> None:
    """At the signal the episode is left as it stands, the job is requeued, and the episode goes on in the same run directory."""
    made = bench(f"said['steps'] == 0 and not said.get('before') and exec({SLOW!r})", further="[slurm]\ntime_minutes = 30\n")
    [(folder, number)] = made.submit().items()
    run = made.results.parent / folder / "try-1"
    wait_until((run / "workspace" / "started").exists, "the episode is on its way")
    assert made.counts() == {"running": 1}
    running.run("scancel", "--signal=USR2", number)
    wait_until(
        lambda: (
            "RestartCnt=1" in running.run("scontrol", "show", "job", "-o", number)
            or "Restarts=1" in running.run("scontrol", "show", "job", "-o", number)
        ),
        "requeued",
    )
    (run / "workspace" / "go").touch()
    made.wait_for({"done": 1})
    assert (run / "resumptions.jsonl").is_file() and made.call("status")["episodes"][0]["tries"] == 1


def test_a_node_that_loses_its_daemon_loses_no_episode(bench: Callable[..., Bench], running: Cluster) -> None:
    """The job runs on without slurmd, and is done when that is there again."""
    made = bench(f"said['steps'] == 0 and exec({SLOW!r})")
    [folder] = made.submit()
    run = made.results.parent / folder / "try-1"
    wait_until((run / "workspace" / "started").exists, "the episode is on its way")
    running.kill_node()
    (run / "workspace" / "go").touch()
    wait_until((run / "result.json").exists, "the episode has ended")
    running.start_node(idle=False)
    made.wait_for({"done": 1})


def test_a_job_without_enough_memory_is_told(bench: Callable[..., Bench], running: Cluster) -> None:
    """Slurm's own kill is not taken for the agent's doing."""
    eats = "held = bytearray(700 << 20); time.sleep(60)"
    made = bench(eats, further='attempts = 1\n[slurm]\nmemory_mb = 1\n[options]\nisolation = "bubblewrap"\n')
    made.submit()
    made.wait_for({"failed": 1})
    assert "killed for memory" in made.why()


def test_a_cancelled_job_is_told(bench: Callable[..., Bench], running: Cluster) -> None:
    """It failed for a reason, nothing of it is left running, and with --again it is tried anew."""
    made = bench(f"said['steps'] == 0 and exec({SLOW!r})")
    [(folder, number)] = made.submit().items()
    run = made.results.parent / folder / "try-1"
    wait_until((run / "workspace" / "started").exists, "the episode is on its way")
    running.run("scancel", number)
    wait_until(lambda: "JobState=CANCELLED" in running.run("scontrol", "show", "job", "-o", number), "cancelled")
    wait_until(lambda: made.counts() in ({"failed": 1}, {"waiting": 1}), "told")
    bench("pass")
    assert list(made.submit("--again")) == [folder]
    made.wait_for({"done": 1})


def test_an_episode_with_a_gpu_gets_one_from_slurm(bench: Callable[..., Bench], running: Cluster, tmp_path: Path) -> None:
    """Its job asks for one, Slurm names it, and the engine looks for no other; here none is real, which the episode says."""
    setup = json.dumps(f"echo $CUDA_VISIBLE_DEVICES > '{tmp_path}'/granted-$SLURM_JOB_ID")
    made = bench(seeds=2, further=f"[options]\ngpus = 1\n[slurm]\nsetup = [{setup}]\n")
    jobs = made.submit()
    wait_until(lambda: len(list(tmp_path.glob("granted-*"))) == 2, "both jobs have begun")
    assert {path.read_text(encoding="utf-8").strip() for path in tmp_path.glob("granted-*")} <= {"0", "1"}
    assert all("gpu:1" in running.run("scontrol", "show", "job", "-o", number) for number in jobs.values())
    wait_until(lambda: not {"queued", "running"} & made.counts().keys(), "both have ended")
    assert "GPU" in made.why() or made.counts() == {"done": 2}


def test_what_slurm_refuses_is_told(bench: Callable[..., Bench]) -> None:
    """With its own words."""
    made = bench(further='[slurm]\npartition = "nowhere"\n')
    with pytest.raises(AssertionError, match=r"(?s)Slurm did not take the jobs.*invalid partition"):
        made.submit()


def test_data_is_copied_to_a_node_once(bench: Callable[..., Bench], tmp_path: Path) -> None:
    """By the first job; every episode reads the copy, the requeued ones too, since it is not among what was asked for."""
    action = "grep ' /data ' /proc/self/mountinfo > mount.txt; cat /data/a.csv > answer.txt; submit"
    further = '[options]\ndata = "./data"\nisolation = "bubblewrap"\n[slurm]\nlocal_disk = "$NODE_DISK/mine"\nsetup = [{setup}]\n'
    disk = tmp_path / "a disk"
    (disk / "mine").mkdir(parents=True)
    made = bench(
        f"print(json.dumps({{'action': {action!r}}}), flush=True); sys.stdin.readline()",
        seeds=4,
        further=further.format(setup=json.dumps(f"export NODE_DISK='{disk}'")),
    )
    folder = made.file.parent
    (folder / "one" / "task.toml").write_text(
        TASK_TOML + '[metadata.mlgym_lite.data]\nprepare = "prepare.py"\n', encoding="utf-8"
    )
    (folder / "one" / "prepare.py").write_text("", encoding="utf-8")
    (folder / "data" / "one" / "agent").mkdir(parents=True)
    (folder / "data" / "one" / "agent" / "a.csv").write_text("7", encoding="utf-8")
    write_manifest(folder / "data" / "one", None)
    made.submit()
    made.wait_for({"done": 4})
    assert {episode["score"] for episode in made.call("status")["episodes"]} == {7.0}
    logs = [log.read_text(encoding="utf-8") for log in made.results.rglob("try-1.log")]
    assert len(logs) == 4 and sum("once for this node" in log for log in logs) == 1
    mounts = [mount.read_text(encoding="utf-8") for mount in made.results.rglob("workspace/mount.txt")]
    assert len(mounts) == 4 and all("/mine/mlgym-lite-data-" in mount for mount in mounts)


_ALL_SCORED = {"read": 32, "scored": 32, "unfinished": 0, "planned_only": 0, "unreadable": 0}


def test_the_scores_are_those_of_this_machine(tmp_path: Path, running: Cluster, environment: dict[str, str]) -> None:
    """Four of MLGym-Bench's tasks, two agents, four seeds, here and on the cluster: each within what its grading varies by."""
    names = ("battle_of_sexes", "colonel_blotto", "house_price", "prisoners_dilemma")
    (tmp_path / "better.py").write_text(BETTER.format(tasks=str(tasks_folder())), encoding="utf-8")
    content = f'tasks = {json.dumps(names)}\nagents = ["baseline", "./better.py"]\nseeds = 4\nvariant = "mini"\n'
    benches = {}
    for executor in ("local", "slurm"):
        file = tmp_path / f"{executor}.toml"
        file.write_text(f"{content}[slurm]\nat_once = 4\n", encoding="utf-8")
        benches[executor] = Bench(file, running, environment)
        benches[executor].call("bench", "--executor", executor)
    wait_until(lambda: len(list(tmp_path.glob("slurm-results/mini/*/*/*/try-1/result.json"))) == 32, "all have a result")
    benches["slurm"].wait_for({"done": 32})
    reports = {executor: made.report() for executor, made in benches.items()}
    assert all(report["runs"] == _ALL_SCORED for report in reports.values())
    for name in names:
        noise = load_task(name).score_noise("mini")
        here, there = (reports[executor]["scores"][name]["methods"] for executor in ("local", "slurm"))
        assert set(here) == set(there) == {"baseline, run here", "better"}
        for method in here:
            one, other = (side[method]["mean_submission"]["mean"] for side in (here, there))
            assert one == pytest.approx(other, abs=noise), (name, method)
        assert here["better"]["better_than_baseline"] == 4
