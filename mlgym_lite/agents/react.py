"""The agent `react`: a language model that thinks, acts and observes, one shell input at a time (after ReAct, arXiv 2210.03629).

What it is told comes from templates, what it is shown again from a history policy, and how it answers from a parser; an agent
file chooses each. A reply without one clear action is sent back to the model with what was wrong, and costs no step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlgym_lite.agents.history import Exchange, Omission, answers_to, messages_of, shorten, without_pictures
from mlgym_lite.agents.model_limits import limit_reached
from mlgym_lite.agents.parsers import FormatError, Parsed, parser_named
from mlgym_lite.agents.prompts import Templates, facts_of
from mlgym_lite.agents.protocol import Action, Observation, PlainAgent, Stop
from mlgym_lite.config.agent_file import AgentFile
from mlgym_lite.config.task_file import Task
from mlgym_lite.errors import AgentError
from mlgym_lite.models.protocol import ContextOverflow, Model, ModelError, ModelUsage, OutOfTime, Reply, RequestRefused
from mlgym_lite.services.protocol import ServiceCommand


class ReactAgent(PlainAgent):
    """A language model at work on one episode."""

    def __init__(
        self,
        name: str,
        settings: AgentFile,
        prompts: Mapping[str, str],
        model: Model,
        task: Task,
        *,
        commands: Sequence[ServiceCommand] = (),
        on_rejected: Callable[[str], None] | None = None,
    ) -> None:
        """`prompts` are the templates' texts, by the names in `AgentFile.prompts`.

        `commands` are the tools of the run's services; `on_rejected` is told of ill-formed replies.

        Raises:
            AgentError: A template cannot be rendered.
        """
        self._on_rejected = on_rejected
        self.name = name
        self.model = model.name
        self._settings = settings
        self._language_model = model
        self._templates = Templates(prompts, facts_of(task, settings, commands))
        self._parser = parser_named(settings.format.parser)
        self._start: list[dict[str, Any]] = []
        self._exchanges: list[Exchange] = []
        self._omission = Omission()
        self._total = ModelUsage()
        self._used = ModelUsage()
        self._rejected: list[dict[str, Any]] = []

    def resume(self, steps: Sequence[Mapping[str, Any]], observations: Sequence[Observation]) -> None:
        """The conversation as it was, from what was recorded of each reply.

        Raises:
            AgentError: A step does not hold what the model said.
        """
        for step, observation in zip(steps, observations, strict=True):
            details = step.get("details") or {}
            if "reply" not in details:
                raise AgentError(f"{self.name}: step {step.get('step')} does not hold the model's reply, so that it could go on")
            self._start = self._start or [dict(message) for message in details.get("prompt") or []]
            reply = {key: value for key, value in details["reply"].items() if key != "finish_reason"}
            text = self._templates.text("observation", observation)
            self._exchanges.append(Exchange(reply=reply, observation=text, raw=observation.text, pictures=observation.pictures))
            self._total += ModelUsage.of_step(step)

    def next_action(self, observation: Observation) -> Action | Stop:
        """Ask the model until its reply holds one action, or a limit is reached."""
        self._used, self._rejected = ModelUsage(), []
        details: dict[str, Any] = {}
        if not self._start:
            self._start = [
                {"role": "system", "content": self._templates.text("system", observation)},
                {"role": "user", "content": self._templates.text("task", observation)},
            ]
            details["prompt"] = list(self._start)
        else:
            self._exchanges[-1].observation = self._templates.text("observation", observation)
            self._exchanges[-1].raw = observation.text
            self._exchanges[-1].pictures = observation.pictures
        try:
            decided = self._decide(observation)
        except ModelError as error:
            error.usage = self._used
            raise
        if self._rejected:
            details["rejected"] = self._rejected
        if isinstance(decided, Stop):
            return Stop(reason=decided.reason, detail=decided.detail, usage=self._used, details=details)
        reply, parsed = decided
        self._exchanges.append(Exchange(reply=reply.message))
        details["reply"] = {**reply.message, "finish_reason": reply.finish_reason}
        thought = "\n\n".join(part for part in (reply.reasoning.strip(), parsed.thought) if part)
        return Action(text=parsed.command, thought=thought or None, usage=self._used, details=details)

    def _decide(self, observation: Observation) -> tuple[Reply, Parsed] | Stop:
        """A reply with one action."""
        attempts = self._settings.format.attempts
        for _ in range(attempts):
            limit = limit_reached(self._settings.limits, self._total, self._language_model.name)
            if limit is not None:
                return Stop(reason="cost_limit", detail=limit)
            reply = self._ask(observation)
            if isinstance(reply, Stop):
                return reply
            try:
                return reply, self._parser.parse(reply)
            except FormatError as error:
                cut = " It was cut at the largest length of a reply." if reply.finish_reason == "length" else ""
                text = self._templates.text("format_error", observation, error=f"{error}{cut}")
                self._rejected.append({"reply": reply.message, "error": text})
                if self._on_rejected is not None:
                    self._on_rejected(f"a reply of {self.model} was sent back: {text.splitlines()[0]}")
        last = self._rejected[-1]["error"].splitlines()[0]
        return Stop(reason="format_errors", detail=f"{attempts} replies in a row were ill-formed; the last: {last}")

    def _ask(self, observation: Observation) -> Reply | Stop:
        """One reply, with less history where the messages are too long."""
        format = self._settings.format
        while True:
            try:
                reply = self._language_model.reply(
                    self._messages(),
                    tools=self._parser.tools,
                    whole=self._parser.whole if format.stop_at_action else None,
                    seconds=observation.seconds_left,
                )
            except OutOfTime as error:
                return Stop(reason="time_limit", detail=str(error))
            except ContextOverflow as error:
                if self._settings.history.overflow == "shorten" and shorten(self._omission, self._exchanges):
                    continue
                return Stop(reason="context_limit", detail=str(error))
            except RequestRefused as error:
                if without_pictures(self._exchanges, str(error)):
                    continue
                raise
            self._used += reply.usage
            self._total += reply.usage
            return reply

    def _messages(self) -> list[dict[str, Any]]:
        history = self._settings.history
        messages = messages_of(self._start, self._exchanges, history.policy, history.observations, self._omission)
        for rejected in self._rejected:
            messages += [rejected["reply"], *answers_to(rejected["reply"], rejected["error"])]
        return messages
