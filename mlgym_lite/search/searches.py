"""The searches: each goes through an episode's states with a policy and gives the tree that it saw.

Every one stops when its steps are used up, when nothing is left to try, or when the task's goal was reached, if it states one.
`tree.best_of` names the node to hand in: the best that was validated.
"""

from __future__ import annotations

import contextlib
import functools
import math
import random
from typing import Literal

from mlgym_lite.search.rules import RULES, Rule, uct
from mlgym_lite.search.space import EpisodeSpace, Intent, OutOfBudget, Policy
from mlgym_lite.search.tree import Node, best_of

Method = Literal["best-of-n", "exact", "alphamath", "uct", "global", "beam", "aide"]


def search(
    method: Method,
    space: EpisodeSpace,
    policy: Policy,
    *,
    branching: int = 3,
    depth: int = 8,
    c: float | None = None,
    seed: int = 0,
) -> Node:
    """The search of a name: `branching` is the actions tried at a state, the beam's width and samples, or AIDE's drafts."""
    if method == "best-of-n":
        return best_of_n(space, policy, depth=depth)
    if method == "global":
        return global_leaves(space, policy, c=1.0 if c is None else c, branching=branching, depth=depth)
    if method == "beam":
        return step_beam(space, policy, width=branching, samples=branching, depth=depth)
    if method == "aide":
        return aide(space, policy, drafts=branching, seed=seed)
    return mcts(space, policy, rule=method, c=c, branching=branching, depth=depth)


class _GoalReached(Exception):
    """There is nothing better to find."""


def _until_the_end() -> contextlib.suppress:
    return contextlib.suppress(OutOfBudget, _GoalReached)


def _run(space: EpisodeSpace, node: Node) -> None:
    """Run a node's action and take its value up to the root."""
    assert node.parent is not None and node.parent.state is not None and node.proposal is not None
    node.state = space.run(node.parent.state, node.proposal)
    node.back_up(node.state.value)
    if node.state.is_goal:
        raise _GoalReached


def _expand(space: EpisodeSpace, node: Node, policy: Policy, count: int, intent: Intent = "any") -> list[Node]:
    """Put proposals below a node; the new children. A policy is not asked for what cannot be run."""
    space.check()
    assert node.state is not None
    before = len(node.children)
    node.expand(list(policy.propose(node.state, count, intent)))
    return node.children[before:]


def best_of_n(space: EpisodeSpace, policy: Policy, *, depth: int) -> Node:
    """Independent attempts from the first state, each `depth` actions long, until the steps are used up."""
    root = Node(state=space.first)
    with _until_the_end():
        while True:
            node = root
            for _ in range(depth):
                children = _expand(space, node, policy, 1)
                if not children:
                    return root
                node = children[0]
                _run(space, node)
    return root


def mcts(
    space: EpisodeSpace, policy: Policy, *, rule: Rule = "exact", c: float | None = None, branching: int = 5, depth: int = 8
) -> Node:
    """Monte Carlo tree search: from the root down by the rule to an action that was not run, which is run and backed up.

    `branching` actions are proposed at each state once; `c` weighs exploring (None: the rule's own).
    """
    score = RULES[rule] if c is None else functools.partial(RULES[rule], c=c)
    root = Node(state=space.first)

    def worth(child: Node) -> float:
        assert child.parent is not None and child.proposal is not None
        parent_visits = child.parent.traversals if rule == "exact" else child.parent.visits
        return score(child.q, child.proposal.prior, child.visits, parent_visits)

    with _until_the_end():
        while root.is_open(depth):
            node = root
            while node.state is not None:
                if not node.is_expanded:
                    _expand(space, node, policy, branching)
                open_children = [child for child in node.children if child.is_open(depth)]
                if not open_children:
                    break
                node = max(open_children, key=worth)
            if node.state is None:
                _run(space, node)
    return root


def global_leaves(space: EpisodeSpace, policy: Policy, *, c: float = 1.0, branching: int = 3, depth: int = 8) -> Node:
    """MCTS with selection among all leaves (after arXiv 2411.11694, whose formulas were not seen: this is a reading of it).

    Of the whole tree the leaf with the highest q + c sqrt(ln N(parent) / N(leaf)) gets `branching` children, and all are run.
    """
    root = Node(state=space.first)
    with _until_the_end():
        while True:
            leaves = [node for node in root.below() if node.state is not None and not node.is_expanded and node.depth < depth]
            if not leaves:
                break
            leaf = max(
                leaves, key=lambda node: uct(node.q, 1.0, max(1, node.visits), node.parent.visits if node.parent else 1, c)
            )
            for child in _expand(space, leaf, policy, branching):
                _run(space, child)
    return root


def step_beam(space: EpisodeSpace, policy: Policy, *, width: int = 3, samples: int = 3, depth: int = 8) -> Node:
    """Step-level beam search of AlphaMath (arXiv 2405.03553): of `samples` actions from each state of the beam the best stay.

    In the first step `width` times `samples` actions are sampled from the one state there is.
    """
    root = Node(state=space.first)
    with _until_the_end():
        beam, count = [root], width * samples
        for _ in range(depth):
            children = [child for node in beam for child in _expand(space, node, policy, count)]
            for child in children:
                _run(space, child)
            beam = sorted(children, key=_value, reverse=True)[:width]
            count = samples
            if not beam:
                break
    return root


def aide(
    space: EpisodeSpace,
    policy: Policy,
    *,
    drafts: int = 5,
    debug_probability: float = 0.5,
    debug_depth: int = 3,
    seed: int = 0,
) -> Node:
    """The search of AIDE (Jiang et al., arXiv 2502.13138).

    First `drafts` from the first state; then, with `debug_probability`, a broken state (whose validation was rejected) is
    debugged, up to `debug_depth` times in a row, else the best state is improved.
    """
    root, chance = Node(state=space.first), random.Random(seed)
    parent: Node
    intent: Intent
    with _until_the_end():
        while True:
            tried = [node for node in root.below() if node is not root]
            good = [node for node in tried if not _is_broken(node)]
            debuggable = [node for node in tried if not node.children and 0 < _broken_in_a_row(node) <= debug_depth]
            if len(root.children) < drafts or not (good or debuggable):
                parent, intent = root, "draft"
            elif debuggable and (not good or chance.random() < debug_probability):
                parent, intent = chance.choice(debuggable), "debug"
            else:
                parent, intent = best_of(root), "improve"
            children = _expand(space, parent, policy, 1, intent)
            if not children:
                break
            _run(space, children[0])
    return root


def _is_broken(node: Node) -> bool:
    """Whether its validation was rejected."""
    return node.parent is not None and node.state is not None and node.state.score is None


def _broken_in_a_row(node: Node | None) -> int:
    """How many broken nodes there are from it upwards without a good one between."""
    return 0 if node is None or not _is_broken(node) else 1 + _broken_in_a_row(node.parent)


def _value(node: Node) -> float:
    return node.state.value if node.state is not None else -math.inf
