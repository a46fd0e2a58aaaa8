"""mini-swe-agent's environment over an episode: each command is a step of the shell in the sandbox.

It needs of an episode what `EpisodeLike` says, which the Python API's `Episode` and `LineEpisode` both have. mini-swe-agent is
imported only where an exception of its is raised, because its import prints and makes a folder.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from mlgym_lite.agents.protocol import Observation
from mlgym_lite.models.protocol import ModelUsage

_MARKER = re.compile(r"(^|[;&\n])([ \t]*)echo[ \t]+(['\"]?)COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\3[ \t]*;?\s*$")
_NO_STATUS = -1


class TaskLike(Protocol):
    """What prompts may say of a task."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def metric(self) -> str:
        """The metric that ranks."""

    @property
    def maximize(self) -> bool:
        """Whether more of it is better."""

    @property
    def command_seconds(self) -> float:
        """How long one command may run."""


class EpisodeLike(Protocol):
    """An episode that goes on step by step."""

    @property
    def task(self) -> TaskLike:
        """What is worked on."""

    @property
    def observation(self) -> Observation:
        """What the last step showed, and what is left."""

    @property
    def outcome(self) -> object | None:
        """None while it goes on."""

    def step(
        self,
        action: str,
        *,
        thought: str | None = None,
        usage: ModelUsage | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> object:
        """Run one input for the shell."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is recorded beside a command."""

    thought: str | None = None
    usage: ModelUsage = field(default_factory=ModelUsage)
    details: Mapping[str, Any] = field(default_factory=dict)


class EpisodeEnvironment:
    """An environment for mini-swe-agent's agents; it lives as long as its episode, which somebody else closes."""

    def __init__(self, episode: EpisodeLike) -> None:
        """The episode has been reset."""
        self.config: Mapping[str, Any] = {"task": episode.task.name}
        self._episode = episode
        self._decision = Decision()

    def explain(self, decision: Decision) -> None:
        """Tell what is recorded beside the next command, and only that one."""
        self._decision = decision

    def execute(self, action: Mapping[str, Any], cwd: str = "") -> dict[str, Any]:
        """Run a command in the episode's shell, which stays in `cwd` where one is given.

        mini-swe-agent's way of finishing becomes `submit`. What comes back has how things stand beside the output, as `episode`.
        Raises mini-swe-agent's Submitted once the episode has ended.
        """
        command = with_submit(str(action.get("command", "")))
        decision, self._decision = self._decision, Decision()
        self._episode.step(
            f"cd {shlex.quote(cwd)}\n{command}" if cwd else command,
            thought=decision.thought,
            usage=decision.usage,
            details=decision.details,
        )
        if self._episode.outcome is not None:
            from minisweagent.exceptions import Submitted

            raise Submitted(
                {"role": "exit", "content": "The episode has ended.", "extra": {"exit_status": "EpisodeEnded", "submission": ""}}
            )
        shown = self._episode.observation
        status = _NO_STATUS if shown.exit_status is None else shown.exit_status
        return {"output": shown.text, "returncode": status, "exception_info": "", **self.get_template_vars()}

    def get_template_vars(self, **further: Any) -> dict[str, Any]:
        """`episode`: the facts of the task, and how things stand."""
        task = self._episode.task
        facts = {"name": task.name, "metric": task.metric, "maximize": task.maximize, "command_seconds": task.command_seconds}
        return {"episode": {**facts, **asdict(self._episode.observation)}, **further}

    def serialize(self) -> dict[str, Any]:
        """What mini-swe-agent keeps of it in a trajectory of its own."""
        kind = f"{type(self).__module__}.{type(self).__name__}"
        return {"info": {"config": {"environment": dict(self.config), "environment_type": kind}}}


def with_submit(command: str) -> str:
    """The command with `submit` in place of mini-swe-agent's finishing `echo`, where it ends with that."""
    return _MARKER.sub(r"\1\2submit", command)
