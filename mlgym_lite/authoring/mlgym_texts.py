"""The texts of an imported task's folder: task.toml, instruction.md and solve.sh, as pure functions of what was decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mlgym_lite.authoring.mlgym_checkout import MLGymTask
from mlgym_lite.authoring.mlgym_holes import Plan
from mlgym_lite.config.actions_file import MLGYM_WORKSPACE
from mlgym_lite.config.harbor import Direction

_SPARE_SECONDS = 60
_VALIDATIONS = 1000
"""MLGym sets no limit."""
_WANTED = {
    "csv": "Leave your predictions in `submission.csv`.",
    "model": "Leave your model's checkpoints with a `.yaml` file that describes it.",
    "lm": "Leave your model where the evaluator looks for it.",
    "python": "Leave your code where the evaluator imports it.",
}


@dataclass(frozen=True, kw_only=True)
class Decided:
    """How a task is to be scored."""

    plan: Plan
    metric: str
    direction: Direction
    score_noise: float
    baseline: Mapping[str, float]
    open_holes: int
    has_packages: bool


def instruction(task: MLGymTask, decided: Decided) -> str:
    """What the agent is told: our words around the task's own text."""
    wish = "large" if decided.direction == "maximize" else "small"
    return (
        f"# {task.name}\n\nYou work in /workspace, which is also seen as {MLGYM_WORKSPACE}. {_WANTED[task.kind]} `validate` "
        f"scores what is there on the test split as often as you like and tells {decided.metric} (to be made {wish}); `submit` "
        f"scores it and ends the work. The grader runs its own copies of {task.evaluator} and of the data.\n\n"
        f"What follows is the task's own text.\n\n{task.description.strip()}\n"
    )


def solution(task: MLGymTask) -> str:
    """solve.sh: the baseline as MLGym runs it."""
    if task.baseline_program is None and task.kind == "python":
        return "# The baseline is the starter code as it stands.\n"
    if task.baseline_program is None:
        return "echo 'This task names no baseline program.' >&2\nexit 1\n"
    lines = ["# Runs the baseline as MLGym does.", 'cd "${MLGYM_LITE_ROOT:-}/workspace"']
    if task.kind == "lm":
        launch = f'exec python -m torch.distributed.run --nproc_per_node="$gpus" --standalone {task.baseline_program}'
        lines += [
            'gpus=$(tr "," "\\n" <<< "${CUDA_VISIBLE_DEVICES:-}" | grep -c .)',
            f'if [ "$gpus" -gt 1 ]; then {launch}; fi',
            "export RANK=0 LOCAL_RANK=0 WORLD_SIZE=1 LOCAL_WORLD_SIZE=1 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500",
        ]
    return "\n".join([*lines, f"exec python {task.baseline_program}"]) + "\n"


def task_toml(task: MLGymTask, name: str, decided: Decided) -> str:
    """The task file of a folder of this name."""
    plan, baseline = decided.plan, decided.baseline
    told = f"{task.name}, imported from MLGym; {decided.open_holes} known holes are open, see HOLES.md"
    lines = [
        f"artifacts = {_toml(_artifacts(task, plan))}", "",
        "[task]", f"name = {_toml(f'mlgym/{name}')}", f"description = {_toml(told)}", "",
        "[metadata.mlgym_lite]", f"metric = {_toml(decided.metric)}", f"direction = {_toml(decided.direction)}",
        'feedback = "test"', "home_workspace = true", f"command_timeout_sec = {_toml(float(task.timeout_seconds))}",
        f"validations = {_VALIDATIONS}", f"score_noise = {_toml(float(decided.score_noise))}",
    ]  # fmt: skip
    if baseline:
        lines.append(f"baseline = {_toml(baseline)}")
    if decided.has_packages:
        lines += ['requirements = "requirements.txt"', *(['grader_requirements = "requirements.txt"'] if plan.trusted else [])]
    if not plan.trusted:
        lines += ["", "[metadata.mlgym_lite.player]", 'program = "tests/player.py"']
    for table in ("variants.mini", "parity") if baseline else ():
        lines += ["", f"[metadata.mlgym_lite.{table}]", f"baseline = {_toml(baseline)}"]
    lines += ["", "[verifier]", f"timeout_sec = {_toml(float(task.timeout_seconds + _SPARE_SECONDS))}"]
    return "\n".join(lines) + "\n"


def _artifacts(task: MLGymTask, plan: Plan) -> list[Any]:
    """The one file, or the whole workspace but for what the grader has of its own."""
    if task.kind == "csv":
        return ["submission.csv"]
    own = {PurePosixPath(name).parts[0] for name in task.data}
    own |= {name for name in (task.evaluator, *plan.pristine_code) if "/" not in name}
    return [{"source": ".", "exclude": sorted(own)} if own else "."]


def _toml(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(entry) for entry in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
