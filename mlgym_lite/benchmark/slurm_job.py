"""One episode of a bench as a job of Slurm's: begun, or gone on with where an earlier life of the job was preempted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mlgym_lite.background import BackgroundProgram
from mlgym_lite.benchmark.plan import PlannedEpisode
from mlgym_lite.benchmark.tries import end_try, go_on_or_begin
from mlgym_lite.isolation.waiting import readable


class EpisodeJob:
    """What submitit runs in a job, and asks for its state before the job is preempted or its time is over.

    The state lies in the run directory already, after every step. So the running episode is just killed, and the requeued job
    goes on with it. Interrupting it would end it.
    """

    def __init__(self, results: Path, episode: PlannedEpisode, local_disk: str | None) -> None:
        self._results = results
        self._episode = episode
        self._local_disk = local_disk
        self._program: BackgroundProgram | None = None

    def __getstate__(self) -> dict[str, Any]:
        """A job travels as a file, without what runs."""
        return {**self.__dict__, "_program": None}

    def __call__(self) -> int:
        """Run the episode to its end; the exit status of `mlgym-lite run` or `resume`."""
        folder = self._results / self._episode.folder
        number, command = go_on_or_begin(self._results, self._episode)
        self._program = BackgroundProgram(command, folder / f"try-{number}.log", self._environment())
        while (status := self._program.exit_status()) is None:
            readable([self._program.descriptor], None)
        end_try(folder, number, status)
        return status

    def _environment(self) -> dict[str, str]:
        """The node's, with where data is copied to."""
        return {**os.environ, **({} if self._local_disk is None else {"MLGYM_LITE_LOCAL_DISK": self._local_disk})}

    def checkpoint(self) -> Any:
        """The job again, for submitit to requeue; raises nothing."""
        import submitit

        if self._program is not None:
            self._program.kill()
        return submitit.helpers.DelayedSubmission(EpisodeJob(self._results, self._episode, self._local_disk))
