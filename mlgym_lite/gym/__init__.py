"""The shipped tasks as Gymnasium environments: importing this module registers them.

    import gymnasium, mlgym_lite.gym
    environment = gymnasium.make("mlgym_lite/ColonelBlotto-v0", variant="mini")

`mlgym_lite/Task-v0` with `task=FOLDER` is a task of your own. What actions, observations, rewards and options are is told by
`mlgym_lite.gym.environment.TaskEnvironment`.
"""

from __future__ import annotations

import gymnasium

from mlgym_lite.shipped_files import shipped_task_names

NAMESPACE = "mlgym_lite"
_ENTRY_POINT = "mlgym_lite.gym.environment:TaskEnvironment"


def environment_id(task: str) -> str:
    """The id of a shipped task's environment: three_sat is mlgym_lite/ThreeSat-v0."""
    return f"{NAMESPACE}/{''.join(part.capitalize() for part in task.split('_'))}-v0"


def _register(identity: str, **options: str) -> None:
    # gradings draw fresh seeds, so that no score can be foreseen from a seed
    gymnasium.register(identity, entry_point=_ENTRY_POINT, nondeterministic=True, kwargs=options)


for _name in shipped_task_names():
    _register(environment_id(_name), task=_name)
_register(f"{NAMESPACE}/Task-v0")
