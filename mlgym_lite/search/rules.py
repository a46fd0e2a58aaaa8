"""Which child or leaf to look at next: the rules of published searches, as functions of numbers.

q: mean of the values that came back through the child, 0 before the first; prior: how likely the policy finds the action;
visits: of the child, N(s, a). parent_visits: N(s), which ExACT counts as the visits of all children, and AlphaMath and UCT as the
values that came back through the parent, its own included. All without unit; higher is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

Rule = Literal["exact", "alphamath", "uct"]


def exact(q: float, prior: float, visits: int, parent_visits: int, c: float = 1.0) -> float:
    """R-MCTS of ExACT (Yu et al., arXiv 2410.02052): q + c prior sqrt(N(s)) / (1 + N(s, a)), and q + c prior where N(s) = 0."""
    return q + c * prior * (math.sqrt(parent_visits) / (1 + visits) if parent_visits else 1.0)


def alphamath(q: float, prior: float, visits: int, parent_visits: int, c: float = 1.5) -> float:
    """PUCT of AlphaMath (Chen et al., arXiv 2405.03553): q + c prior sqrt(N(s)) / (1 + N(s, a))."""
    return q + c * prior * math.sqrt(parent_visits) / (1 + visits)


def uct(q: float, prior: float, visits: int, parent_visits: int, c: float = 1.0) -> float:
    """UCT (Kocsis and Szepesvári 2006): q + c sqrt(ln N(s) / N(s, a)), infinite before the first visit; knows no prior."""
    return math.inf if visits == 0 else q + c * math.sqrt(math.log(max(1, parent_visits)) / visits)


RULES: dict[Rule, Callable[..., float]] = {"exact": exact, "alphamath": alphamath, "uct": uct}
