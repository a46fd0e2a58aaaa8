"""Rollouts of real episodes: tokens as they were sampled, masks, log-probabilities, groups, limits, and what is written."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import gymnasium
import pytest
from tiny_environments import tiny_environments

from mlgym_lite.errors import GraderError
from mlgym_lite.gym.environment import TaskEnvironment
from mlgym_lite.gym.rollout_formats import as_atif, as_skyrl, as_trl, as_verifiers
from mlgym_lite.gym.rollouts import Rollout, Sampled, collect, read_rollouts, write_rollouts

pytestmark = pytest.mark.kernel

BEGIN, SUBMIT, SHOWN = 100, 101, 200
"""Ids of tokens: of the prompt, of a submission, and of observations; what is below 100 is a number that is written."""


class Writer:
    """Writes numbers that it draws, then submits; each action has a token of two for its number, or one for the submission."""

    def __init__(self, turns: int = 2) -> None:
        self._turns = turns
        self._chance = random.Random(1)
        self.contexts: list[list[int]] = []

    def prompt(self, instruction: str) -> Sequence[int]:
        """The instruction's length is all it needs of it."""
        return [BEGIN, len(instruction)]

    def act(self, contexts: Sequence[Sequence[int]]) -> Sequence[Sampled]:
        """Another number, or the submission after so many."""
        self.contexts += map(list, contexts)
        return [self._submitted() if context.count(SHOWN) == self._turns else self._written() for context in contexts]

    def _written(self) -> Sampled:
        number = self._chance.randrange(1, 5)
        return Sampled(action=f"echo {number} > answer.txt; echo é; validate", ids=[0, number], logprobs=[-0.5, -number / 10])

    def _submitted(self) -> Sampled:
        return Sampled(action="submit", ids=[SUBMIT], logprobs=[-0.25])

    def observe(self, observation: str, reward: float) -> Sequence[int]:
        """One token that says that there was one, and one for the reward in hundredths."""
        assert observation.startswith("é\n")
        return [SHOWN, int(reward * 100)]


@pytest.fixture
def make(
    make_task: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path
) -> Callable[..., Callable[[], TaskEnvironment]]:
    """Makes environments of the tiny task, whose goal is 5 and whose baseline is 1."""
    environments = tiny_environments(make_task, monkeypatch, cache, tmp_path)
    return lambda **options: environments(reward="improvement", **options)


def test_tokens_are_kept_as_they_were_sampled(make: Callable[..., Callable[[], TaskEnvironment]], tmp_path: Path) -> None:
    """Groups share a seed; observation tokens have mask 0 and no log-probability; contexts are prompts with all that followed."""
    policy = Writer()
    found = collect(policy, make(), [7, 8], group_size=3)
    assert [(one.group, one.seed) for one in found] == [(0, 7)] * 3 + [(1, 8)] * 3
    for one in found:
        first, second = one.completion_ids[1], one.completion_ids[5]
        gains = [(first - 1) / 4, max(0, second - first) / 4]
        assert one.prompt_ids == (BEGIN, len("Write a number into answer.txt.\n"))
        assert one.completion_ids == (0, first, SHOWN, int(gains[0] * 100), 0, second, SHOWN, int(gains[1] * 100), SUBMIT)
        assert one.mask == (1, 1, 0, 0, 1, 1, 0, 0, 1)
        assert one.logprobs == (-0.5, -first / 10, 0.0, 0.0, -0.5, -second / 10, 0.0, 0.0, -0.25)
        assert one.token_rewards == (0.0, gains[0], 0.0, 0.0, 0.0, gains[1], 0.0, 0.0, 0.0)
        assert (one.stop_reason, one.score, one.reward) == ("terminated", float(second), pytest.approx(sum(gains)))
        assert [turn.first_token for turn in one.turns] == [0, 4, 8] and one.turns[0].exit_status == 0
        assert [*one.prompt_ids, *one.completion_ids[:8]] in policy.contexts
    assert len({one.completion_ids for one in found}) > 1
    assert not list((tmp_path / "temporary").iterdir())


def test_they_are_read_as_they_were_written(make: Callable[..., Callable[[], TaskEnvironment]], tmp_path: Path) -> None:
    """To the last digit; a line that is none is told."""
    found = collect(Writer(), make(), [1], group_size=2)
    file = tmp_path / "rollouts.jsonl"
    write_rollouts(file, found[:1])
    write_rollouts(file, found[1:])
    assert list(read_rollouts(file)) == found and found[0].instruction == "Write a number into answer.txt.\n"
    with file.open("a") as appended:
        appended.write('{"schema_version": 1}\n')
    with pytest.raises(ValueError, match=r"rollouts\.jsonl:3: is no rollout"):
        list(read_rollouts(file))


def test_limits_end_them(make: Callable[..., Callable[[], TaskEnvironment]]) -> None:
    """Of turns, of tokens, and the episode's own of steps."""
    by_turns = collect(Writer(9), make(), [1], most_turns=2)[0]
    assert (by_turns.stop_reason, len(by_turns.turns), by_turns.score) == ("turn_limit", 2, None)
    by_tokens = collect(Writer(9), make(), [1], most_tokens=5)[0]
    assert (by_tokens.stop_reason, len(by_tokens.completion_ids)) == ("token_limit", 6)
    by_steps = collect(Writer(9), make(max_steps=3), [1])[0]
    assert (by_steps.stop_reason, len(by_steps.turns)) == ("truncated", 3) and by_steps.score is not None


def test_trainers_forms(make: Callable[..., Callable[[], TaskEnvironment]]) -> None:
    """Every list over tokens has as many as there are, and the ids are the same."""
    found = collect(Writer(), make(), [3], group_size=2)
    trl, skyrl = as_trl(found), as_skyrl(found)
    for at, one in enumerate(found):
        count = len(one.completion_ids)
        assert tuple(trl["completion_ids"][at]) == tuple(skyrl["response_ids"][at]) == one.completion_ids
        assert {len(trl[key][at]) for key in ("completion_ids", "logprobs", "env_mask")} == {count}
        assert {len(skyrl[key][at]) for key in ("response_ids", "rewards", "loss_masks", "rollout_logprobs")} == {count}
        assert sum(skyrl["rewards"][at]) == pytest.approx(trl["env_reward"][at]) and trl["env_reward"][at] == one.reward
    assert [one.to_string().rsplit("_", 1)[1] for one in skyrl["trajectory_ids"]] == ["0", "1"]
    assert as_skyrl([])["response_ids"] == []
    for content in (trl, as_verifiers(found[0]), as_atif(found[0])):
        assert json.loads(json.dumps(content)) == content


def test_trajectories_with_tokens(make: Callable[..., Callable[[], TaskEnvironment]]) -> None:
    """ATIF's own package reads them back: each step has the ids before it, its own and their log-probabilities."""
    atif = pytest.importorskip("atif", reason="needs Python 3.11")
    (rollout,) = collect(Writer(), make(), [3])
    document = as_atif(rollout)
    read = atif.Trajectory.model_validate(document)
    assert read.model_dump(mode="json", exclude_none=True) == document
    steps = [step for step in read.steps if step.source == "agent"]
    assert len(steps) == len(rollout.turns) == 3
    for step, (sampled, _) in zip(steps, rollout.token_ranges, strict=True):
        metrics = step.metrics
        assert tuple(metrics.prompt_token_ids) == (*rollout.prompt_ids, *rollout.completion_ids[: sampled.start])
        assert tuple(metrics.completion_token_ids) == rollout.completion_ids[sampled.start : sampled.stop]
        assert tuple(metrics.logprobs) == rollout.logprobs[sampled.start : sampled.stop]


def test_what_goes_wrong_ends_all(
    make_task: Callable[..., Path], make: Callable[..., Callable[[], TaskEnvironment]], tmp_path: Path
) -> None:
    """A grader that fails, or a policy that gives no tokens; nothing is left behind."""
    broken = make_task("broken", grader="exit 3")
    with pytest.raises(GraderError):
        collect(Writer(), lambda: TaskEnvironment(broken), [1, 2])

    class Silent(Writer):
        def act(self, contexts: Sequence[Sequence[int]]) -> Sequence[Sampled]:
            return [Sampled(action="ls", ids=[], logprobs=[]) for _ in contexts]

    with pytest.raises(ValueError, match="an action of 0 tokens"):
        collect(Silent(), make(), [1])
    one = make()()
    with pytest.raises(ValueError, match="one environment twice"):
        collect(Writer(), lambda: one, [1, 2])
    with pytest.raises(TypeError, match="gave a int"):
        collect(Writer(), lambda: 3, [1])  # type: ignore[arg-type, return-value]
    wrapped = collect(Writer(), lambda: gymnasium.wrappers.OrderEnforcing(make()()), [1])  # type: ignore[arg-type, return-value]
    assert wrapped[0].stop_reason == "terminated"
    assert not list((tmp_path / "temporary").iterdir())


def test_a_failure_waits_for_no_command(make: Callable[..., Callable[[], TaskEnvironment]], tmp_path: Path) -> None:
    """What runs in other episodes is killed, so that the failure comes out at once; nothing is left behind."""

    class Broken(Writer):
        def act(self, contexts: Sequence[Sequence[int]]) -> Sequence[Sampled]:
            actions = ["echo é", "mkfifo pipe; cat pipe"]
            return [Sampled(action=action, ids=[0], logprobs=[-1.0]) for action in actions]

        def observe(self, observation: str, reward: float) -> Sequence[int]:
            raise LookupError("no words for it")

    begun = time.monotonic()
    with pytest.raises(LookupError):
        collect(Broken(), make(), [1, 2])
    assert time.monotonic() - begun < 20  # the command's own limit is 30
    assert not list((tmp_path / "temporary").iterdir())


def test_rewards_stand_at_the_end_of_actions() -> None:
    """Also where an observation shows nothing."""
    from mlgym_lite.gym.rollouts import Turn

    turns = [
        Turn(action="a", observation="", reward=reward, exit_status=0, first_token=at) for at, reward in ((0, 1.0), (2, 2.0))
    ]
    made = Rollout(
        task="t", variant="mini", seed=0, group=0, prompt_ids=(), completion_ids=(5, 6, 7, 8), mask=(1, 1, 1, 0),
        logprobs=(-1.0, -1.0, -1.0, 0.0), turns=tuple(turns), stop_reason="terminated", score=None,
    )  # fmt: skip
    assert made.token_rewards == (0.0, 1.0, 2.0, 0.0)
    assert made.token_ranges == [(range(2), range(2, 2)), (range(2, 3), range(3, 4))]
