"""litellm, loaded where a model is asked and kept quiet; and secrets, kept out of what it says."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from mlgym_lite.errors import AgentError

_SECRET = re.compile("KEY|TOKEN|SECRET|PASSWORD")
_LEAST_SECRET = 6
_LONGEST_MESSAGE = 600


def litellm_library() -> Any:
    """The library, which takes seconds to import, set up so that it neither reports nor downloads anything."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_LOG", "ERROR")
    try:
        with quiet():
            import litellm
    except ImportError as error:
        raise AgentError("language models need the extra `llm`: pip install 'mlgym-lite[llm]'") from error
    litellm.suppress_debug_info = True
    litellm.drop_params = True
    litellm.telemetry = False
    return litellm


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of the libraries below, which a user can do nothing about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def harmless_text(error: BaseException | None, environment: Mapping[str, str]) -> str:
    """An error's text on one line, without what the environment holds of secrets."""
    text = " ".join(str(error).split()) or type(error).__name__
    for key, value in environment.items():
        if _SECRET.search(key.upper()) and len(value) >= _LEAST_SECRET:
            text = text.replace(value, "[struck out]")
    text = re.sub(r"\b(sk|key)-[\w*-]{6,}", "[struck out]", text)
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"
