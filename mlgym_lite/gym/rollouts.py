"""Rollouts: many episodes at once under a policy that samples tokens, recorded so that a trainer needs nothing else.

The policy acts for all episodes that go on in one call, so that a model can answer in one batch; their actions then run side by
side, each in its own sandbox. Token ids are kept exactly as they were sampled: no text is ever tokenised again. Of each token it
is known whether the policy sampled it (mask 1) or the environment showed it (mask 0, never to be trained on).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from mlgym_lite import __version__
from mlgym_lite.gym.environment import TaskEnvironment

StopReason = Literal["terminated", "truncated", "turn_limit", "token_limit"]
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """One action that a policy sampled."""

    action: str
    """The shell input."""
    ids: Sequence[int]
    """Its tokens, at least one."""
    logprobs: Sequence[float]
    """Natural logarithms of their probabilities under the policy that sampled them; as many as ids, at most 0."""
    closing: Sequence[int] = ()
    """Tokens that end the action where the policy did not, such as the end of a turn that was cut; they are not sampled."""


class TokenPolicy(Protocol):
    """Samples actions as tokens."""

    def prompt(self, instruction: str) -> Sequence[int]:
        """The tokens before the first action."""
        ...

    def act(self, contexts: Sequence[Sequence[int]]) -> Sequence[Sampled]:
        """One action for each context, which is everything so far: prompt, actions and observations."""
        ...

    def observe(self, observation: str, reward: float) -> Sequence[int]:
        """The tokens that show the policy what an action printed, and its reward; may be none."""
        ...


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One action with what came of it."""

    action: str
    observation: str
    reward: float
    exit_status: int | None
    first_token: int
    """Where in completion_ids its tokens begin."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One episode, up to the last token that the policy sampled. The lists over completion tokens are of one length."""

    task: str
    variant: str
    seed: int
    group: int
    """Rollouts of one group had the same task and seed: their rewards are compared with one another."""
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    mask: tuple[int, ...]
    """1: the policy sampled the token. 0: the environment showed it; no gradient may reach it."""
    logprobs: tuple[float, ...]
    """When it was sampled; 0.0 where the mask is 0."""
    turns: tuple[Turn, ...]
    stop_reason: StopReason
    score: float | None
    """Of the submission, in the metric's unit; None without one."""
    run_directory: str = ""
    instruction: str = ""
    """What the episode began with, as text."""
    versions: dict[str, str] = field(default_factory=lambda: {"mlgym_lite": __version__})

    @property
    def reward(self) -> float:
        """The sum of the turns' rewards."""
        return sum(turn.reward for turn in self.turns)

    @property
    def token_rewards(self) -> tuple[float, ...]:
        """Each turn's reward at the last token that its action has, 0 elsewhere; as long as completion_ids."""
        rewards = [0.0] * len(self.completion_ids)
        for turn, (sampled, _) in zip(self.turns, self.token_ranges, strict=True):
            rewards[sampled.stop - 1] = turn.reward
        return tuple(rewards)

    @property
    def token_ranges(self) -> list[tuple[range, range]]:
        """Of each turn, where in completion_ids its action is, and what it showed; the latter may be empty."""
        ends = [*(turn.first_token for turn in self.turns[1:]), len(self.mask)]
        found = []
        for turn, end in zip(self.turns, ends, strict=True):
            shown = next((at for at in range(turn.first_token, end) if not self.mask[at]), end)
            found.append((range(turn.first_token, shown), range(shown, end)))
        return found


@dataclass(kw_only=True)
class _Played:
    """An episode on its way."""

    environment: TaskEnvironment
    group: int
    seed: int
    instruction: str
    prompt_ids: list[int]
    ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    stop_reason: StopReason | None = None

    def play(self, sampled: Sampled, observe: Callable[[str, float], Sequence[int]]) -> None:
        """Run an action and take in what it shows."""
        if not sampled.ids or len(sampled.ids) != len(sampled.logprobs):
            raise ValueError(f"an action of {len(sampled.ids)} tokens with {len(sampled.logprobs)} log-probabilities")
        first = len(self.ids)
        observation, reward, terminated, truncated, self.info = self.environment.step(sampled.action)
        self._extend(sampled.ids, 1, sampled.logprobs)
        self.turns.append(
            Turn(
                action=sampled.action, observation=observation, reward=reward, exit_status=self.info.get("exit_status"),
                first_token=first,
            )
        )  # fmt: skip
        self.stop_reason = "terminated" if terminated else "truncated" if truncated else None
        if self.stop_reason is None:
            shown = [*sampled.closing, *observe(observation, reward)]
            self._extend(shown, 0, [0.0] * len(shown))

    def _extend(self, ids: Sequence[int], mask: int, logprobs: Sequence[float]) -> None:
        self.ids += ids
        self.mask += [mask] * len(ids)
        self.logprobs += logprobs

    def rollout(self) -> Rollout:
        """The record of it; what was shown last is no token of it, since nothing was sampled behind that."""
        episode = self.environment.episode
        outcome = self.info.get("outcome")
        assert self.stop_reason is not None
        end = 1 + max(at for at, sampled in enumerate(self.mask) if sampled)
        return Rollout(
            task=episode.task.name, variant=episode.settings.variant, seed=self.seed, group=self.group,
            prompt_ids=tuple(self.prompt_ids), completion_ids=tuple(self.ids[:end]), mask=tuple(self.mask[:end]),
            logprobs=tuple(self.logprobs[:end]), turns=tuple(self.turns), stop_reason=self.stop_reason,
            score=None if outcome is None else outcome.score, run_directory=str(episode.run_directory),
            instruction=self.instruction,
        )  # fmt: skip


def collect(
    policy: TokenPolicy,
    make_environment: Callable[[], TaskEnvironment],
    seeds: Sequence[int],
    *,
    group_size: int = 1,
    most_turns: int | None = None,
    most_tokens: int | None = None,
    workers: int = 8,
) -> list[Rollout]:
    """Play `group_size` episodes for each seed, all at once; group g has the seed seeds[g].

    An episode also ends after `most_turns` actions, or when its completion has `most_tokens` or more; its reward is then what it
    was given so far. `workers` is how many actions run side by side.

    Raises:
        MLGymLiteError: An environment failed; all of them are closed then, as they are at the end.
        ValueError: The policy sampled something else than one action of some tokens for each context, or two episodes were given
            one environment.
        TypeError: They were given something that is no task's environment.
    """
    environments = [_plain(make_environment()) for _ in range(len(seeds) * group_size)]
    if len({*map(id, environments)}) < len(environments):
        raise ValueError("make_environment gave one environment twice; each episode needs one of its own")
    chosen = [(group, seed) for group, seed in enumerate(seeds) for _ in range(group_size)]
    try:
        with ThreadPoolExecutor(workers) as pool:
            try:
                return _collected(policy, environments, chosen, pool, most_turns, most_tokens)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for environment in environments:
                    environment.interrupt()  # what runs is not waited for
                raise
    finally:
        for environment in environments:
            environment.close()


def _plain(environment: Any) -> TaskEnvironment:
    """Without what gymnasium.make wraps around it."""
    found = getattr(environment, "unwrapped", environment)
    if not isinstance(found, TaskEnvironment):
        raise TypeError(f"make_environment gave a {type(found).__name__}; expected a TaskEnvironment")
    return found


def _collected(
    policy: TokenPolicy,
    environments: Sequence[TaskEnvironment],
    chosen: Sequence[tuple[int, int]],
    pool: ThreadPoolExecutor,
    most_turns: int | None,
    most_tokens: int | None,
) -> list[Rollout]:
    """One episode of each environment, with the group and seed that is chosen for it."""
    played: list[_Played] = []
    begun = pool.map(lambda environment, which: environment.reset(seed=which[1])[0], environments, chosen)
    for environment, (group, seed), instruction in zip(environments, chosen, begun, strict=True):
        prompt = list(policy.prompt(instruction))
        played.append(_Played(environment=environment, group=group, seed=seed, instruction=instruction, prompt_ids=prompt))
    _play_all(policy, played, pool, most_turns, most_tokens)
    return [one.rollout() for one in played]


def _play_all(
    policy: TokenPolicy, played: Sequence[_Played], pool: ThreadPoolExecutor, most_turns: int | None, most_tokens: int | None
) -> None:
    """One turn of every episode that goes on, until none does."""
    while live := [one for one in played if one.stop_reason is None]:
        actions = policy.act([[*one.prompt_ids, *one.ids] for one in live])
        if len(actions) != len(live):
            raise ValueError(f"the policy gave {len(actions)} actions for {len(live)} contexts")
        list(pool.map(lambda one, sampled: one.play(sampled, policy.observe), live, actions))
        for one in live:
            if one.stop_reason is None and most_turns is not None and len(one.turns) >= most_turns:
                one.stop_reason = "turn_limit"
            elif one.stop_reason is None and most_tokens is not None and len(one.ids) >= most_tokens:
                one.stop_reason = "token_limit"


def write_rollouts(path: Path, rollouts: Iterable[Rollout]) -> None:
    """Append rollouts to a file, a line of JSON each; raises OSError."""
    with path.open("a", encoding="utf-8") as file:
        for rollout in rollouts:
            content = {"schema_version": SCHEMA_VERSION, **asdict(rollout)}
            file.write(json.dumps(content) + "\n")


def read_rollouts(path: Path) -> Iterator[Rollout]:
    """The rollouts of a file, exactly as they were written; raises ValueError with the file and line."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                content = json.loads(line)
                if content.pop("schema_version") != SCHEMA_VERSION:
                    raise ValueError("another schema_version")
                turns = tuple(Turn(**turn) for turn in content.pop("turns"))
                content |= {key: tuple(content[key]) for key in ("prompt_ids", "completion_ids", "mask", "logprobs")}
                yield Rollout(**content, turns=turns)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"{path}:{number}: is no rollout: {error}") from error
