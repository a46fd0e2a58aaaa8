"""The training loop: groups of episodes are played, compared within each group, and the policy moves towards what did better.

    trainer = Trainer(policy, lambda: TaskEnvironment("colonel_blotto", variant="mini", max_steps=4), TrainingSettings(), folder)
    trainer.train()

The folder gets `updates.jsonl`, a line for each update; `rollouts/`, every episode with its tokens, where that is wanted; and
`checkpoint.pt`, from which the same call goes on: weights, optimiser, random numbers. A trainer that is stopped loses the update
it is in. Episodes are those of `collect`: real sandboxes, real gradings.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import torch

from mlgym_lite.gym.environment import TaskEnvironment
from mlgym_lite.gym.rollouts import Rollout, TokenPolicy, collect, write_rollouts
from mlgym_lite.isolation.marked_folders import take
from mlgym_lite.training.batches import Batch, TokenScores
from mlgym_lite.training.curves import UPDATES, Update
from mlgym_lite.training.objectives import (
    ALGORITHMS,
    Algorithm,
    group_advantages,
    grpo_loss,
    kl_divergence,
    mean_entropy,
    reinforce_loss,
)
from mlgym_lite.whole_files import whole_file, write_whole

CHECKPOINT = "checkpoint.pt"
ROLLOUTS = "rollouts"
_FREE_TO_CHANGE = ("updates", "workers", "keep_rollouts", "episodes_at_once")
_SEEDS_OF_AN_UPDATE = 1_000_003


class TrainablePolicy(TokenPolicy, Protocol):
    """A policy that can say how likely it finds tokens, with gradients."""

    def evaluate(self, batch: Batch) -> TokenScores:
        """Of a batch's sampled tokens: their probabilities as they would be sampled now."""
        ...

    def parameters(self) -> Iterable[torch.Tensor]:
        """The float tensors that are trained, always in one order."""
        ...

    def state(self) -> dict[str, Any]:
        """Tensors and plain values, with which `load_state` makes it go on as if it had not stopped."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take on a state."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a policy is trained; the same loop for a small one and a language model."""

    algorithm: Algorithm = "grpo"
    updates: int = 30
    """How many there are in all, those before a checkpoint included."""
    groups: int = 1
    """Groups in an update; the episodes of one have the same seed."""
    group_size: int = 32
    """Episodes in a group."""
    epochs: int = 1
    """Steps of the optimiser on each update's episodes."""
    learning_rate: float = 5e-3
    """Of Adam; this suits a small policy. A language model that was trained before wants a thousandth of it, or less."""
    entropy: float = 0.02
    """What a nat of mean entropy is worth, in units of the loss."""
    clip: float = 0.2
    """How far GRPO's ratio may go from 1."""
    kl: float = 0.0
    """What a nat of divergence from the first policy costs; with 0 no copy of that policy is kept."""
    episodes_at_once: int | None = None
    """Episodes whose gradients are computed together; fewer need less memory and give the same. None: an update's all."""
    turn_cost: float = 0.0
    """Taken from an episode's reward for each turn."""
    gradient_norm: float = 1.0
    """The greatest norm of a gradient; greater ones are scaled down."""
    most_turns: int | None = None
    most_tokens: int | None = None
    workers: int = 4
    """Actions that run side by side."""
    seed: int = 0
    """Of the episodes' seeds and of the control's permutations."""
    permute_advantages: bool = False
    """The control: advantages are dealt out at random, so that nothing can be learnt from them."""
    keep_rollouts: bool = False
    """Whether every episode's tokens are written to rollouts/, a file for each update."""

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be."""
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm={self.algorithm!r}: expected one of {', '.join(ALGORITHMS)}")
        for name in ("updates", "groups", "epochs", "workers", "episodes_at_once", "most_turns", "most_tokens"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}={value!r}: expected a whole number, 1 or more")
        for name in ("learning_rate", "clip", "gradient_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected a number above 0")
        for name in ("entropy", "kl", "turn_cost"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected a number, 0 or more")
        if self.group_size < 2:
            raise ValueError(f"group_size={self.group_size}: expected 2 or more; an episode is compared with its group's others")


class Trainer:
    """Trains one policy. Two at once in one folder are refused."""

    def __init__(
        self,
        policy: TrainablePolicy,
        make_environment: Callable[[], TaskEnvironment],
        settings: TrainingSettings,
        folder: str | Path,
        *,
        on_update: Callable[[Update], None] = lambda _: None,
    ) -> None:
        """Nothing is read or written before `train`; `on_update` is told of every update when it is done."""
        self.policy = policy
        self.settings = settings
        self.folder = Path(folder)
        self._make_environment = make_environment
        self._on_update = on_update
        self._optimizer = torch.optim.Adam(policy.parameters(), lr=settings.learning_rate)
        self._chance = torch.Generator().manual_seed(settings.seed)
        self._first = _copied(policy.state()) if settings.kl else None
        self._updates: list[Update] = []
        self._task: str | None = None

    @property
    def done(self) -> int:
        """How many updates are done."""
        return len(self._updates)

    def train(self) -> list[Update]:
        """Begin in a new folder, or go on in one with a checkpoint; all of the folder's updates come back.

        Raises:
            MLGymLiteError: An environment failed; the last update's checkpoint stands.
            ValueError: The folder's training had other settings, another policy or task, or its checkpoint is none.
            FloatingPointError: The loss or its gradient is no number; the policy is as it was before that step.
            FileExistsError: Another trainer is at work in the folder.
            OSError: The folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with _only_one(self.folder):
            self._go_on()
            while self.done < self.settings.updates:
                begun = time.perf_counter()
                rollouts = self._play()
                update = self._learn(rollouts, begun)
                self._keep(update, rollouts)
                self._on_update(update)
        return list(self._updates)

    def _play(self) -> list[Rollout]:
        settings = self.settings
        first = (settings.seed * _SEEDS_OF_AN_UPDATE + self.done * settings.groups) % 2**31
        seeds = [(first + group) % 2**31 for group in range(settings.groups)]
        rollouts = collect(
            self.policy, self._make_environment, seeds, group_size=settings.group_size,
            most_turns=settings.most_turns, most_tokens=settings.most_tokens, workers=settings.workers,
        )  # fmt: skip
        task = f"{rollouts[0].task}, {rollouts[0].variant}"
        if self._task not in (None, task):
            raise ValueError(f"{self.folder}: was trained on {self._task}, not on {task}; name another folder")
        self._task = task
        return rollouts

    def _learn(self, rollouts: list[Rollout], begun: float) -> Update:
        settings = self.settings
        rewards = [rollout.reward - settings.turn_cost * len(rollout.turns) for rollout in rollouts]
        advantages = group_advantages(settings.algorithm, rewards, [rollout.group for rollout in rollouts])
        if settings.permute_advantages:
            advantages = advantages[torch.randperm(len(rollouts), generator=self._chance)]
        batch = Batch.of(rollouts, next(iter(self.policy.parameters())).device)
        advantages = advantages.to(batch.ids.device)
        reference = self._reference(batch)
        told: dict[str, float] = {}
        for _ in range(settings.epochs):
            told = self._step(batch, advantages, reference)
        scores = [rollout.score for rollout in rollouts if rollout.score is not None]
        number = self.done + 1
        seconds = (self._updates[-1].seconds if self._updates else 0.0) + time.perf_counter() - begun
        return Update(
            update=number, episodes=number * len(rollouts), seconds=seconds, reward=fmean(rewards),
            score=fmean(scores) if scores else None, scored=len(scores) / len(rollouts),
            turns=fmean(len(rollout.turns) for rollout in rollouts), **told,
        )  # fmt: skip

    def _step(self, batch: Batch, advantages: torch.Tensor, reference: TokenScores | None) -> dict[str, float]:
        """One step of the optimiser; what is told of it, as it was before the step."""
        told = {"loss": 0.0, "entropy": 0.0, "kl": 0.0}
        self._optimizer.zero_grad()
        for rows in self._slices(batch):
            weight = len(batch.ids[rows]) / len(batch.ids)  # all parts of the loss are means over episodes
            parts = self._loss(batch.rows(rows), advantages[rows], None if reference is None else reference.rows(rows))
            loss = parts["loss"] - self.settings.entropy * parts["entropy"] + self.settings.kl * parts["kl"]
            (weight * loss).backward()
            for name, value in parts.items():
                told[name] += weight * value.item()
        norm = float(torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.settings.gradient_norm))
        if not math.isfinite(norm + sum(told.values())):
            raise FloatingPointError(f"update {self.done + 1}: loss {told['loss']}, norm of its gradient {norm}")
        self._optimizer.step()
        return {**told, "gradient_norm": norm}

    def _loss(self, batch: Batch, advantages: torch.Tensor, reference: TokenScores | None) -> dict[str, torch.Tensor]:
        scores = self.policy.evaluate(batch)
        if self.settings.algorithm == "grpo":
            loss = grpo_loss(scores, batch, advantages, self.settings.clip)
        else:
            loss = reinforce_loss(scores, batch, advantages)
        divergence = loss.new_zeros(()) if reference is None else kl_divergence(scores, reference, batch)
        return {"loss": loss, "entropy": mean_entropy(scores, batch), "kl": divergence}

    def _slices(self, batch: Batch) -> list[slice]:
        size = self.settings.episodes_at_once or len(batch.ids)
        return [slice(first, first + size) for first in range(0, len(batch.ids), size)]

    def _reference(self, batch: Batch) -> TokenScores | None:
        """What the first policy says of a batch, without gradients."""
        if self._first is None:
            return None
        now = _copied(self.policy.state())
        self.policy.load_state(self._first)
        try:
            with torch.no_grad():
                return TokenScores.joined([self.policy.evaluate(batch.rows(rows)) for rows in self._slices(batch)])
        finally:
            self.policy.load_state(now)

    def _keep(self, update: Update, rollouts: list[Rollout]) -> None:
        """Write the update's line, then the checkpoint: a line behind the checkpoint is dropped when training goes on."""
        if self.settings.keep_rollouts:
            path = self.folder / ROLLOUTS / f"update-{update.update:05}.jsonl"
            path.parent.mkdir(exist_ok=True)
            path.unlink(missing_ok=True)  # of an update that was cut off
            write_rollouts(path, rollouts)
        with (self.folder / UPDATES).open("a", encoding="utf-8") as file:
            file.write(_line(update))
        self._updates.append(update)
        content = {
            "settings": asdict(self.settings), "task": self._task, "updates": [asdict(one) for one in self._updates],
            "policy": self.policy.state(), "first": self._first, "optimizer": self._optimizer.state_dict(),
            "chance": self._chance.get_state(),
        }  # fmt: skip
        with whole_file(self.folder / CHECKPOINT) as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())

    def _go_on(self) -> None:
        """Take on the folder's checkpoint, if there is one; what else the folder says of updates is written anew from it."""
        path = self.folder / CHECKPOINT
        for left in self.folder.glob(f".{CHECKPOINT}.*.part"):  # by trainings that were killed: the folder is this one's alone
            left.unlink()
        if path.exists():
            self._take_on(path)
        else:
            self._updates = []
        write_whole(self.folder / UPDATES, "".join(map(_line, self._updates)))

    def _take_on(self, path: Path) -> None:
        try:
            content = torch.load(path, weights_only=True, map_location="cpu")
            before = dict(content["settings"])
            first, optimizer, chance = content["first"], content["optimizer"], content["chance"]
            updates, task, policy = [Update(**update) for update in content["updates"]], content["task"], content["policy"]
        except OSError:
            raise
        except Exception as error:  # what torch raises for a file that is none of its own is of every kind
            raise ValueError(
                f"{path}: is no checkpoint of a training ({type(error).__name__}: {_first_line(error)}); name another folder"
            ) from error
        now = asdict(self.settings)
        for field in fields(TrainingSettings):
            if field.name not in _FREE_TO_CHANGE and before.get(field.name) != now[field.name]:
                raise ValueError(
                    f"{path}: was trained with {field.name}={before.get(field.name)!r}, not {now[field.name]!r}; "
                    "name another folder, or go on with the same settings"
                )
        try:
            self.policy.load_state(policy)
        except (RuntimeError, KeyError, ValueError) as error:
            raise ValueError(f"{path}: is of another policy: {_first_line(error)}; name another folder") from error
        self._updates, self._task, self._first = updates, task, first
        self._optimizer.load_state_dict(optimizer)
        self._chance.set_state(chance)


def _line(update: Update) -> str:
    return json.dumps(asdict(update)) + "\n"


def _copied(state: Any) -> Any:
    """A state whose tensors no training changes."""
    if isinstance(state, torch.Tensor):
        return state.detach().clone()
    return {key: _copied(value) for key, value in state.items()} if isinstance(state, Mapping) else state


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold a folder while a trainer is at work in it."""
    with (folder / ".training.lock").open("w") as file:
        if not take(file.fileno(), folder):
            raise FileExistsError(f"{folder}: another trainer is at work in it")
        yield


def _first_line(error: Exception) -> str:
    """What an error says in short; torch's go over many lines."""
    return str(error).partition("\n")[0]
