"""Short names for the methods of a report: the model's, or the agent's where it has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mlgym_lite.analysis.aup import BASELINE
from mlgym_lite.analysis.scored_run import Method


def method_names(methods: Iterable[Method]) -> dict[Method, str]:
    """Each method's name, in order of the names; where several would share one, and where it is `baseline`, the whole label."""
    known = sorted(methods, key=lambda method: (method.label, method.model is None))
    short = {method: method.model if method.model is not None else method.label for method in known}
    shared = Counter(short.values())
    named: dict[Method, str] = {}
    for method, name in short.items():
        named[method] = method.label if shared[name] > 1 or name == BASELINE else name
    taken = Counter(named.values())
    whole = {method: name if taken[name] == 1 else repr(tuple(method)) for method, name in named.items()}
    return dict(sorted(whole.items(), key=lambda item: item[1]))
