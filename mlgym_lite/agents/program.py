"""The agent that is a program: it reads what it is shown and writes what it does, a JSON object on a line each.

docs/agents.md has the protocol. The program runs as the user who started the run, outside the sandbox, as a model client does:
it is theirs. What it prints on standard error is theirs to see.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args

from mlgym_lite.agents.protocol import Action, Observation, PlainAgent, Stop, StopReason
from mlgym_lite.config.task_file import Task
from mlgym_lite.errors import AgentError
from mlgym_lite.models.protocol import ModelError, ModelUsage
from mlgym_lite.processes import Conversation
from mlgym_lite.services.protocol import ServiceCommand

PROTOCOL = 1
_KEYS = {"action", "thought", "usage", "details", "stop", "reason"}
_REASONS = (*get_args(StopReason), "agent_error")
_USED = tuple(one.name for one in fields(ModelUsage))
_SHOWN = 200


class ProgramAgent(PlainAgent):
    """Speaks JSON lines with a program."""

    def __init__(
        self,
        program: Path,
        task: Task,
        model: str | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        commands: Sequence[ServiceCommand] = (),
        name: str | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        """Start it: a .py file with this Python, anything else as it is. Raises AgentError where it cannot start.

        `name` is for the record (default: the file's, without its ending).
        """
        self.name = name or program.stem
        self.model = model
        self._program = program
        self._first: dict[str, Any] | None = _facts(task, model, commands)
        command: list[str | Path] = [sys.executable, program] if program.suffix == ".py" else [program.absolute()]
        known = dict(os.environ if environment is None else environment)
        try:
            self._conversation = Conversation([*command, *arguments], environment=known)
        except OSError as error:
            raise AgentError(f"{program}: cannot be started: {error.strerror or error}") from error

    def resume(self, steps: Sequence[Mapping[str, Any]], observations: Sequence[Observation]) -> None:
        """The first message tells what was done before."""
        assert self._first is not None
        keys = ("action", "thought", "observation", "exit_status", "cwd")
        self._first["before"] = [{key: step.get(key) for key in keys} for step in steps]

    def next_action(self, observation: Observation) -> Action | Stop:
        """Show it how things stand and take its answer."""
        message = {"type": "observation", **asdict(observation)}
        if self._first is not None:
            message, self._first = {**self._first, **asdict(observation)}, None
        try:
            self._conversation.send(json.dumps(message))
            line = self._conversation.receive(seconds=observation.seconds_left)
        except BrokenPipeError:
            line = None
        except TimeoutError:
            return Stop(reason="time_limit", detail=f"{self._program}: no action within the time that was left")
        except (OSError, ValueError) as error:
            raise AgentError(f"{self._program}: {error}") from error
        if line is None:
            raise AgentError(f"{self._program}: ended (exit status {self._conversation.close()}) instead of answering")
        return self._decided(line)

    def _decided(self, line: str) -> Action | Stop:
        try:
            answer = json.loads(line, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise self._ill_formed(line, f"is not JSON ({error})") from None
        if not isinstance(answer, dict) or not ("action" in answer) ^ ("stop" in answer):
            raise self._ill_formed(line, 'expected an object with "action" or "stop"')
        unknown = sorted(answer.keys() - _KEYS)
        if unknown:
            raise self._ill_formed(line, f"unknown key {unknown[0]!r}; known here: {', '.join(sorted(_KEYS))}")
        usage, details = self._usage(line, answer.get("usage")), answer.get("details") or {}
        if not isinstance(details, dict) or not isinstance(answer.get("thought"), (str, type(None))):
            raise self._ill_formed(line, '"details" is an object and "thought" a text')
        if "stop" in answer:
            return self._stopped(line, answer, usage, details)
        if "reason" in answer:
            raise self._ill_formed(line, '"reason" goes with "stop"')
        if not isinstance(answer["action"], str):
            raise self._ill_formed(line, '"action" is a text')
        return Action(text=answer["action"], thought=answer.get("thought"), usage=usage, details=details)

    def _stopped(self, line: str, answer: Mapping[str, Any], usage: ModelUsage, details: Mapping[str, Any]) -> Stop:
        reason, why = answer.get("reason", "gave_up"), str(answer["stop"] or "")
        if reason not in _REASONS:
            raise self._ill_formed(line, f'"reason" is one of {", ".join(_REASONS)}')
        if reason == "agent_error":
            raise _failed(f"{self.name}: {why}", usage)
        return Stop(reason=reason, detail=why, usage=usage, details=details)

    def _usage(self, line: str, given: Any) -> ModelUsage:
        if given is None:
            return ModelUsage()
        if not isinstance(given, dict) or any(name not in _USED or not _is_used(name, value) for name, value in given.items()):
            raise self._ill_formed(line, '"usage" is {"input_tokens": …, "output_tokens": …, "cost_usd": …, "calls": …}')
        return ModelUsage(**{"calls": 1, "cost_usd": None, **given})

    def _ill_formed(self, line: str, why: str) -> AgentError:
        shown = line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
        return AgentError(f"{self._program}: its answer cannot be used: {why}: {shown!r}\n  docs/agents.md has the protocol")

    def close(self) -> None:
        """Close its input and wait for it; then it is ended."""
        self._conversation.close()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _failed(why: str, usage: ModelUsage) -> ModelError:
    """The error of a program that failed, with what its last turn took of a model."""
    error = ModelError(why)
    error.usage = usage
    return error


def _is_used(name: str, value: Any) -> bool:
    """Whether a value fits a field of ModelUsage."""
    if name == "estimated":
        return isinstance(value, bool)
    if name == "cost_usd" and value is None:
        return True
    kinds = (int, float) if name == "cost_usd" else int
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < float("inf")


def _facts(task: Task, model: str | None, commands: Sequence[ServiceCommand]) -> dict[str, Any]:
    """The first message, but for the observation."""
    return {
        "type": "start",
        "protocol": PROTOCOL,
        "task": task.name,
        "metric": task.metric,
        "direction": "maximize" if task.maximize else "minimize",
        "command_seconds": task.command_seconds,
        "model": model,
        "tools": [asdict(command) for command in commands],
    }


def is_program(reference: str) -> bool:
    """Whether an agent's name means a program: a path with a slash, or a .py file, that is there."""
    path = Path(reference)
    return path.suffix != ".toml" and ("/" in reference or path.suffix == ".py") and path.is_file()
