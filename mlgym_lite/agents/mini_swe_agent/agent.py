"""mini-swe-agent's DefaultAgent, which tells its environment what each command took to decide, and bounds tokens too.

Importing this imports mini-swe-agent.
"""

from __future__ import annotations

from typing import Any

from minisweagent.agents.default import DefaultAgent
from minisweagent.exceptions import FormatError, LimitsExceeded

from mlgym_lite.agents.mini_swe_agent.environment import Decision, EpisodeEnvironment
from mlgym_lite.agents.mini_swe_agent.messages import rejected_of, reply_of, thought_of, usage_of
from mlgym_lite.errors import AgentError
from mlgym_lite.models.protocol import ModelUsage


class EpisodeAgent(DefaultAgent):
    """DefaultAgent at work in one episode."""

    def __init__(self, model: Any, environment: EpisodeEnvironment, *, token_limit: int | None = None, **settings: Any) -> None:
        """`settings` are DefaultAgent's own."""
        super().__init__(model, environment, **settings)
        self._environment = environment
        self._action_regex: str | None = getattr(model.config, "action_regex", None)
        self._token_limit = token_limit
        self._rejected: list[dict[str, Any]] = []
        self._is_first = True
        self.total = ModelUsage()
        """What all calls so far took."""
        self.unrecorded = ModelUsage()
        """What the calls since the last command took."""

    @property
    def unrecorded_details(self) -> dict[str, Any]:
        """The ill-formed replies since the last command, and before the first one the prompt."""
        prompt = [{"role": message["role"], "content": message["content"]} for message in self.messages[:2]]
        return {**({"prompt": prompt} if self._is_first else {}), **({"rejected": self._rejected} if self._rejected else {})}

    def query(self) -> dict[str, Any]:
        """Ask the model; raises AgentError where a limit cannot be kept because the call does not tell what it took."""
        if self._token_limit is not None and self.total.tokens >= self._token_limit:
            raise LimitsExceeded(
                {"role": "exit", "content": "LimitsExceeded", "extra": {"exit_status": "LimitsExceeded", "submission": ""}}
            )
        try:
            message: dict[str, Any] = super().query()
        except FormatError as error:
            self._rejected.append(rejected_of(error.messages[0]))
            self._charge(usage_of(error.messages[0]))
            raise
        self._charge(usage_of(message))
        return message

    def execute_actions(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Run a reply's commands; what it took is recorded with the first."""
        details = {**self.unrecorded_details, "reply": reply_of(message)}
        thought = thought_of(message, self._action_regex)
        self._environment.explain(Decision(thought=thought, usage=self.unrecorded, details=details))
        self.unrecorded, self._rejected, self._is_first = ModelUsage(), [], False
        shown: list[dict[str, Any]] = super().execute_actions(message)
        return shown

    def _charge(self, usage: ModelUsage) -> None:
        self.unrecorded += usage
        self.total += usage
        if self.config.cost_limit and usage.cost_usd is None and self._token_limit is None:
            raise AgentError(
                f"its price is not known, so --cost-limit {self.config.cost_limit:g} cannot be kept; use --token-limit instead"
            )
        if self._token_limit is not None and not usage.tokens:
            raise AgentError(f"its server tells no number of tokens, so --token-limit {self._token_limit} cannot be kept")
