"""What a language model is to an agent: messages go in, a reply comes out, with what it took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlgym_lite.errors import AgentError

Message = Mapping[str, Any]
"""One message as the chat-completions protocol of OpenAI has it: role, content, tool_calls, tool_call_id."""


@dataclass(frozen=True, kw_only=True)
class ModelUsage:
    """What language-model calls used."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    """None where a price is not known."""
    calls: int = 0
    estimated: bool = False
    """Whether some of the tokens were counted here, because the server did not tell them."""

    def __add__(self, other: ModelUsage) -> ModelUsage:
        """The sum; a cost of which a part is unknown is unknown."""
        unknown = self.cost_usd is None or other.cost_usd is None
        return ModelUsage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=None if unknown else (self.cost_usd or 0.0) + (other.cost_usd or 0.0),
            calls=self.calls + other.calls,
            estimated=self.estimated or other.estimated,
        )

    @classmethod
    def of_step(cls, step: Mapping[str, Any]) -> ModelUsage:
        """What a recorded step (a line of trajectory.jsonl) took; nothing where no model was asked."""
        tokens = step.get("tokens")
        if not tokens:
            return cls()
        return cls(input_tokens=tokens["input"], output_tokens=tokens["output"], cost_usd=step.get("cost"), calls=1)

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


class ModelError(AgentError):
    """The model's server refused, failed for good, or cannot be reached."""

    usage = ModelUsage()
    """What replies of the same turn took before it."""
    can_pass = False
    """Whether it was a failure of the kind that is tried again, and went on for too long."""


class ContextOverflow(ModelError):
    """The messages are longer than the model takes."""


class OutOfTime(ModelError):
    """The reply was not there within the time the caller had left."""


class RequestRefused(ModelError):
    """The server takes the request itself for a mistake."""


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call of a tool that the model asks for."""

    id: str
    name: str
    arguments: str
    """JSON text as the model wrote it, well-formed or not."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the model answered."""

    text: str
    usage: ModelUsage
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    """What a reasoning model thought aloud, where its server tells."""
    finish_reason: str = ""
    """`stop`, `length`, `tool_calls` or the like; `cut` where reading ended at the first complete action."""

    @property
    def message(self) -> dict[str, Any]:
        """The reply as a message of the conversation."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        return message


class Model(Protocol):
    """A language model."""

    name: str

    def reply(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        whole: Callable[[str], int | None] | None = None,
        seconds: float | None = None,
    ) -> Reply:
        """Ask for the next message.

        `whole` is asked about the text so far; where it tells a length, reading ends and the text is cut there. `seconds` is the
        time the caller has left.

        Raises:
            ContextOverflow: The messages are too long.
            OutOfTime: No reply within `seconds`.
            ModelError: Anything else that trying again would not mend, or that did not pass.
        """
