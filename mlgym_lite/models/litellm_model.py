"""The model client, over litellm: every provider and every server that speaks OpenAI's protocol, by name.

Keys come from this process's environment, where litellm looks for them itself; they are never an argument here, and what
looks like one is struck out of every message. Replies are streamed, so that reading can end at the first complete action.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlgym_lite.config.agent_file import ModelOptions
from mlgym_lite.models.library import harmless_text, litellm_library, quiet
from mlgym_lite.models.protocol import (
    ContextOverflow,
    Message,
    ModelError,
    ModelUsage,
    OutOfTime,
    Reply,
    RequestRefused,
    ToolCall,
)

_TOO_LONG = re.compile(r"context.?(length|window)|maximum context|too many tokens|too long|exceeds? .{0,40}(context|token)", re.I)
_TOO_LARGE = 413
_USED_UP = re.compile(r"insufficient_quota|exceeded your current quota|billing", re.I)
_NO_KEY = re.compile(r"missing credentials|api_key client option must be set|missing .{0,20}api.?key", re.I)


class LiteLLMModel:
    """One model, asked over litellm."""

    def __init__(
        self,
        name: str,
        options: ModelOptions,
        *,
        environment: Mapping[str, str] | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        """`environment` is where secrets to strike out of messages are found; `on_wait` is told of each pause."""
        self.name = name
        self._options = options
        self._environment = dict(os.environ if environment is None else environment)
        self._on_wait = on_wait
        self._library = litellm_library()

    def reply(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        whole: Callable[[str], int | None] | None = None,
        seconds: float | None = None,
    ) -> Reply:
        """Ask, and ask again while what fails can pass; see `Model.reply`."""
        import tenacity

        deadline = None if seconds is None else time.monotonic() + seconds
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._options.attempts),
            wait=lambda state: self._pause(state, deadline),
            retry=tenacity.retry_if_exception(self._can_pass),
            before_sleep=self._tell,
            reraise=True,
        )
        with quiet():
            try:
                for attempt in retrying:
                    with attempt:
                        return self._ask(messages, tools, whole, deadline)
            except ModelError:
                raise
            except Exception as error:
                if deadline is not None and time.monotonic() >= deadline:
                    raise OutOfTime(f"{self.name}: no reply within the time that is left to the episode") from None
                told = self.told(error)
                told.can_pass = self._can_pass(error)
                raise told from None
        raise AssertionError("tenacity either returns or raises")

    def _ask(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        whole: Callable[[str], int | None] | None,
        deadline: float | None,
    ) -> Reply:
        options = self._options
        left = options.timeout_seconds if deadline is None else min(options.timeout_seconds, deadline - time.monotonic())
        if left <= 0:
            raise OutOfTime(f"{self.name}: no reply within the time that is left to the episode")
        wanted = {
            "temperature": options.temperature, "top_p": options.top_p, "max_tokens": options.max_output_tokens,
            "base_url": options.base_url, "tools": list(tools) or None, **options.extra,
        }  # fmt: skip
        stream = self._library.completion(
            model=self.name, messages=list(messages), stream=True, stream_options={"include_usage": True}, timeout=left,
            num_retries=0, max_retries=0, **{key: value for key, value in wanted.items() if value is not None},
        )  # fmt: skip
        collected = _Collected()
        with _closing(stream):
            for chunk in stream:
                collected.add(chunk)
                length = whole(collected.text) if whole is not None else None
                if length is not None and length < len(collected.text):
                    collected.text, collected.finish_reason = collected.text[:length], "cut"
                    break
                if deadline is not None and time.monotonic() > deadline:
                    raise OutOfTime(f"{self.name}: no whole reply within the time that is left to the episode")
        return collected.reply(self._usage(messages, tools, collected))

    def _usage(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], collected: _Collected) -> ModelUsage:
        told = collected.usage
        if told is not None:
            sent, received = int(told.prompt_tokens or 0), int(told.completion_tokens or 0)
        else:
            count = self._library.token_counter
            sent = int(count(model=self.name, messages=list(messages), tools=list(tools) or None))
            received = int(count(model=self.name, text=collected.all_text() or " "))
        return ModelUsage(
            input_tokens=sent, output_tokens=received, cost_usd=self._cost(sent, received), calls=1, estimated=told is None
        )

    def _cost(self, sent: int, received: int) -> float | None:
        """What a call costs; None where litellm knows no price."""
        try:
            prices = self._library.cost_per_token(model=self.name, prompt_tokens=sent, completion_tokens=received)
        except Exception:
            return None
        return float(sum(prices))

    def _can_pass(self, error: BaseException) -> bool:
        library = self._library
        if isinstance(error, ModelError) or not isinstance(error, Exception):
            return False
        if _USED_UP.search(str(error)) or _NO_KEY.search(str(error)):
            return False
        passing = (
            library.RateLimitError, library.APIConnectionError, library.Timeout, library.InternalServerError,
            library.ServiceUnavailableError, library.BadGatewayError, ConnectionError, TimeoutError,
        )  # fmt: skip
        status = getattr(error, "status_code", None)
        return (
            isinstance(error, passing)
            or type(error).__module__.startswith("httpx")
            or (isinstance(status, int) and status >= 500)
        )

    def _pause(self, state: Any, deadline: float | None) -> float:
        """How long to wait: what the server asks for, else twice as long each time with a part drawn; at most the longest."""
        import tenacity

        error = state.outcome.exception()
        headers = getattr(getattr(error, "response", None), "headers", None) or {}
        try:
            asked = float(headers.get("retry-after", ""))
        except (TypeError, ValueError):
            asked = tenacity.wait_random_exponential(multiplier=1, max=self._options.longest_wait_seconds)(state)
        pause = min(asked, self._options.longest_wait_seconds)
        return pause if deadline is None else max(0.0, min(pause, deadline - time.monotonic()))

    def _tell(self, state: Any) -> None:
        if self._on_wait is not None:
            pause, attempt = state.next_action.sleep, state.attempt_number
            why = harmless_text(state.outcome.exception(), self._environment)
            self._on_wait(f"{self.name}: {why}; asking again in {pause:.1f} s ({attempt + 1} of {self._options.attempts})")

    def told(self, error: Exception) -> ModelError:
        """An error of litellm in our words, without secrets."""
        library = self._library
        why = harmless_text(error, self._environment)
        if isinstance(error, library.ContextWindowExceededError) or (
            isinstance(error, library.BadRequestError) and _TOO_LONG.search(str(error))
        ):
            return ContextOverflow(f"{self.name}: the messages are longer than the model takes: {why}")
        if isinstance(error, library.AuthenticationError) or _NO_KEY.search(str(error)):
            return ModelError(f"{self.name}: {why}\n  Set the provider's key in the environment, such as OPENAI_API_KEY")
        if isinstance(error, library.NotFoundError):
            return ModelError(f"{self.name}: {why}\n  Is the model's name right, and its provider before the slash?")
        if "LLM Provider NOT provided" in str(error):
            return ModelError(f"{self.name}: litellm knows no such provider; for a server of your own write openai/NAME")
        if "connection error" in why.lower():
            where = self._options.base_url or "the provider"
            why = f"{where} cannot be reached, or broke off: {why}\n  Does a server listen there? --base-url says where"
        is_refused = isinstance(error, library.BadRequestError) or getattr(error, "status_code", None) == _TOO_LARGE
        kind = RequestRefused if is_refused else ModelError
        return kind(f"{self.name}: {why}")


@dataclass
class _Collected:
    """A streamed reply so far."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str = ""
    usage: Any = None
    calls: dict[int, list[str]] = field(default_factory=dict)
    """By their place: id, name and arguments."""

    def add(self, chunk: Any) -> None:
        """Take up a piece."""
        self.usage = getattr(chunk, "usage", None) or self.usage
        for choice in chunk.choices[:1]:
            delta = choice.delta
            self.text += delta.content or ""
            self.reasoning += getattr(delta, "reasoning_content", None) or ""
            self.finish_reason = choice.finish_reason or self.finish_reason
            for call in delta.tool_calls or ():
                parts = self.calls.setdefault(call.index or 0, ["", "", ""])
                parts[0] = call.id or parts[0]
                parts[1] += call.function.name or ""
                parts[2] += call.function.arguments or ""

    def all_text(self) -> str:
        """Everything the model wrote."""
        return self.text + self.reasoning + "".join(part for parts in self.calls.values() for part in parts[1:])

    def reply(self, usage: ModelUsage) -> Reply:
        """The reply, whole or as far as it was read."""
        calls = tuple(
            ToolCall(id=parts[0] or f"call_{at}", name=parts[1], arguments=parts[2]) for at, parts in self.calls.items()
        )
        return Reply(
            text=self.text, usage=usage, tool_calls=calls, reasoning=self.reasoning, finish_reason=self.finish_reason
        )  # fmt: skip


@contextlib.contextmanager
def _closing(stream: Any) -> Iterator[None]:
    """End the connection when reading ends, whole or not."""
    try:
        yield
    finally:
        close = getattr(getattr(stream, "completion_stream", None), "close", None)
        if close is not None:
            with contextlib.suppress(Exception):
                close()
