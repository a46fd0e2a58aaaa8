"""Every error the project raises on purpose, as one tree; each leaf has an exit code of its own.

MLGymLiteError                    1
├── TaskError                     3   a task file or folder cannot be used
├── DataError                     4   a task's data is missing or not what its checksum says
├── IsolationError                5   no sandbox can be put up on this host
├── EnvironmentBuildError         6   a base environment cannot be built or found
├── OutputError                   7   the run directory cannot be made or written (space, rights, already there)
├── ActionsError                  8   an actions file, trajectory or run directory cannot be read
├── ProfileError                  9   a sandbox profile cannot be used
├── NotScoredError               10   the episode ended without a score (the agent's doing, or its submission was rejected)
├── GraderError                  11   the task's own grader failed
├── SandboxError                 12   a sandbox failed while it was in use
├── AgentError                   13   the agent program failed
├── CheckError                   14   `check` found something wrong with a task
├── ReplayDifference             15   a replay did not agree with its recording
├── LimitError                   16   what was asked for is more than this host or version can give
├── EpisodeStateError            17   a call that this state of the episode does not allow
├── BenchError                   18   a bench file cannot be used, or its results are of another bench
└── BenchIncomplete              19   episodes of a bench have no result

Exit code 2 is click's own (wrong usage) and 130 is Ctrl-C. Only the command line turns errors into text and exit codes.
"""

from __future__ import annotations


class MLGymLiteError(Exception):
    """Something a user can act on; the message says what happened, where, what was expected and what to do next."""

    exit_code = 1


class TaskError(MLGymLiteError):
    """A task file or folder cannot be used; `problems` has one line for each mistake found."""

    exit_code = 3

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join((message, *(f"  {problem}" for problem in problems))))
        self.problems = problems


class DataError(MLGymLiteError):
    """A task's data is missing or differs from its checksums."""

    exit_code = 4


class IsolationError(MLGymLiteError):
    """No sandbox can be put up on this host; the message says which wall is missing and how to get it."""

    exit_code = 5


class EnvironmentBuildError(MLGymLiteError):
    """A base environment cannot be built here and none is cached."""

    exit_code = 6


class OutputError(MLGymLiteError):
    """The run directory cannot be made or written."""

    exit_code = 7


class ActionsError(MLGymLiteError):
    """A file of recorded actions cannot be read; the message names the line."""

    exit_code = 8


class ProfileError(MLGymLiteError):
    """A sandbox profile cannot be used."""

    exit_code = 9


class NotScoredError(MLGymLiteError):
    """The episode ended without a score through the agent's or user's doing."""

    exit_code = 10


class GraderError(MLGymLiteError):
    """The task's own grader crashed, hung, or left no usable reward."""

    exit_code = 11


class SandboxError(MLGymLiteError):
    """A sandbox failed while it was in use."""

    exit_code = 12


class AgentError(MLGymLiteError):
    """The agent program failed."""

    exit_code = 13


class CheckError(MLGymLiteError):
    """A task did not pass its check."""

    exit_code = 14


class ReplayDifference(MLGymLiteError):
    """A replay did not agree with what was recorded."""

    exit_code = 15


class LimitError(MLGymLiteError):
    """What was asked for is more than this host, or this version, can give."""

    exit_code = 16


class EpisodeStateError(MLGymLiteError):
    """A call came at a time the episode does not allow it, for example a step after the end."""

    exit_code = 17


class BenchError(MLGymLiteError):
    """A bench file cannot be used, or its folder holds results that were made otherwise."""

    exit_code = 18


class BenchIncomplete(MLGymLiteError):
    """Episodes of a bench failed or were not run; what is done is kept."""

    exit_code = 19
