"""A language model as a policy: asked at a state with the conversation that led there, several times where several are wanted.

The prompts, the form of a reply and the limits are those of an agent file, such as the shipped `react`; what a search is, and how
the state was validated, is told beside them. How often an action is among the replies is its prior, as in ExACT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlgym_lite.agents.history import answers_to
from mlgym_lite.agents.model_limits import limit_reached
from mlgym_lite.agents.parsers import FormatError, parser_named
from mlgym_lite.agents.prompts import Templates, facts_of
from mlgym_lite.config.agent_file import AgentFile
from mlgym_lite.config.task_file import Task
from mlgym_lite.models.protocol import ContextOverflow, Model, ModelError, ModelUsage, OutOfTime
from mlgym_lite.search.space import Intent, OutOfBudget, Proposal, State

_SEARCH = (
    "Your inputs are tried out: after each, the workspace is validated for you, and what you are shown next may be an earlier "
    "state of it, with the conversation that led there. Do not call `validate` or `submit`: the best state is handed in at the "
    "end. Make each input a whole attempt, which leaves the workspace ready to be scored."
)
_INTENTS: Mapping[Intent, str] = {
    "any": "Take the next step.",
    "draft": "Write a first solution, by another approach than is usual for this task.",
    "debug": "The validation was rejected. Find out why and mend it.",
    "improve": "Improve this solution by one change that you expect to raise its score.",
}


class ModelPolicy:
    """Asks one language model."""

    def __init__(self, settings: AgentFile, prompts: Mapping[str, str], model: Model, task: Task) -> None:
        """Raises AgentError where a template of the agent file cannot be rendered."""
        self.model = model.name
        self._settings = settings
        self._model = model
        self._task = task
        self._templates = Templates(prompts, facts_of(task, settings, ()))
        self._parser = parser_named(settings.format.parser)
        self._total = self._untold = ModelUsage()

    def take_usage(self) -> ModelUsage:
        """What was used since this was called last."""
        untold, self._untold = self._untold, ModelUsage()
        return untold

    def propose(self, state: State, count: int, intent: Intent) -> Sequence[Proposal]:
        """Ask `count` times; ill-formed replies are left out, equal actions are one, with its share of the replies as prior.

        Raises:
            OutOfBudget: The agent file's limit of cost or tokens, or the episode's of time, is reached.
            ModelError: The model cannot be asked, or gave only ill-formed replies as often as the file allows in a row.
        """
        messages = self._conversation(state, intent)
        found: dict[str, Proposal] = {}
        replies = failed = 0
        while replies < count:
            reply = self._ask(messages, state)
            try:
                parsed = self._parser.parse(reply)
            except FormatError as error:
                failed += 1
                if failed >= self._settings.format.attempts:
                    raise ModelError(
                        f"{self._model.name}: {failed} replies in a row were ill-formed; the last: {error}"
                    ) from error
                continue
            replies, failed = replies + 1, 0
            known = found.get(parsed.command)
            one = Proposal(action=parsed.command, prior=0.0, thought=parsed.thought or None, reply=reply.message)
            found[parsed.command] = replace(known or one, prior=(known.prior if known else 0.0) + 1 / count)
        return list(found.values())

    def _ask(self, messages: Sequence[Mapping[str, Any]], state: State) -> Any:
        if limit_reached(self._settings.limits, self._total, self.model) is not None:
            raise OutOfBudget
        try:
            reply = self._model.reply(messages, tools=self._parser.tools, seconds=state.shown.seconds_left)
        except (OutOfTime, ContextOverflow) as error:
            raise OutOfBudget from error
        self._total += reply.usage
        self._untold += reply.usage
        return reply

    def _conversation(self, state: State, intent: Intent) -> list[dict[str, Any]]:
        """What the model is told: the path from the first state, each action with what it showed and how it was validated."""
        first, *others = state.path
        system = f"{self._templates.text('system', first.shown)}\n\n{_SEARCH}"
        texts = [self._templates.text("task", first.shown)]
        texts += [f"{self._templates.text('observation', one.shown)}\n\n{self._validated(one)}" for one in others]
        texts[-1] += f"\n\n{_INTENTS[intent]}"
        messages: list[dict[str, Any]] = [{"role": "system", "content": system}, {"role": "user", "content": texts[0]}]
        for one, text in zip(others, texts[1:], strict=True):
            assert one.proposal is not None
            reply = dict(one.proposal.reply or {"role": "assistant", "content": one.proposal.action})
            messages += [reply, *answers_to(reply, text)]
        return messages

    def _validated(self, state: State) -> str:
        if state.score is None:
            return "(validated: the workspace was rejected)"
        return f"(validated: {self._task.metric} = {state.score:.6g})"
