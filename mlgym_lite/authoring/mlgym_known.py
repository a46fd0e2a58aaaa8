"""What is known of the tasks that MLGym ships, by their ids: how they rank, and which of their files are not the agent's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlgym_lite.config.harbor import Direction


@dataclass(frozen=True, kw_only=True)
class Known:
    """One task of MLGym."""

    metric: str
    direction: Direction = "maximize"
    score_noise: float = 0.0
    """How far two gradings of the same work lie apart."""
    pristine: tuple[str, ...] = ()
    """Code in the workspace that the evaluator imports and that is the task's own."""


_GAME = Known(metric="Score", score_noise=0.03, pristine=("target.py",))
_ACCURACY = Known(metric="accuracy")
_REWARD = Known(metric="Reward Mean")
_HOUSE = Known(metric="r2")
KNOWN_TASKS: Mapping[str, Known] = {
    "battleOfSexes": _GAME,
    "prisonersDilemma": _GAME,
    "blotto": _GAME,
    "3SATTime": Known(metric="Time", direction="minimize", score_noise=2.0, pristine=("solver.py",)),
    "regressionKaggleHousePrice": _HOUSE,
    "regressionKaggleHousePriceL1": _HOUSE,
    "titanicSurvival": _ACCURACY,
    "imageClassificationCifar10": _ACCURACY,
    "imageClassificationCifar10L1": _ACCURACY,
    "imageClassificationFMnist": _ACCURACY,
    "imageCaptioningCOCO": Known(metric="BLEU Score"),
    "naturalLanguageInferenceMNLI": Known(metric="validation_accuracy"),
    "languageModelingFineWeb": Known(metric="val_loss", direction="minimize", score_noise=0.01),
    "rlBreakoutMinAtar": _REWARD,
    "rlMetaMaze": _REWARD,
    "rlMetaMazeMisc": _REWARD,
    "rlMountainCarContinuous": _REWARD,
    "rlMountainCarContinuousReinforce": _REWARD,
}
LESS_IS_BETTER = ("loss", "error", "rmse", "mae", "mse", "time", "seconds", "perplexity", "decisions", "incorrect")
"""Words in a metric's name from which `minimize` is guessed for a task that is not known."""
