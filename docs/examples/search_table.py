"""Searches against best-of-n at the same number of steps: a scripted policy changes a strategy's numbers at random.

    python docs/examples/search_table.py --steps 40 --seeds 3

prints, for three tasks, the mean score of what each search handed in. The policy knows nothing of the tasks but what its numbers
mean; its actions are shell commands, as a language model's would be, and every state is validated.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from mlgym_lite import Episode, RunSettings, load_task
from mlgym_lite.search.searches import aide, best_of_n, global_leaves, mcts, step_beam
from mlgym_lite.search.space import EpisodeSpace, Intent, Proposal, State
from mlgym_lite.search.tree import Node, best_of

ALLOCATION = """\
import json, random, sys
from pathlib import Path
chance, file = random.Random(int(sys.argv[1])), Path("numbers.json")
numbers = json.loads(file.read_text()) if file.exists() else [20] * 6
for _ in range(2):
    giver, taker = chance.sample(range(6), 2)
    moved = chance.randint(0, numbers[giver])
    numbers[giver] -= moved
    numbers[taker] += moved
file.write_text(json.dumps(numbers))
Path("strategy.py").write_text(f"def row_strategy(history):\\n    return {tuple(numbers)}\\n")
"""
REACTION = """\
import json, random, sys
from pathlib import Path
chance, file = random.Random(int(sys.argv[1])), Path("numbers.json")
numbers = json.loads(file.read_text()) if file.exists() else [0.5] * 5
numbers[chance.randrange(5)] = round(chance.random(), 2)
file.write_text(json.dumps(numbers))
Path("strategy.py").write_text(f'''import random
def row_strategy(history):
    at = 4 if not history else 2 * int(history[-1][0]) + int(history[-1][1])
    return int(random.random() < {numbers}[at])
''')
"""
TASKS = {"colonel_blotto": ALLOCATION, "prisoners_dilemma": REACTION, "battle_of_sexes": REACTION}
SEARCHES: dict[str, Callable[[EpisodeSpace, RandomChanges], Node]] = {
    "best of n, 8 actions deep": lambda space, policy: best_of_n(space, policy, depth=8),
    "MCTS, ExACT's rule": lambda space, policy: mcts(space, policy, rule="exact", branching=4, depth=8),
    "MCTS, AlphaMath's rule": lambda space, policy: mcts(space, policy, rule="alphamath", branching=4, depth=8),
    "MCTS, all leaves": lambda space, policy: global_leaves(space, policy, c=0.2, branching=3, depth=8),
    "beam of 2, 4 samples": lambda space, policy: step_beam(space, policy, width=2, samples=4, depth=8),
    "AIDE": lambda space, policy: aide(space, policy, drafts=5),
}


class RandomChanges:
    """Proposes to run the same program with other seeds."""

    def __init__(self, program: str, seed: int) -> None:
        self._program = program
        self._chance = random.Random(seed)

    def propose(self, state: State, count: int, intent: Intent) -> Sequence[Proposal]:
        """As many as are wanted, all alike."""
        return [Proposal(action=self._action(self._chance.randrange(10**9))) for _ in range(count)]

    def _action(self, seed: int) -> str:
        return f"cat > change.py <<'END'\n{self._program}END\npython change.py {seed}"


def played(task: str, search: str, seed: int, steps: int, folder: Path) -> float:
    """The score of what a search hands in."""
    settings = RunSettings(
        variant="mini", max_steps=steps + 1, seed=seed, output=folder / f"{task}-{search}-{seed}".replace(" ", "-")
    )
    with Episode(load_task(task), settings=settings, agent="search") as episode:
        space = EpisodeSpace(episode, steps=steps)
        root = SEARCHES[search](space, RandomChanges(TASKS[task], seed))
        best = best_of(root)
        assert best.state is not None
        score = space.submit(best.state).score
        assert score is not None
        return score


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=40, help="of each search; a task's validations bound them")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"mean score of {arguments.seeds} seeds, {arguments.steps} steps each")
    print(f"{'':28}" + "".join(f"{task:>20}" for task in TASKS))
    with tempfile.TemporaryDirectory() as folder:
        for search in SEARCHES:
            print(f"{search:28}", end="", flush=True)
            for task in TASKS:
                scores = [played(task, search, seed, arguments.steps, Path(folder)) for seed in range(arguments.seeds)]
                print(f"{statistics.fmean(scores):20.3f}", end="", flush=True)
            print()


if __name__ == "__main__":
    main()
