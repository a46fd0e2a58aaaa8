"""Names that MLGym gives: those of its run folders, its tasks, and the ways its episodes end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

OUR_NAMES: Mapping[str, str] = {
    "battleOfSexes": "battle_of_sexes",
    "prisonersDilemma": "prisoners_dilemma",
    "blotto": "colonel_blotto",
    "3SATTime": "three_sat",
    "regressionKaggleHousePrice": "house_price",
    "imageClassificationCifar10": "cifar10",
    "imageClassificationFMnist": "fashion_mnist",
    "imageCaptioningCOCO": "coco_captioning",
    "naturalLanguageInferenceMNLI": "mnli",
    "languageModelingFineWeb": "fineweb",
    "rlBreakoutMinAtar": "breakout",
    "rlMetaMaze": "meta_maze",
    "rlMetaMazeMisc": "meta_maze",
    "rlMountainCarContinuous": "mountain_car",
}
"""The thirteen tasks under the names they have here, so that MLGym's runs stand beside our parity runs."""

_FOLDER = re.compile(
    r"(?P<model>.+?)__(?P<task>.+?)(?:__(?!t-)(?P<config>.+?))?(?:__t-.*?)?(?:_run_(?P<run>\d{1,9}))?", re.DOTALL
)
"""Model, task, agent, temperature and further settings, run; MLGym writes them all, copies by others may lack the later ones."""
_BACKEND = re.compile(r"litellm[:-]")


@dataclass(frozen=True, kw_only=True)
class FolderName:
    """What the name of a run folder tells."""

    model: str
    task: str
    """Its id in MLGym."""
    config: str
    """The agent's configuration file, without its ending."""
    run: int
    """Counted from 0."""


def parsed_name(name: str) -> FolderName | None:
    """A folder's name, read; None where it is not of MLGym's form."""
    found = _FOLDER.fullmatch(name)
    if found is None:
        return None
    return FolderName(
        model=model_name(found["model"]), task=found["task"], config=found["config"] or "", run=int(found["run"] or 0)
    )


def model_name(recorded: str) -> str:
    """A model without the name of the client it is reached by."""
    return _BACKEND.sub("", recorded, count=1) if _BACKEND.match(recorded) else recorded


@dataclass(frozen=True, kw_only=True)
class MLGymEnding:
    """A way to end in our words; `unknown` where MLGym's record does not tell whose doing it was."""

    reason: str
    fault: str


_ENDINGS: tuple[tuple[str, MLGymEnding], ...] = (
    ("submission_not_found", MLGymEnding(reason="no_submission", fault="agent")),
    ("evaluation_format_error", MLGymEnding(reason="evaluation_error", fault="unknown")),
    ("max_steps", MLGymEnding(reason="step_limit", fault="limit")),
    ("exit_context", MLGymEnding(reason="context_limit", fault="limit")),
    ("exit_cost", MLGymEnding(reason="cost_limit", fault="limit")),
    ("exit_format", MLGymEnding(reason="format_errors", fault="agent")),
    ("exit_api", MLGymEnding(reason="agent_error", fault="agent")),
    ("exit_forfeit", MLGymEnding(reason="gave_up", fault="agent")),
    ("skip", MLGymEnding(reason="gave_up", fault="agent")),
    ("exit_error", MLGymEnding(reason="sandbox_error", fault="us")),
    ("early_exit", MLGymEnding(reason="sandbox_error", fault="us")),
)


def ending_of(exit_status: str) -> MLGymEnding:
    """What an exit status means; one that is empty was left by an error of MLGym's own."""
    if exit_status.strip() == "submitted":
        return MLGymEnding(reason="submitted", fault="agent")
    if not exit_status.strip():
        return MLGymEnding(reason="runner_error", fault="us")
    known = (ending for part, ending in _ENDINGS if part in exit_status)
    return next(known, MLGymEnding(reason="evaluation_error", fault="unknown"))
