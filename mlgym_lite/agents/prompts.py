"""The prompts of a language-model agent: an agent file's templates, rendered for a task and for how things stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mlgym_lite.agents.protocol import Observation
from mlgym_lite.config.agent_file import AgentFile
from mlgym_lite.config.task_file import Task
from mlgym_lite.errors import AgentError
from mlgym_lite.services.protocol import ServiceCommand


def facts_of(task: Task, settings: AgentFile, commands: Sequence[ServiceCommand]) -> dict[str, Any]:
    """What templates may say of the task and the agent."""
    ours = task.file.metadata.mlgym_lite
    return {
        "task": {
            "name": task.name,
            "description": task.file.task.description if task.file.task else "",
            "metric": task.metric,
            "direction": ours.direction,
            "command_seconds": ours.command_timeout_sec,
            "artifacts": list(task.artifacts),
        },
        "parser": settings.format.parser,
        "tools": [asdict(command) for command in commands],
    }


class Templates:
    """The agent's prompts, rendered."""

    def __init__(self, prompts: Mapping[str, str], facts: Mapping[str, Any]) -> None:
        try:
            import jinja2
            import jinja2.sandbox
        except ImportError as error:
            raise AgentError("language-model agents need the extra `llm`: pip install 'mlgym-lite[llm]'") from error
        self._error = jinja2.TemplateError
        self._facts = facts
        environment = jinja2.sandbox.SandboxedEnvironment(
            undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
        )
        try:
            self._templates = {name: environment.from_string(text) for name, text in prompts.items()}
        except jinja2.TemplateSyntaxError as error:
            raise AgentError(f"a prompt of the agent is no jinja2 template: line {error.lineno}: {error.message}") from error
        for name in self._templates:  # a mistake is told before anything starts
            self.text(name, Observation(text="", working_directory=""), error="")

    def text(self, name: str, observation: Observation, **further: Any) -> str:
        """A prompt for how things stand."""
        try:
            return self._templates[name].render(**self._facts, observation=asdict(observation), **further).strip()
        except self._error as error:
            known = ", ".join([*self._facts, "observation", "error"])
            raise AgentError(f"the prompt {name!r} of the agent cannot be rendered: {error}; known here: {known}") from error
