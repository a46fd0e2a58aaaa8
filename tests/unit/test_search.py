"""Searches against values worked out by hand, on a small made-up tree of states instead of an episode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from mlgym_lite.agents.protocol import Observation
from mlgym_lite.search.rules import alphamath, exact, uct
from mlgym_lite.search.searches import aide, best_of_n, global_leaves, mcts, step_beam
from mlgym_lite.search.space import Intent, OutOfBudget, Proposal, State
from mlgym_lite.search.tree import Node, best_of, most_visited


@pytest.mark.parametrize(
    ("rule", "numbers", "expected"),
    [
        (exact, (0.5, 0.25, 3, 16), 0.5 + 0.25 * 4 / 4),
        (exact, (0.5, 0.25, 0, 0), 0.5 + 0.25),
        (exact, (0.0, 0.4, 0, 9, 2.0), 2.0 * 0.4 * 3),
        (alphamath, (0.5, 0.25, 3, 16), 0.5 + 1.5 * 0.25 * 4 / 4),
        (alphamath, (-0.5, 1.0, 0, 0), -0.5),
        (uct, (0.5, 0.9, 2, 8), 0.5 + math.sqrt(math.log(8) / 2)),
        (uct, (0.5, 0.1, 4, 8, 3.0), 0.5 + 3 * math.sqrt(math.log(8) / 4)),
        (uct, (0.5, 0.1, 0, 8), math.inf),
    ],
)
def test_rules(rule: Any, numbers: tuple[float, ...], expected: float) -> None:
    """As the papers have them, with their own c where none is given."""
    assert rule(*numbers) == pytest.approx(expected)


def test_values_are_backed_up_as_means() -> None:
    """To the root, through every node on the way; ExACT's N(s) leaves a node's own value out."""
    root = Node()
    root.expand([Proposal(action="a", prior=3.0), Proposal(action="b", prior=1.0)])
    a, b = root.children
    assert [child.proposal.prior for child in root.children if child.proposal] == [0.75, 0.25]
    a.back_up(0.5)
    a.expand([Proposal(action="c", prior=0.0), Proposal(action="d", prior=0.0)])
    c, d = a.children
    assert c.proposal is not None and c.proposal.prior == 0.5
    c.back_up(1.0)
    d.back_up(-0.3)
    b.back_up(0.0)
    assert (root.visits, a.visits, b.visits, c.visits) == (4, 3, 1, 1)
    assert (root.q, a.q, b.q, c.q) == pytest.approx((0.3, 0.4, 0.0, 1.0))
    assert (root.traversals, a.traversals, c.traversals) == (4, 2, 0)
    assert most_visited(root) is a and d.depth == 2


class MadeUpSpace:
    """States are the texts of the actions so far; values stand in a table, and are -1 without a score where it has none."""

    def __init__(self, values: dict[str, float], steps: int) -> None:
        self._values = values
        self.steps_left = steps
        self.ran: list[str] = []
        self.first = self._state("", 0.0)

    def _state(self, path: str, value: float | None) -> State:
        snapshot: Any = path
        shown = Observation(text=path, working_directory="")
        return State(
            snapshot=snapshot, shown=shown, score=value if path else None, value=-1.0 if value is None else value,
            is_goal=value == 1.0,
        )  # fmt: skip

    def check(self) -> None:
        """As EpisodeSpace has it."""
        if self.steps_left <= 0:
            raise OutOfBudget

    def run(self, state: State, proposal: Proposal) -> State:
        """As EpisodeSpace has it."""
        self.check()
        self.steps_left -= 1
        path = state.observation + proposal.action
        self.ran.append(path)
        return self._state(path, self._values.get(path))


class Letters:
    """Proposes the letters a, b, c … in turn at each state, with the priors it was given."""

    def __init__(self, *priors: float) -> None:
        self._priors = priors
        self._asked: dict[str, int] = {}
        self.intents: list[tuple[str, Intent]] = []

    def propose(self, state: State, count: int, intent: Intent) -> Sequence[Proposal]:
        """The next `count` letters."""
        self.intents.append((state.observation, intent))
        start = self._asked.get(state.observation, 0)
        self._asked[state.observation] = start + count
        numbers = range(start, start + count)
        return [
            Proposal(action=chr(97 + at), prior=self._priors[at % len(self._priors)] if self._priors else 1.0) for at in numbers
        ]


def space_of(values: dict[str, float], steps: int = 100) -> Any:
    """A made-up space, as the searches take it."""
    return MadeUpSpace(values, steps)


VALUES = {"a": 0.2, "b": 0.5, "aa": 0.9, "ab": 0.1, "ba": 0.4, "bb": 0.3}


def test_best_of_n_begins_anew() -> None:
    """Each attempt is so deep, and independent of the others."""
    space = space_of({**VALUES, "c": 0.1}, steps=5)
    root = best_of_n(space, Letters(), depth=2)
    assert space.ran == ["a", "aa", "b", "ba", "c"]
    best = best_of(root)
    assert best.state is not None and best.state.observation == "aa"


def test_exact_selects_by_q_and_prior() -> None:
    """Worked out by hand, c = 1: q + prior sqrt(N(s)) / (1 + N(s, a)).

    1. N = 0: a 0.6, b 0.4: a (0.2). 2. N = 1: a 0.2 + 0.6 / 2 = 0.5, b 0 + 0.4 = 0.4: a, there N(s) = 0: aa (0.6) (0.9).
    3. N = 2, q(a) = 0.55: a 0.55 + 0.6 * 1.414 / 3 = 0.833, b 0.566: a; N(s) = 1: aa 0.9 + 0.3 = 1.2, ab 0.4: aa, at its depth.
    So aa is exhausted and ab (0.1) is run. 4. N = 3, q(a) = 0.4: a is exhausted: b (0.5).
    """
    space = space_of(VALUES)
    root = mcts(space, Letters(0.6, 0.4), rule="exact", branching=2, depth=2)
    assert space.ran[:4] == ["a", "aa", "ab", "b"] and sorted(space.ran) == sorted(VALUES)
    assert root.visits == 6 and root.q == pytest.approx(sum(VALUES.values()) / 6)


def test_c_weighs_exploring() -> None:
    """Without it the better q is followed; with much of it, the prior."""
    greedy, curious = space_of(VALUES, steps=3), space_of(VALUES, steps=3)
    mcts(greedy, Letters(0.9, 0.1), rule="alphamath", c=0.0, branching=2, depth=2)
    assert greedy.ran == ["a", "aa", "ab"]
    mcts(curious, Letters(0.5, 0.5), rule="alphamath", c=100.0, branching=2, depth=2)
    assert curious.ran[:2] == ["a", "b"]
    every = space_of(VALUES, steps=2)
    mcts(every, Letters(0.99, 0.01), rule="uct", branching=2, depth=2)
    assert every.ran == ["a", "b"], "what was never visited comes first"


def test_global_selection_looks_at_all_leaves() -> None:
    """The best leaf of the whole tree is expanded, wherever it lies: b (0.5) before a (0.2), then ba (0.4) before both others."""
    space = space_of({**VALUES, "baa": 0.0, "bab": 0.0})
    global_leaves(space, Letters(), c=0.0, branching=2, depth=3)
    assert space.ran[:6] == ["a", "b", "ba", "bb", "baa", "bab"]


def test_the_beam_keeps_the_best() -> None:
    """Two of four first actions, then the best two of their four."""
    values = {"a": 0.1, "b": 0.5, "c": 0.3, "d": 0.2, "ba": 0.4, "bb": 0.45, "ca": 0.6, "cb": 0.1, "caa": 0.7, "cab": 0.0}
    space = space_of(values)
    root = step_beam(space, Letters(), width=2, samples=2, depth=3)
    assert space.ran == ["a", "b", "c", "d", "ba", "bb", "ca", "cb", "caa", "cab", "bba", "bbb"]
    best = best_of(root)
    assert best.state is not None and best.state.observation == "caa"


def test_aide_drafts_debugs_and_improves() -> None:
    """Two drafts, of which one is broken; it is debugged at most so often in a row, else the best is improved."""
    space, policy = space_of({"b": 0.1, "ba": 0.3, "baa": 0.2, "bab": 0.4}, steps=8), Letters()
    aide(space, policy, drafts=2, debug_probability=1.0, debug_depth=2)
    assert policy.intents[:2] == [("", "draft")] * 2
    assert policy.intents[2:4] == [("a", "debug"), ("aa", "debug")], "aaa is broken three times in a row: enough"
    assert policy.intents[4:] == [("b", "improve"), ("ba", "improve"), ("ba", "improve"), ("bab", "improve")], (
        "no more is asked than can be run"
    )
    never = Letters()
    aide(space_of({"b": 0.1}, steps=5), never, drafts=2, debug_probability=0.0)
    assert [intent for _, intent in never.intents[2:]] == ["improve"] * len(never.intents[2:])


@pytest.mark.parametrize(
    "search",
    [
        lambda space, policy: best_of_n(space, policy, depth=3),
        lambda space, policy: mcts(space, policy, branching=2, depth=3),
        lambda space, policy: global_leaves(space, policy, branching=2, depth=3),
        lambda space, policy: step_beam(space, policy, width=2, samples=2, depth=3),
        lambda space, policy: aide(space, policy, drafts=2),
    ],
)
def test_every_search_ends(search: Any) -> None:
    """With the steps, at the goal, and where a policy has nothing to propose; the root is best where nothing scored."""
    space = space_of({}, steps=4)
    root = search(space, Letters())
    assert len(space.ran) == 4 and best_of(root) is root
    space = space_of({"a": 1.0})
    best = best_of(search(space, Letters()))
    assert space.ran == ["a"] and best.state is not None and best.state.observation == "a"

    class Silent:
        def propose(self, state: State, count: int, intent: Intent) -> list[Proposal]:
            return []

    assert search(space_of({}), Silent()).children == []
