"""A bench on a Slurm cluster, through submitit: an array for the episodes that need the same, a job for each episode.

Jobs are left to themselves: result files decide what is done, and Slurm is asked only about jobs that have no result yet, since
many clusters keep no accounts. Each episode's folder holds the number of its last job (job.json).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlgym_lite.benchmark.plan import Plan, PlannedEpisode, write_plan
from mlgym_lite.benchmark.slurm_job import EpisodeJob
from mlgym_lite.benchmark.tries import Standing, check_commands, read_json, standings_of, write_json
from mlgym_lite.errors import BenchError
from mlgym_lite.processes import run_program

JOB = "job.json"
_JOBS = ".jobs"
"""Below the results: what submitit keeps of each job, its output among it."""
_SLURM_SECONDS = 30.0
_SPARE_MINUTES = 10
_WITHOUT_LIMIT_MINUTES = 24 * 60
_MOST_TIMEOUTS = 5
_WORDS = {
    "OUT_OF_MEMORY": "the job was killed for memory: slurm.memory_mb is what it has beside the episode's own",
    "TIMEOUT": "the job's time was over: slurm.time_minutes",
    "NODE_FAIL": "its node failed",
    "CANCELLED": "the job was cancelled",
    "PREEMPTED": "the job was preempted",
}
"""What happened to a job without a result, by the state that Slurm tells."""
_KILLED_FOR_MEMORY = re.compile("exceeded (job )?memory limit|oom.kill|out.of.memory", re.IGNORECASE)
_PASSING = ("NODE_FAIL", "PREEMPTED", "TIMEOUT")


def submit_bench(plan: Plan, *, again: bool = False) -> dict[str, str]:
    """Submit every episode that has no result and no job; the new jobs' numbers by the episodes' folders.

    Raises:
        BenchError: There is no Slurm here, sbatch refuses, or a folder is of another bench.
    """
    write_plan(plan)
    waiting = episodes_to_run(plan, standings_of(plan), again=again)
    numbers: dict[str, str] = {}
    for needs, episodes in _alike(waiting).items():
        numbers |= _submit_array(plan, needs, episodes)
    return numbers


def episodes_to_run(plan: Plan, standings: Mapping[str, Standing], *, again: bool) -> list[PlannedEpisode]:
    """Those that have neither a result nor a job, and with `again` those that failed.

    Raises:
        BenchError: A folder is of another bench.
    """
    check_commands(plan)
    wanted = ("waiting", "failed") if again else ("waiting",)
    left = [episode for episode in plan.episodes if standings[episode.folder].state in wanted]
    states = job_states(plan, [episode.folder for episode in left])
    return [episode for episode in left if states.get(episode.folder) not in ALIVE]


ALIVE = ("PENDING", "RUNNING", "REQUEUED", "SUSPENDED", "COMPLETING", "CONFIGURING")
_Needs = tuple[float, int, int, "float | None"]


def _alike(episodes: Sequence[PlannedEpisode]) -> dict[_Needs, list[PlannedEpisode]]:
    """Episodes by what a job of theirs needs: one array has one size of job."""
    grouped: dict[_Needs, list[PlannedEpisode]] = {}
    for episode in episodes:
        needs = (episode.cpus, episode.memory_bytes, episode.gpus, episode.most_seconds)
        grouped.setdefault(needs, []).append(episode)
    return grouped


def _submit_array(plan: Plan, needs: _Needs, episodes: Sequence[PlannedEpisode]) -> dict[str, str]:
    try:
        import submitit
    except ImportError as error:
        raise BenchError("Slurm needs the extra `slurm`: pip install 'mlgym-lite[slurm]'") from error
    jobs_folder = plan.results / _JOBS
    try:
        executor = submitit.SlurmExecutor(folder=jobs_folder, max_num_timeout=_MOST_TIMEOUTS)
        executor.update_parameters(**job_options(plan, needs))
        with executor.batch():
            jobs = [executor.submit(EpisodeJob(plan.results, episode, plan.bench.slurm.local_disk)) for episode in episodes]
    except Exception as error:  # submitit tells what sbatch said in errors of several kinds
        raise BenchError(f"Slurm did not take the jobs: {str(error).strip()[-600:]}") from error
    numbers = {episode.folder: str(job.job_id) for episode, job in zip(episodes, jobs, strict=True)}
    for folder, number in numbers.items():
        (plan.results / folder).mkdir(parents=True, exist_ok=True)
        write_json(plan.results / folder / JOB, {"job": number})
    return numbers


def job_options(plan: Plan, needs: _Needs) -> dict[str, Any]:
    """What submitit is told of a job."""
    cpus, memory_bytes, gpus, seconds = needs
    slurm = plan.bench.slurm
    minutes = _WITHOUT_LIMIT_MINUTES if seconds is None else math.ceil(seconds / 60) + _SPARE_MINUTES
    options = {
        "job_name": f"mlgym-lite-{plan.file.stem}"[:64],
        "time": slurm.time_minutes or minutes,
        "cpus_per_task": math.ceil(cpus),
        "mem": f"{(memory_bytes >> 20) + slurm.memory_mb}MB",
        "gres": f"gpu:{gpus}" if gpus else None,
        "array_parallelism": slurm.at_once,
        "setup": slurm.setup or None,
        "stderr_to_stdout": True,
        "partition": slurm.partition,
        "account": slurm.account,
        "qos": slurm.qos,
        "constraint": slurm.constraint,
        "additional_parameters": slurm.further or None,
    }
    return {key: value for key, value in options.items() if value is not None}


def job_states(plan: Plan, folders: Iterable[str]) -> dict[str, str]:
    """What Slurm says of the jobs of episodes, by their folders; jobs that it no longer knows are left out.

    Each job that has ended is asked for by a program of its own: name only episodes that have no result.
    """
    numbers = {folder: number for folder in folders if (number := _job_number(plan.results / folder)) is not None}
    if not numbers:
        return {}
    known = _queued()
    return {folder: state for folder, number in numbers.items() if (state := known.get(number) or _ended_state(number))}


def why_without_result(plan: Plan, folder: str, state: str) -> str:
    """What happened to a job that has ended without a result, by its state and, for what it was killed for, its log."""
    try:
        log = (plan.results / _JOBS / f"{_job_number(plan.results / folder)}_0_log.out").read_text(errors="replace")
    except OSError:
        log = ""
    known = "OUT_OF_MEMORY" if _KILLED_FOR_MEMORY.search(log) else state
    return _WORDS.get(known, f"the job ended as {state}")


def can_pass(state: str) -> bool:
    """Whether another try of a job that ended so may have a result."""
    return state in _PASSING


def _job_number(folder: Path) -> str | None:
    number = (read_json(folder / JOB) or {}).get("job")
    return None if number is None else str(number)


def _queued() -> dict[str, str]:
    """Jobs that wait or run, by their numbers."""
    told = _slurm(["squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i|%T"])
    return dict(line.split("|", 1) for line in told.splitlines() if "|" in line)


def _ended_state(number: str) -> str | None:
    """Of a job that has ended not long ago."""
    found = re.search(r"\bJobState=(\w+)", _slurm(["scontrol", "--oneliner", "show", "job", number]))
    return found[1] if found else None


def _slurm(command: Sequence[str]) -> str:
    """What a program of Slurm's prints; nothing where it fails, as for forgotten jobs, or is not there, as on a laptop."""
    try:
        result = run_program(list(command), timeout_seconds=_SLURM_SECONDS)
    except (OSError, TimeoutError):
        return ""
    return result.output if result.status == 0 else ""
