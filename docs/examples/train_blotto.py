"""A small policy learns Colonel Blotto from real shell commands and real scores, beside a control that cannot learn.

    python docs/examples/train_blotto.py blotto --seeds 3

An action of the policy writes a strategy file, asks for a validation or submits; each is a shell input in a sandbox, and the
score is the task's own. The control gets the same advantages, but dealt out at random. Each training has a folder below the one
named; the same command goes on where it was stopped, and draws blotto/curves.png when all are done.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from mlgym_lite.errors import MLGymLiteError
from mlgym_lite.gym.environment import TaskEnvironment
from mlgym_lite.training.curves import Update, plot_scores
from mlgym_lite.training.grammar import ActionGrammar, Command
from mlgym_lite.training.grammar_policy import GrammarPolicy
from mlgym_lite.training.trainer import Trainer, TrainingSettings

FIELDS, SOLDIERS = 6, 120
SHOWN = ("nothing", "validated below -0.4", "validated below -0.1", "validated below 0.1", "validated at 0.1 or above")


def write(words: Sequence[str]) -> str:
    """The shell input that makes a strategy which always sends the same soldiers."""
    return f"cat > strategy.py <<'END'\ndef row_strategy(history):\n    return ({', '.join(words)})\nEND"


def show(observation: str, reward: float) -> list[str]:
    """The score of a validation in four steps."""
    found = re.search(r"Score = (-?[0-9.]+)", observation)
    return [SHOWN[0] if found is None else SHOWN[1 + sum(float(found[1]) >= bound for bound in (-0.4, -0.1, 0.1))]]


GRAMMAR = ActionGrammar(
    [
        Command(
            name="write",
            slots=[("0", "10", "20", "30")] * FIELDS,
            permits=lambda words: sum(map(int, words)) <= SOLDIERS,
            render=write,
        ),
        Command(name="validate", render=lambda words: "validate", after=("write",)),
        # what a task starts with is better than what is written at first: submitting it at once would be all that is learnt
        Command(name="submit", render=lambda words: "submit", after=("write",)),
    ],
    shown_words=SHOWN,
    show=show,
)


def train(folder: Path, seed: int, arguments: argparse.Namespace, *, control: bool) -> list[Update]:
    """One training, from its start or from where it was stopped."""
    settings = TrainingSettings(
        algorithm=arguments.algorithm, updates=arguments.updates, group_size=32, learning_rate=5e-3, entropy=0.02,
        turn_cost=0.02, seed=seed, permute_advantages=control,
    )  # fmt: skip
    name = f"{'control-' if control else ''}{arguments.algorithm}-{seed}"

    def told(update: Update) -> None:
        print(f"{name:20} {update.episodes:5} episodes {update.seconds:6.0f} s   mean score {update.score:+.3f}", flush=True)

    trainer = Trainer(
        GrammarPolicy(GRAMMAR, seed=seed),
        lambda: TaskEnvironment("colonel_blotto", variant="mini", max_steps=4),
        settings,
        folder / name,
        on_update=told,
    )
    return trainer.train()


def main() -> None:
    """Train, print a table and draw the curves."""
    parser = argparse.ArgumentParser(description="Train a small policy on Colonel Blotto.")
    parser.add_argument("folder", type=Path, help="where the trainings and curves.png go")
    parser.add_argument("--algorithm", choices=("grpo", "reinforce"), default="grpo")
    parser.add_argument("--updates", type=int, default=15, help="of 32 episodes each")
    parser.add_argument("--seeds", type=int, choices=range(1, 101), metavar="1-100", default=3)
    arguments = parser.parse_args()
    trained = [train(arguments.folder, seed, arguments, control=False) for seed in range(arguments.seeds)]
    controls = [train(arguments.folder, seed, arguments, control=True) for seed in range(arguments.seeds)]
    print(f"\n{'':12} first update   last three   seconds")
    for name, runs in ((arguments.algorithm, trained), ("control", controls)):
        first = fmean(run[0].score or 0.0 for run in runs)
        last = fmean(update.score or 0.0 for run in runs for update in run[-3:])
        print(f"{name:12} {first:+12.3f} {last:+12.3f} {fmean(run[-1].seconds for run in runs):9.0f}")
    plot_scores(
        arguments.folder / "curves.png",
        {arguments.algorithm: trained, "control: permuted advantages": controls},
        title="Colonel Blotto, mini",
        unit="mean score of the submissions",
    )


if __name__ == "__main__":
    try:
        main()
    except (MLGymLiteError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on behind the last update")
