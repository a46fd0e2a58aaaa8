"""Making the services that the command line and an agent file ask for."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path

from mlgym_lite.config.agent_file import Literature, Memory, Tools
from mlgym_lite.errors import AgentError
from mlgym_lite.services.protocol import Service

SERVICES = tuple(Tools.model_fields)


def make_services(names: Iterable[str], memory: Memory, literature: Literature) -> tuple[Service, ...]:
    """Each named service once, in a fixed order. Raises AgentError where a package is missing."""
    wanted = set(names)
    return tuple(_made(name, memory, literature) for name in SERVICES if name in wanted)


def _made(name: str, memory: Memory, literature: Literature) -> Service:
    if name == "memory":
        return _memory(memory)
    if name == "literature":
        from mlgym_lite.services.literature import LiteratureService
        from mlgym_lite.services.semantic_scholar import BASE_URL, SemanticScholar

        return LiteratureService(
            SemanticScholar(environment=os.environ, base_url=literature.base_url or BASE_URL, own_hosts=literature.own_hosts)
        )
    from mlgym_lite.services.pictures import PictureService

    return PictureService()


def _memory(settings: Memory) -> Service:
    from mlgym_lite.models.embedding import LiteLLMEmbedding
    from mlgym_lite.services.memory import MemoryService

    if importlib.util.find_spec("bm25s") is None:
        raise AgentError("notes (--tool memory) need the extra `llm`: pip install 'mlgym-lite[llm]'")
    embed = LiteLLMEmbedding(settings.embedding, settings.base_url) if settings.embedding else None
    return MemoryService(Path(settings.folder) if settings.folder else None, embed=embed)
