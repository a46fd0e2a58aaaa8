"""Exit codes of episodes that ended without an error but also without a score."""

from __future__ import annotations

from mlgym_lite.episode.outcome import Outcome
from mlgym_lite.errors import NotScoredError


def exit_status(outcome: Outcome) -> int:
    """0 where the episode was scored; endings that are errors come as exceptions and never get here."""
    return 0 if outcome.score is not None else NotScoredError.exit_code
