"""The tree of a search: what was proposed, what was run, and what came back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mlgym_lite.search.space import Proposal, State


@dataclass(eq=False, kw_only=True)
class Node:
    """One action below its parent; the root has none."""

    parent: Node | None = None
    proposal: Proposal | None = None
    state: State | None = None
    """None until it was run."""
    children: list[Node] = field(default_factory=list)
    is_expanded: bool = False
    visits: int = 0
    """How many values came back through it, its own included."""
    q: float = 0.0
    """Their mean."""

    @property
    def depth(self) -> int:
        """How many actions are above it, its own included."""
        return 0 if self.parent is None else self.parent.depth + 1

    @property
    def traversals(self) -> int:
        """How many values came back from below it."""
        return sum(child.visits for child in self.children)

    def back_up(self, value: float) -> None:
        """Take a value into every node up to the root: q becomes (N q + value) / (N + 1), and N one more."""
        node: Node | None = self
        while node is not None:
            node.q = (node.visits * node.q + value) / (node.visits + 1)
            node.visits += 1
            node = node.parent

    def expand(self, proposals: list[Proposal]) -> None:
        """Put children below it; their priors sum to 1."""
        total = sum(proposal.prior for proposal in proposals)
        self.is_expanded = True
        for proposal in proposals:
            share = proposal.prior / total if total > 0 else 1 / len(proposals)
            self.children.append(Node(parent=self, proposal=replace(proposal, prior=share)))

    def below(self) -> Iterator[Node]:
        """Itself and everything below it, parents first."""
        yield self
        for child in self.children:
            yield from child.below()

    def is_open(self, most_depth: int) -> bool:
        """Whether anything is left to be run or expanded here or below."""
        if self.state is None:
            return True
        if not self.is_expanded:
            return self.depth < most_depth
        return any(child.is_open(most_depth) for child in self.children)


def best_of(root: Node) -> Node:
    """The node with the highest value of those that were run; the earliest of equals, the root where nothing scored."""
    return max(
        (node for node in root.below() if node.state is not None and (node.state.score is not None or node is root)),
        key=lambda node: node.state.value if node.state and node.state.score is not None else float("-inf"),
    )


def most_visited(root: Node) -> Node:
    """The child of the root with most visits, by q where several have; as ExACT chooses its action."""
    return max(root.children, key=lambda child: (child.visits, child.q))
