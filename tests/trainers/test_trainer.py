"""A small policy is trained on real episodes of the tiny task: it learns, its control does not; a stopped one goes on alike."""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from made_rollouts import rollout

from mlgym_lite.errors import GraderError
from mlgym_lite.gym.environment import TaskEnvironment
from mlgym_lite.gym.rollouts import collect, read_rollouts
from mlgym_lite.training.batches import Batch, TokenScores
from mlgym_lite.training.curves import Update, plot_scores, read_updates
from mlgym_lite.training.grammar import ActionGrammar, Command
from mlgym_lite.training.grammar_policy import GrammarPolicy
from mlgym_lite.training.objectives import Algorithm
from mlgym_lite.training.trainer import Trainer, TrainingSettings

pytestmark = pytest.mark.kernel

GRAMMAR = ActionGrammar(
    [
        Command(name="write", slots=[("1", "2", "3"), ("0", "5")], render=lambda words: f"echo {'.'.join(words)} > answer.txt"),
        Command(name="submit", render=lambda words: "submit", after=("write",)),
    ],
    shown_words=("done",),
    show=lambda observation, reward: ["done"],
)
Make = Callable[..., Callable[[], TaskEnvironment]]


def trained(make: Make, folder: Path, **settings: Any) -> list[Update]:
    """The updates of a training on two turns of the tiny task, whose best score is 3.5."""
    chosen = {"updates": 12, "group_size": 8, "learning_rate": 0.03, "entropy": 0.0} | settings
    trainer = Trainer(GrammarPolicy(GRAMMAR, seed=3), make(max_steps=2), TrainingSettings(**chosen), folder)
    return trainer.train()


@pytest.mark.parametrize("algorithm", ["grpo", "reinforce"])
def test_a_policy_learns(algorithm: Algorithm, make: Make, tmp_path: Path) -> None:
    """From real scores; with permuted advantages it does not."""
    updates = trained(make, tmp_path / "trained", algorithm=algorithm)
    first, last = updates[0].score, fmean(update.score or 0.0 for update in updates[-3:])
    assert first is not None and first < 2.7 and last > 3.1
    if algorithm == "grpo":
        control = trained(make, tmp_path / "control", algorithm=algorithm, permute_advantages=True)
        assert fmean(update.score or 0.0 for update in control[-3:]) < last - 0.3
    assert updates[-1].episodes == 96 and updates[-1].scored == 1.0 and 1.0 <= updates[-1].turns <= 2.0
    assert updates[-1].entropy < updates[0].entropy


def test_what_is_recorded_is_recomputed(make: Make) -> None:
    """The log-probabilities of a rollout are what the policy says of its tokens, and no gradient reaches an observation."""
    policy = GrammarPolicy(GRAMMAR, seed=1)
    batch = Batch.of(collect(policy, make(max_steps=3), [1, 2], group_size=3))
    scores = policy.evaluate(batch)
    assert (~batch.is_sampled).any()
    assert torch.allclose(scores.logprobs, batch.recorded, atol=1e-5)
    assert (batch.recorded[batch.is_sampled] < 0).any()
    scores.logprobs.sum().backward()
    head = policy.network["head"].weight.grad
    assert head[GRAMMAR.words.index("done")].abs().sum() == 0 and head.abs().sum() > 0


def test_a_stopped_training_goes_on_as_if_it_had_not(make: Make, tmp_path: Path) -> None:
    """Weights, curve and rollouts are those of a training in one go; the same settings are needed."""
    together = trained(make, tmp_path / "together", updates=4, keep_rollouts=True, kl=0.1, permute_advantages=True, epochs=2)
    parts: list[Update] = []
    for updates in (1, 3, 4):
        parts = trained(
            make, tmp_path / "parts", updates=updates, keep_rollouts=True, kl=0.1, permute_advantages=True, epochs=2, workers=2
        )
        with (tmp_path / "parts/updates.jsonl").open("a") as file:
            file.write('{"update": 99, "epi')  # as if it had been killed
    times = {"seconds": 0.0}
    assert [vars(one) | times for one in parts] == [vars(one) | times for one in together]
    assert parts[-1].kl > 0 and [one.update for one in parts] == [1, 2, 3, 4]
    whole, resumed = (torch.load(tmp_path / name / "checkpoint.pt")["policy"]["network"] for name in ("together", "parts"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    files = sorted((tmp_path / "together/rollouts").iterdir())
    for file in files:
        pairs = zip(read_rollouts(file), read_rollouts(tmp_path / "parts/rollouts" / file.name), strict=True)
        assert all(one.completion_ids == other.completion_ids for one, other in pairs)
    assert len(files) == 4
    with pytest.raises(ValueError, match=r"checkpoint\.pt: was trained with kl=0\.1, not 0\.0"):
        trained(make, tmp_path / "parts", permute_advantages=True, epochs=2)


def test_another_task_or_grammar_is_refused(make: Make, make_task: Callable[..., Path], tmp_path: Path) -> None:
    """In a folder that was trained on one, also where the grammar has as many words."""
    trained(make, tmp_path / "folder", updates=1)
    other = make_task("other")
    with pytest.raises(ValueError, match="was trained on tiny, full, not on other, full"):
        trained(lambda **options: lambda: TaskEnvironment(other, **options), tmp_path / "folder", updates=2)
    names = [f"word {number}" for number in range(GRAMMAR.size - 1)]
    words = ActionGrammar([Command(name=name, render="".join) for name in names])
    settings = TrainingSettings(updates=2, group_size=8, learning_rate=0.03, entropy=0.0)
    with pytest.raises(ValueError, match="is of another policy: its grammar has other words"):
        Trainer(GrammarPolicy(words), make(), settings, tmp_path / "folder").train()


def test_a_failure_keeps_the_last_checkpoint(make: Make, make_task: Callable[..., Path], tmp_path: Path) -> None:
    """And the next call goes on from it; a folder where another trainer is at work is refused."""
    trained(make, tmp_path / "folder", updates=1)
    broken = make_task("broken", grader="exit 3")
    with pytest.raises(GraderError):
        trained(lambda **options: lambda: TaskEnvironment(broken, **options), tmp_path / "folder", updates=2)
    descriptor = os.open(tmp_path / "folder/.training.lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(FileExistsError, match="another trainer is at work"):
        trained(make, tmp_path / "folder", updates=2)
    os.close(descriptor)
    assert len(trained(make, tmp_path / "folder", updates=2)) == 2


class Fixed:
    """A policy of one parameter: the log-probability of every token, whose entropy is twice as much."""

    def __init__(self, value: float) -> None:
        self.weight = torch.tensor(value, requires_grad=True)

    def evaluate(self, batch: Batch) -> TokenScores:
        """The parameter, where a token was sampled."""
        sampled = batch.is_sampled.float()
        return TokenScores(logprobs=sampled * self.weight, entropy=sampled * self.weight * 2)

    def parameters(self) -> list[torch.Tensor]:
        """The one."""
        return [self.weight]

    def state(self) -> dict[str, Any]:
        """Its value."""
        return {"weight": self.weight.detach()}

    def load_state(self, state: Any) -> None:
        """Another value."""
        with torch.no_grad():
            self.weight.copy_(state["weight"])


@pytest.mark.parametrize("episodes_at_once", [None, 1])
def test_the_gradient_of_a_step(episodes_at_once: int | None, tmp_path: Path) -> None:
    """By hand: REINFORCE's for two episodes of two tokens and one, with entropy, divergence and a bound on its norm."""
    policy: Any = Fixed(-1.0)
    chosen = {"algorithm": "reinforce", "group_size": 2, "entropy": 0.5, "kl": 0.25, "gradient_norm": 100.0}
    trainer = Trainer(policy, lambda: None, TrainingSettings(**chosen, episodes_at_once=episodes_at_once), tmp_path)  # type: ignore[arg-type, return-value]
    batch = Batch.of([rollout((7,), (1, 2, 3), (1, 0, 1), (-1.0, 0.0, -1.0)), rollout((7,), (4,), (1,), (-1.0,))])
    advantages = torch.tensor([2.0, -1.0])
    policy.load_state({"weight": torch.tensor(-3.0)})
    reference = TokenScores(logprobs=batch.is_sampled * -1.0, entropy=batch.is_sampled * 0.0)
    told = trainer._step(batch, advantages, reference)
    # loss: -(2 * 2w - 1 * w) / 2; entropy: 2w; divergence: exp(d) - d - 1 with d = -1 - w = 2
    divergence = math.exp(2) - 3
    assert told == pytest.approx(
        {"loss": 4.5, "entropy": -6.0, "kl": divergence, "gradient_norm": abs(-1.5 - 0.5 * 2 - 0.25 * (math.exp(2) - 1))}
    )
    assert policy.weight.item() == pytest.approx(-3.0 + 5e-3)  # Adam's first step is the learning rate, against the gradient
    trainer = Trainer(policy, lambda: None, TrainingSettings(**{**chosen, "gradient_norm": 0.5}), tmp_path)  # type: ignore[arg-type, return-value]
    trainer._step(batch, advantages, reference)
    assert policy.weight.grad.abs().item() == pytest.approx(0.5, rel=1e-3)
    with pytest.raises(FloatingPointError, match="update 1"):
        trainer._step(batch, torch.tensor([math.nan, 0.0]), reference)


def test_groups_seeds_and_the_cost_of_turns(make: Make, tmp_path: Path) -> None:
    """Every group of every update has a seed of its own; turns are paid for; rewards are compared within groups."""
    trained(make, tmp_path, updates=2, groups=2, group_size=2, turn_cost=0.5, keep_rollouts=True, workers=4)
    found = [list(read_rollouts(file)) for file in sorted((tmp_path / "rollouts").iterdir())]
    assert [[one.seed for one in rollouts] for rollouts in found] == [[0, 0, 1, 1], [2, 2, 3, 3]]
    for rollouts, update in zip(found, read_updates(tmp_path / "updates.jsonl"), strict=True):
        assert update.reward == pytest.approx(fmean(one.reward - 0.5 * len(one.turns) for one in rollouts))
        assert update.turns == fmean(len(one.turns) for one in rollouts) and update.episodes in (4, 8)


def test_a_folder_is_read_when_training_begins(make: Make, tmp_path: Path) -> None:
    """Two that were made at once go on from one another; without a checkpoint nothing counts; broken files are told."""
    both = [
        Trainer(GrammarPolicy(GRAMMAR), make(max_steps=2), TrainingSettings(updates=count, group_size=2), tmp_path)
        for count in (1, 2)
    ]
    assert [[one.update for one in trainer.train()] for trainer in both] == [[1], [1, 2]]
    (tmp_path / "updates.jsonl").unlink()
    assert [one.update for one in both[1].train()] == [1, 2] == [one.update for one in read_updates(tmp_path / "updates.jsonl")]
    (tmp_path / "checkpoint.pt").unlink()
    assert [one.update for one in both[1].train()] == [1, 2]
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match=r"checkpoint\.pt: is no checkpoint of a training"):
        both[1].train()
    trained(make, tmp_path / "other", updates=1)
    other = ActionGrammar([Command(name="submit", render=lambda words: "submit")])
    settings = TrainingSettings(updates=2, group_size=8, learning_rate=0.03, entropy=0.0)
    with pytest.raises(ValueError, match=r"checkpoint\.pt: is of another policy"):
        Trainer(GrammarPolicy(other), make(), settings, tmp_path / "other").train()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip": -1.0}, "clip=-1.0: expected a number above 0"),
        ({"entropy": math.nan}, "entropy=nan"),
        ({"updates": 2.5}, "updates=2.5"),
        ({"algorithm": "ppo"}, "expected one of grpo, reinforce"),
        ({"group_size": 1}, "2 or more"),
        ({"updates": 0}, "updates=0"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    """Are told by name."""
    with pytest.raises(ValueError, match=message):
        TrainingSettings(**settings)


def test_curves_are_drawn(tmp_path: Path) -> None:
    """Also where an update has no score; a broken line is told."""
    content = {
        "seconds": 1.0,
        "reward": 0.0,
        "scored": 1.0,
        "turns": 2.0,
        "loss": 0.0,
        "entropy": 1.0,
        "kl": 0.0,
        "gradient_norm": 1.0,
    }
    runs = [[Update(update=at, episodes=8 * at, score=score, **content) for at, score in ((1, 0.1), (2, None), (3, 0.3))]]
    names = [f"name {number}" for number in range(6)]
    figure = plot_scores(tmp_path / "curves.png", dict.fromkeys(names, runs * 2), title="Title", unit="score")
    lines = figure.axes[0].lines
    assert len(lines) == 6 * 3 and list(lines[0].get_xdata()) == [8, 16, 24]
    shown = [str(value) for value in lines[2].get_ydata()]
    assert shown == ["0.1", "nan", "0.3"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "updates.jsonl").write_text('{"update": 1}\n')
    with pytest.raises(ValueError, match=r"updates\.jsonl:1: is no update"):
        read_updates(tmp_path / "updates.jsonl")
