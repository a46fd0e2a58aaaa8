"""TPTU (arXiv 2308.03427): a planner names tools and sub-tasks, an executor carries each out, all at once or one after the other.

    python recipes/tptu.py colonel_blotto OUTPUT --variant mini --planner sequential --model openai/gpt-4o

What is and is not faithful to the paper: recipes/tptu.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asking import Asker, add_model_options, shell_input, told

from mlgym_lite import RunSettings, load_task
from mlgym_lite.agents.protocol import Action, Observation, PlainAgent, Stop
from mlgym_lite.cli.printing import Progress
from mlgym_lite.config.places import places
from mlgym_lite.episode.runner import run_episode
from mlgym_lite.models.protocol import ModelUsage

Planner = Literal["one-step", "sequential"]
TOOLS: Mapping[str, str] = {
    "look": "read files and list folders",
    "edit": "write or change a file",
    "python": "run a Python program",
    "validate": "score the workspace on the validation split",
    "submit": "hand the workspace in; this ends the task",
}
_ITSELF = ("validate", "submit")
"""Tools that are commands by themselves: nobody is asked how to use them."""
_PAIR = 'an object {"tool": NAME, "subtask": TEXT}'


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A tool with what it is to be used for."""

    tool: str
    subtask: str


def read_pairs(reply: str) -> list[Pair]:
    """The pairs of a reply that holds a JSON list of them, or one; raises ValueError where it does not."""
    content = next((found for found in _json_values(reply) if isinstance(found, dict) or found), None)
    entries = content if isinstance(content, list) else [content]
    for entry in entries:
        is_pair = isinstance(entry, dict) and isinstance(entry.get("tool"), str) and isinstance(entry.get("subtask"), str)
        if not is_pair or entry["tool"] not in TOOLS:
            raise ValueError(f"expected {_PAIR} with a tool of {', '.join(TOOLS)}, not {entry!r:.80}")
    return [Pair(tool=entry["tool"], subtask=entry["subtask"]) for entry in entries]


def _json_values(text: str) -> Iterator[Any]:
    """The lists and objects of a text with other words around them."""
    decoder = json.JSONDecoder()
    for start in (found.start() for found in re.finditer(r"[\[{]", text)):
        with contextlib.suppress(ValueError, RecursionError):
            yield decoder.raw_decode(text, start)[0]


class PlannerAgent(PlainAgent):
    """Plans and carries out in one episode; the planner and the executor are asked the same model with other texts."""

    name = "tptu"

    def __init__(self, ask: Callable[[str], str], take_usage: Callable[[], ModelUsage], planner: Planner, model: str) -> None:
        self.model = model
        self._ask = ask
        self._take_usage = take_usage
        self._planner = planner
        self._task = ""
        self.planned: list[Pair] = []
        """Every pair that was planned, in order."""
        self.done: list[Pair] = []
        """Those that were carried out."""

    def next_action(self, observation: Observation) -> Action | Stop:
        """Carry out the next sub-task; one-step planning plans once, sequential planning before each."""
        self._task = self._task or observation.text
        try:
            if self._planner == "sequential" or not self.planned:
                self.planned += self._plan(observation)
        except ValueError as error:
            return Stop(reason="format_errors", detail=f"the plan cannot be read: {error}", usage=self._take_usage())
        if len(self.done) == len(self.planned):
            return Stop(reason="gave_up", detail="the plan ends without `submit`", usage=self._take_usage())
        pair = self.planned[len(self.done)]
        command = pair.tool if pair.tool in _ITSELF else shell_input(self._ask(self._execution(pair, observation)))
        self.done.append(pair)
        text = command if command is not None else "true  # the executor's reply held no single fenced block"
        return Action(
            text=text, thought=f"{pair.tool}: {pair.subtask}", usage=self._take_usage(), details={"planned": vars(pair).copy()}
        )

    def _plan(self, observation: Observation) -> list[Pair]:
        tools = "\n".join(f"- {name}: {text}" for name, text in TOOLS.items())
        wanted = f"the next sub-task as {_PAIR}"
        if self._planner == "one-step":
            wanted = f"the whole plan, which ends with `submit`, as a JSON list; each entry is {_PAIR}"
        done = "".join(f"- {pair.tool}: {pair.subtask}\n" for pair in self.done) or "nothing yet\n"
        shown = "" if not self.done else f"The last one printed:\n{observation.text}\n\n"
        return read_pairs(self._ask(f"{self._task}\n\nTools:\n{tools}\n\nDone so far:\n{done}\n{shown}Give {wanted}."))

    def _execution(self, pair: Pair, observation: Observation) -> str:
        return (
            f"{self._task}\n\nThe last command printed:\n{observation.text}\n\nYour sub-task, with the tool {pair.tool} "
            f"({TOOLS[pair.tool]}): {pair.subtask}\n\nReply with one fenced block that holds one shell input."
        )


def order_accuracy(planned: Sequence[Pair], reference: Sequence[str]) -> float:
    """1.0 where the tools are the reference's in its order, else 0.0."""
    return float([pair.tool for pair in planned] == [*reference])


def completion(planned: Sequence[Pair], done: Sequence[Pair]) -> float:
    """The share of what was planned that was carried out; 0 where nothing was planned."""
    return len(done) / len(planned) if planned else 0.0


def main() -> None:
    """Run one episode and print how plan and execution went."""
    parser = argparse.ArgumentParser(description="TPTU's planners on one task.")
    parser.add_argument("task")
    parser.add_argument("output", type=Path, help="the run directory, which must not exist")
    parser.add_argument("--variant", choices=("full", "mini"), default="full")
    parser.add_argument("--planner", choices=("one-step", "sequential"), default="one-step")
    parser.add_argument("--reference", help="the right tools in order, with commas: tells the accuracy of the order")
    add_model_options(parser)
    arguments = parser.parse_args()
    ask = Asker(arguments, Progress(quiet=False))
    agent = PlannerAgent(ask, ask.take_usage, arguments.planner, arguments.model)
    settings = RunSettings(variant=arguments.variant, output=arguments.output)
    outcome = run_episode(load_task(arguments.task), agent, settings, cache=places().cache)
    told: dict[str, Any] = {
        "score": outcome.score, "ending": outcome.ending.reason, "planned": [vars(pair) for pair in agent.planned],
        "completion": completion(agent.planned, agent.done),
    }  # fmt: skip
    if arguments.reference:
        told["order_accuracy"] = order_accuracy(agent.planned, arguments.reference.split(","))
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    told(main)
