"""Where an agent that asks a language model stops by itself."""

from __future__ import annotations

from mlgym_lite.config.agent_file import Limits
from mlgym_lite.models.protocol import ModelError, ModelUsage


def limit_reached(limits: Limits, total: ModelUsage, model: str) -> str | None:
    """Which limit is reached, in words; None while none is.

    Raises:
        ModelError: The cost is limited, and the model's price is not known.
    """
    if limits.cost_usd is not None and total.cost_usd is not None and total.cost_usd >= limits.cost_usd:
        return f"{total.cost_usd:.4f} USD are used; the limit is {limits.cost_usd:g}"
    if limits.cost_usd is not None and total.cost_usd is None and limits.tokens is None:
        raise ModelError(
            f"{model}: its price is not known, so limits.cost_usd = {limits.cost_usd:g} cannot be kept; "
            "use limits.tokens (--token-limit) instead"
        )
    if limits.tokens is not None and total.tokens >= limits.tokens:
        return f"{total.tokens} tokens are used; the limit is {limits.tokens}"
    return None
