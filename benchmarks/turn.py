"""A turn of a language-model agent, without the model: prompts, history, parsing, the action, the record; against a bare bash.

The model answers at once in this process, so what is left is ours. A conversation is as long as a task's 50 steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any

from benchmarks.bare import BareSandboxes, BareShell
from benchmarks.measuring import Bench, in_turn, seconds_of
from benchmarks.table import Row
from mlgym_lite import Episode, Task
from mlgym_lite.agents.protocol import Action
from mlgym_lite.agents.react import ReactAgent
from mlgym_lite.config.agent_file import load_agent_file
from mlgym_lite.models.protocol import Message, ModelUsage, Reply

ALLOWED_SECONDS = 0.002
_STEPS = 50
_REPETITIONS = 1000
_ANSWER = "I look at what is there, and think about what to do next.\n\n```\ntrue\n```\n"


class _QuickModel:
    """Answers at once, always the same."""

    name = "quick"

    def reply(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        whole: Callable[[str], int | None] | None = None,
        seconds: float | None = None,
    ) -> Reply:
        """The one answer."""
        return Reply(text=_ANSWER, usage=ModelUsage(input_tokens=1000, output_tokens=20, cost_usd=None, calls=1))


def run(bench: Bench) -> list[Row]:
    """Measure a turn and a bare `true` in turn, in episodes of 50 steps."""
    task, count = bench.tiny_task(), bench.repetitions(_REPETITIONS)
    with closing(_turns(bench, task)) as turns, closing(BareSandboxes(bench, task)) as sandboxes:
        with closing(BareShell(sandboxes)) as shell:
            medians = in_turn(lambda: next(turns), lambda: seconds_of(lambda: shell.run("true")), count)
    what = "react, without the model"
    return [
        Row(benchmark="turn", what=f"{what} : bare bash", ours=medians.ours, other=medians.other),
        Row(benchmark="turn", what=what, ours=medians.ours, allowed=ALLOWED_SECONDS),
    ]


def _turns(bench: Bench, task: Task) -> Generator[float, None, None]:
    """The seconds of one turn after the other; every 50 turns a new episode begins, whose reset is not counted."""
    name, settings, prompts = load_agent_file("react")
    while True:
        with bench.episode(task, max_steps=_STEPS + 1) as episode:
            episode.reset()
            agent = ReactAgent(name, settings, prompts, _QuickModel(), task)
            for _ in range(_STEPS):
                yield seconds_of(functools.partial(_turn, agent, episode))


def _turn(agent: ReactAgent, episode: Episode) -> None:
    action = agent.next_action(episode.observation)
    assert isinstance(action, Action)
    episode.step(action.text, thought=action.thought, usage=action.usage, details=action.details)
