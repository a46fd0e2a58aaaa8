"""Rollouts in the forms that trainers take. Lists over tokens are lists of int or float, one inner list for each rollout.

    TRL        what a `rollout_func` of GRPOTrainer returns (1.16.0)
    SkyRL      GeneratorOutput (skyrl 0.4.0, skyrl-train 0.3.1)
    verifiers  records of traces.jsonl, trace version 1 (0.4.0)
    ATIF       trajectories with the token ids of each step (1.8)

None of these packages is needed here; the tests run them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlgym_lite import __version__
from mlgym_lite.agents.parsers import SHELL_TOOL
from mlgym_lite.gym.rollouts import Rollout
from mlgym_lite.trajectories.atif import SCHEMA_VERSION, TOOL


def as_trl(rollouts: Sequence[Rollout]) -> dict[str, Any]:
    """What a `rollout_func` returns: prompt_ids, completion_ids, logprobs, env_mask (1: of the model), and env_reward.

    TRL expects a row for each prompt that it gave, in their order, the rows of a group one behind the other, as `collect` gives
    them. With `mask_truncated_completions` it leaves out rollouts whose last token does not end a sequence.
    """
    return {
        "prompt_ids": [list(rollout.prompt_ids) for rollout in rollouts],
        "completion_ids": [list(rollout.completion_ids) for rollout in rollouts],
        "logprobs": [list(rollout.logprobs) for rollout in rollouts],
        "env_mask": [list(rollout.mask) for rollout in rollouts],
        "env_reward": [rollout.reward for rollout in rollouts],
    }


@dataclass(frozen=True)
class TrajectoryID:
    """SkyRL's name of a rollout."""

    instance_id: str
    repetition_id: int

    def to_string(self) -> str:
        """As SkyRL writes it."""
        return f"{self.instance_id}_{self.repetition_id}"


def as_skyrl(rollouts: Sequence[Rollout]) -> dict[str, Any]:
    """SkyRL's GeneratorOutput; rewards are per token, at the end of each action."""
    repetitions: dict[str, int] = {}
    identities = []
    for rollout in rollouts:
        instance = f"{rollout.task}-{rollout.seed}-{rollout.group}"
        repetitions[instance] = repetitions.get(instance, -1) + 1
        identities.append(TrajectoryID(instance, repetitions[instance]))
    return {
        "prompt_token_ids": [list(rollout.prompt_ids) for rollout in rollouts],
        "response_ids": [list(rollout.completion_ids) for rollout in rollouts],
        "rewards": [list(rollout.token_rewards) for rollout in rollouts],
        "loss_masks": [list(rollout.mask) for rollout in rollouts],
        "stop_reasons": [rollout.stop_reason for rollout in rollouts],
        "rollout_logprobs": [list(rollout.logprobs) for rollout in rollouts],
        "trajectory_ids": identities,
        "rollout_metrics": {"mean_reward": sum(rollout.reward for rollout in rollouts) / len(rollouts) if rollouts else 0.0},
    }


def as_verifiers(rollout: Rollout) -> dict[str, Any]:
    """A trace of verifiers as a JSON object: a node for each message, with the ids it adds, and a reward named for each turn."""
    nodes = [_node("user", rollout.instruction, rollout, range(0))]
    nodes[0] |= {"token_ids": list(rollout.prompt_ids), "mask": [False] * len(rollout.prompt_ids)}
    for turn, (sampled, shown) in zip(rollout.turns, rollout.token_ranges, strict=True):
        nodes.append(_node("assistant", turn.action, rollout, sampled))
        if shown or turn.observation:
            nodes.append(_node("user", turn.observation, rollout, shown))
    data = {"name": rollout.task, "prompt": rollout.instruction, "variant": rollout.variant, "seed": rollout.seed}
    return {
        "version": 1,
        "task": {"type": "MLGymLite", "data": data},
        "agent": {"config": {"runtime": {"type": "subprocess"}}},
        "nodes": [node | {"parent": at - 1 if at else None} for at, node in enumerate(nodes)],
        "rewards": {f"turn_{at}": {"score": turn.reward, "weight": 1.0} for at, turn in enumerate(rollout.turns, start=1)},
        "metrics": {} if rollout.score is None else {"score": rollout.score},
        "info": {"group": rollout.group, "run_directory": rollout.run_directory, "versions": rollout.versions},
        "is_completed": True,
        "ok": True,
        "stop_condition": rollout.stop_reason,
    }


def _node(role: str, content: str, rollout: Rollout, tokens: range) -> dict[str, Any]:
    is_sampled = role == "assistant"
    return {
        "message": {"role": role, "content": content},
        "sampled": is_sampled,
        "token_ids": [rollout.completion_ids[at] for at in tokens],
        "mask": [is_sampled] * len(tokens),
        "logprobs": [rollout.logprobs[at] for at in tokens] if is_sampled else [],
    }


def as_atif(rollout: Rollout, repetition: int = 0) -> dict[str, Any]:
    """An ATIF trajectory as a JSON object; the `metrics` of a step are the ids of all before it, its own, and their logprobs.

    `repetition` tells the rollouts of one group apart.
    """
    steps: list[dict[str, Any]] = [{"step_id": 1, "source": "user", "message": rollout.instruction}]
    for at, (turn, (sampled, _)) in enumerate(zip(rollout.turns, rollout.token_ranges, strict=True), start=1):
        own = slice(sampled.start, sampled.stop)
        metrics = {
            "prompt_token_ids": [*rollout.prompt_ids, *rollout.completion_ids[: sampled.start]],
            "completion_token_ids": list(rollout.completion_ids[own]),
            "logprobs": list(rollout.logprobs[own]),
        }
        call = f"call_{at}"
        shown = {"source_call_id": call, "content": turn.observation, "extra": {"exit_status": turn.exit_status}}
        steps.append(
            {
                "step_id": at + 1,
                "source": "agent",
                "message": "",
                "tool_calls": [{"tool_call_id": call, "function_name": TOOL, "arguments": {"command": turn.action}}],
                "observation": {"results": [shown]},
                "metrics": metrics,
                "extra": {"reward": turn.reward},
            }
        )
    told = {"task": rollout.task, "variant": rollout.variant, "seed": rollout.seed, "group": rollout.group}
    return {
        "schema_version": SCHEMA_VERSION,
        "session_id": f"{rollout.task}-{rollout.seed}-{rollout.group}-{repetition}",
        "agent": {"name": "policy", "version": __version__, "tool_definitions": [SHELL_TOOL]},
        "steps": steps,
        "extra": {**told, "score": rollout.score, "stop_reason": rollout.stop_reason, "run_directory": rollout.run_directory},
    }
