"""Vectors of texts, from a model of embeddings that litellm reaches."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mlgym_lite.errors import AgentError
from mlgym_lite.models.library import harmless_text, litellm_library, quiet

_SECONDS = 30.0


class LiteLLMEmbedding:
    """One model of embeddings, asked over litellm."""

    def __init__(self, name: str, base_url: str | None = None) -> None:
        self.name = name
        self._base_url = base_url

    def __call__(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """A vector for each text. Raises AgentError where the model fails."""
        library = litellm_library()
        try:
            with quiet():
                answer = library.embedding(
                    model=self.name, input=list(texts), api_base=self._base_url, timeout=_SECONDS, num_retries=1,
                    encoding_format="float",
                )  # fmt: skip
        except Exception as error:
            raise AgentError(f"{self.name}: {harmless_text(error, os.environ)}") from None
        vectors = [entry["embedding"] for entry in answer.data]
        if len(vectors) != len(texts):
            raise AgentError(f"{self.name}: gave {len(vectors)} vectors for {len(texts)} texts")
        return vectors
