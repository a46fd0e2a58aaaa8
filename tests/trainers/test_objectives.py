"""Grammars, batches, advantages and losses, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from made_rollouts import rollout

from mlgym_lite.training.batches import Batch, TokenScores
from mlgym_lite.training.grammar import BEGIN, ActionGrammar, Command
from mlgym_lite.training.objectives import group_advantages, grpo_loss, kl_divergence, mean_entropy, reinforce_loss

PAIR = [rollout((7,), (1, 2, 3), (1, 0, 1), (-0.5, 0.0, -1.0)), rollout((8, 9), (4,), (1,), (-2.0,))]


def test_a_batch_keeps_what_was_sampled_apart() -> None:
    """Ids, which are there, which were sampled and how likely they were; the first token is never predicted."""
    batch = Batch.of(PAIR)
    assert batch.ids.tolist() == [[7, 1, 2, 3], [8, 9, 4, 0]] and batch.ids.dtype == torch.int64
    assert batch.is_there.tolist() == [[True] * 4, [True, True, True, False]]
    assert batch.is_sampled.tolist() == [[True, False, True], [False, True, False]]
    assert batch.recorded.tolist() == [[-0.5, 0.0, -1.0], [0.0, -2.0, 0.0]]
    with pytest.raises(ValueError, match="a prompt"):
        Batch.of([rollout((), (1,), (1,), (-1.0,))])


def test_scores_of_logits() -> None:
    """Of two tokens at odds 3 to 1: log-probabilities and entropy; what may not be said takes no part; observations are 0."""
    batch = Batch.of([rollout((0,), (1, 1), (1, 0), (-0.1, 0.0))])
    logits = torch.tensor([[[math.log(3.0), 0.0, -math.inf], [0.0, 5.0, 1.0]]], requires_grad=True)
    scores = TokenScores.of(logits, batch)
    assert scores.logprobs[0].tolist() == pytest.approx([math.log(0.25), 0.0])
    assert scores.entropy[0].tolist() == pytest.approx([0.75 * math.log(4 / 3) + 0.25 * math.log(4), 0.0])
    (scores.logprobs.sum() + scores.entropy.sum()).backward()
    assert logits.grad is not None and logits.grad[0, 1].tolist() == [0.0, 0.0, 0.0] and logits.grad.isfinite().all()


def test_advantages() -> None:
    """Within each group; of equals, and of one alone, nothing."""
    rewards, groups = [1.0, 3.0, 5.0, 5.0, 5.0, 9.0], [0, 0, 0, 1, 1, 2]
    assert group_advantages("grpo", rewards, groups).tolist() == pytest.approx([-1.0, 0.0, 1.0, 0.0, 0.0, 0.0], abs=1e-5)
    assert group_advantages("reinforce", rewards, groups).tolist() == [-3.0, 0.0, 3.0, 0.0, 0.0, 0.0]


def test_losses() -> None:
    """GRPO's ratio is clipped where that lowers the gain; REINFORCE sums; the divergence and the entropy are means by episode."""
    batch = Batch.of(PAIR)
    # ratios: of the first episode e^0.3 and 1, of the second e^-0.5
    now = TokenScores(
        logprobs=torch.tensor([[-0.2, 0.0, -1.0], [0.0, -2.5, 0.0]]), entropy=torch.tensor([[1.0, 9.0, 3.0], [9.0, 4.0, 9.0]])
    )
    advantages = torch.tensor([1.0, -1.0])
    first, second = (1.2 + 1.0) / 2, -max(math.exp(-0.5), 0.8)
    assert grpo_loss(now, batch, advantages, 0.2).item() == pytest.approx(-(first + second) / 2)
    assert reinforce_loss(now, batch, advantages).item() == pytest.approx(-((-1.2) + 2.5) / 2)
    assert mean_entropy(now, batch).item() == pytest.approx((2.0 + 4.0) / 2)
    before = TokenScores(logprobs=torch.tensor([[-0.2, 5.0, -1.0], [5.0, -2.0, 5.0]]), entropy=now.entropy)
    assert kl_divergence(now, before, batch).item() == pytest.approx((math.exp(0.5) - 0.5 - 1) / 2)


GRAMMAR = ActionGrammar(
    [
        Command(
            name="add", slots=[("1", "2"), ("1", "2", "3")], permits=lambda words: sum(map(int, words)) <= 3, render="+".join
        ),
        Command(name="submit", render=lambda words: "submit", after=("add",)),
    ],
    shown_words=("good", "bad"),
    show=lambda observation, reward: ["good" if reward > 0 else "bad"] * len(observation),
)


def test_a_grammar_says_what_may_follow() -> None:
    """Slot by slot, with what is permitted; a command that comes after another not before it; what is shown is never said."""
    words = GRAMMAR.words
    add, submit, one, two, three, good, bad = map(words.index, ("add", "submit", "1", "2", "3", "good", "bad"))
    assert words[BEGIN] == "<begin>" and GRAMMAR.size == 8
    assert GRAMMAR.allowed([BEGIN]) == [add]
    assert GRAMMAR.allowed([BEGIN, add]) == [one, two]
    assert GRAMMAR.allowed([BEGIN, add, one]) == [one, two] and GRAMMAR.allowed([BEGIN, add, two]) == [one]
    assert not GRAMMAR.is_whole([BEGIN, add, one]) and GRAMMAR.is_whole([BEGIN, add, one, two])
    assert GRAMMAR.allowed([BEGIN, add, one, two]) == GRAMMAR.allowed([BEGIN, add, one, two, good, bad]) == [add, submit]
    assert GRAMMAR.action([add, two, one]) == "2+1" and GRAMMAR.action([submit]) == "submit"
    assert GRAMMAR.observe("ab", 1.0) == [good, good] and GRAMMAR.observe("", 1.0) == [] and three == 5


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ([Command(name="a", render="".join)] * 2, "have one name"),
        ([Command(name="a", render="".join, slots=[()])], "'a' has a slot without words"),
        ([Command(name="a", render="".join, after=("b",))], "'a' comes after 'b', which is none of a"),
        ([], "no command that may come first"),
        ([Command(name="a", render="".join, after=("a",))], "no command that may come first"),
    ],
)
def test_grammars_that_cannot_be(commands: list[Command], message: str) -> None:
    """Two commands of one name; none that may be first; a slot without words; another command's name that is none."""
    with pytest.raises(ValueError, match=message):
        ActionGrammar(commands)


def test_a_word_that_is_not_shown() -> None:
    """Is told with those that are."""
    grammar = ActionGrammar([Command(name="a", render="".join)], shown_words=("x",), show=lambda observation, reward: ["y"])
    with pytest.raises(ValueError, match="'y', which is none of the shown_words: x"):
        grammar.observe("", 0.0)


def test_a_slot_that_permits_nothing() -> None:
    """Is told with its command and what stands before it."""
    grammar = ActionGrammar([Command(name="a", slots=[("x",), ("y",)], permits=lambda words: "y" not in words, render="".join)])
    with pytest.raises(ValueError, match=r"'a' permits no word behind \['x'\]"):
        grammar.allowed([BEGIN, 1, 2])
