"""MALT (arXiv 2412.01928): generators, verifiers and refiners over the states of one episode, and what each role learns from.

    python recipes/malt.py colonel_blotto OUTPUT --variant mini --branching 3 --model openai/gpt-4o

What is and is not faithful to the paper: recipes/malt.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from asking import Asker, add_model_options, shell_input, told

from mlgym_lite import Episode, RunSettings, load_task
from mlgym_lite.cli.printing import Progress
from mlgym_lite.errors import AgentError
from mlgym_lite.search.space import EpisodeSpace, OutOfBudget, Proposal, State

Role = Literal["generator", "verifier", "refiner"]
ROLES: tuple[Role, ...] = ("generator", "verifier", "refiner")
_ACT = "Reply with one fenced block that holds one shell input. It must leave the workspace ready to be scored; do not submit."
_CRITICISE = "Say in a few sentences what is wrong with this attempt, or how it could score more. Do not write commands."


@dataclass(eq=False, kw_only=True)
class Contribution:
    """What a role said, with what came of it."""

    role: Role
    prompt: str
    response: str
    state: State | None = None
    """Behind the action of a generator or refiner; None of a verifier, and of a reply without one action."""
    is_correct: bool = False
    """Of a refiner: whether its state's value is above the threshold."""
    children: list[Contribution] = field(default_factory=list)

    @property
    def value(self) -> float:
        """Of a refiner 1 or 0; of the others the mean of their children, 0 without any."""
        if self.role == "refiner":
            return float(self.is_correct)
        return fmean(child.value for child in self.children) if self.children else 0.0


def play(space: EpisodeSpace, ask: Callable[[str], str], *, branching: int, threshold: float = 0.0) -> list[Contribution]:
    """The generators' contributions, with all below them: branching ** 3 refiners, as far as the steps go.

    A verifier whose refiners the budget cuts off is left out.
    """
    found: list[Contribution] = []
    try:
        for _ in range(branching):
            found.append(_acted(space, space.first, "generator", _task_prompt(space, _ACT), ask))
            if found[-1].state is not None:
                _verified(space, found[-1], ask, branching, threshold)
    except OutOfBudget:
        pass
    return found


def _verified(space: EpisodeSpace, generator: Contribution, ask: Callable[[str], str], branching: int, threshold: float) -> None:
    told = _told(space, generator)
    for _ in range(branching):
        prompt = _task_prompt(space, f"{told}\n\n{_CRITICISE}")
        space.check()
        verifier = Contribution(role="verifier", prompt=prompt, response=ask(prompt))
        for _ in range(branching):
            prompt = _task_prompt(space, f"{told}\n\nA reviewer says:\n{verifier.response}\n\n{_ACT}")
            assert generator.state is not None
            refiner = _acted(space, generator.state, "refiner", prompt, ask)
            refiner.is_correct = refiner.state is not None and refiner.state.score is not None and refiner.state.value > threshold
            verifier.children.append(refiner)
        generator.children.append(verifier)


def _acted(space: EpisodeSpace, state: State, role: Role, prompt: str, ask: Callable[[str], str]) -> Contribution:
    space.check()
    response = ask(prompt)
    action = shell_input(response)
    reached = None if action is None else space.run(state, Proposal(action=action, thought=f"{role}: {response}"))
    return Contribution(role=role, prompt=prompt, response=response, state=reached)


def _task_prompt(space: EpisodeSpace, text: str) -> str:
    return f"{space.first.observation}\n\n{text}"


def _told(space: EpisodeSpace, generator: Contribution) -> str:
    state = generator.state
    assert state is not None and state.proposal is not None
    score = "it was rejected" if state.score is None else f"{space.episode.task.metric} = {state.score:.6g}"
    return f"An attempt:\n```\n{state.proposal.action}\n```\nIt printed:\n{state.observation}\nValidated: {score}"


def everything(contributions: Sequence[Contribution]) -> list[Contribution]:
    """All of a tree."""
    return [each for one in contributions for each in (one, *everything(one.children))]


def examples(generators: Sequence[Contribution], role: Role) -> list[dict[str, Any]]:
    """What the role is trained to say: contributions whose value is above a half."""
    wanted = [one for one in everything(generators) if one.role == role and one.value > 0.5]
    return [{"prompt": one.prompt, "response": one.response, "value": one.value} for one in wanted]


def preferences(generators: Sequence[Contribution], role: Role) -> list[dict[str, Any]]:
    """Pairs of siblings of verifiers or refiners: one whose value is above a half, and one whose value is not."""
    pairs = []
    for parent in everything(generators):
        siblings = [one for one in parent.children if one.role == role]
        for chosen in (one for one in siblings if one.value > 0.5):
            for rejected in (one for one in siblings if one.value <= 0.5):
                pairs.append({"prompt": chosen.prompt, "chosen": chosen.response, "rejected": rejected.response})
    return pairs


def write_data(folder: Path, generators: Sequence[Contribution]) -> dict[str, int]:
    """ROLE.jsonl to imitate, and ROLE-pairs.jsonl to prefer by; how many lines each has."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {f"{role}.jsonl": examples(generators, role) for role in ROLES}
    contents |= {f"{role}-pairs.jsonl": preferences(generators, role) for role in ("verifier", "refiner")}
    for name, lines in contents.items():
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return {name: len(lines) for name, lines in contents.items()}


def main() -> None:
    """Play one tree, write the data, and hand in the best state."""
    parser = argparse.ArgumentParser(description="MALT's tree over one task.")
    parser.add_argument("task")
    parser.add_argument("output", type=Path, help="a new folder: run/ is the episode, data/ what each role learns from")
    parser.add_argument("--variant", choices=("full", "mini"), default="full")
    parser.add_argument("--branching", type=int, default=3, help="n of the paper: n generators, n*n verifiers, n*n*n refiners")
    parser.add_argument("--threshold", type=float, default=0.0, help="the improvement over the baseline that counts as correct")
    add_model_options(parser)
    arguments = parser.parse_args()
    count, task = arguments.branching, load_task(arguments.task)
    steps, allowed = count + count**3, task.file.metadata.mlgym_lite.validations
    if count < 1 or steps > allowed:
        parser.error(f"--branching {count}: takes {max(0, steps)} validations; {task.name} allows 1 to {allowed}")
    ask = Asker(arguments, Progress(quiet=False))
    settings = RunSettings(variant=arguments.variant, output=arguments.output / "run", max_steps=steps + 1)
    with Episode(task, settings=settings, agent="malt", model=arguments.model) as episode:
        space = EpisodeSpace(episode, steps=steps, usage=ask.take_usage)
        try:
            generators = play(space, ask, branching=count, threshold=arguments.threshold)
        except AgentError as error:
            space.fail(error)
            raise
        data = write_data(arguments.output / "data", generators)
        outcome = space.submit(space.best or space.first)
    print(json.dumps({"score": outcome.score, "values": [one.value for one in generators], "lines": data}, indent=1))


if __name__ == "__main__":
    told(main)
