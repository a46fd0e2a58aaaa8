"""Agent files: a language-model agent as a TOML file, shipped or the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mlgym_lite.config.harbor import Count, Table
from mlgym_lite.config.toml_errors import TomlProblems, parse, read_toml
from mlgym_lite.errors import AgentError

SHIPPED = Path(__file__).resolve().parent.parent / "agents" / "shipped"
"""The folder of the agents that come with the package, and of their prompts."""


class ModelOptions(Table):
    """How the model is asked; an option that is absent is left to the model's server."""

    name: str | None = None
    """As litellm names models, such as `openai/gpt-4o`; --model wins over it."""
    base_url: str | None = None
    """Of a server that speaks OpenAI's protocol; else the provider's own, or what its environment variable says."""
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0)
    max_output_tokens: Count | None = None
    timeout_seconds: float = Field(default=600.0, gt=0)
    """How long one reply may take."""
    attempts: Count = 8
    """How often one reply is asked for while what fails can pass."""
    longest_wait_seconds: float = Field(default=60.0, ge=0)
    """The longest pause between two attempts."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further arguments for litellm.completion. Keys do not belong here: they come from the environment."""


class Prompts(Table):
    """Files of jinja2 templates, from the agent file's folder, else the shipped ones."""

    system: str = "system.j2"
    task: str = "task.j2"
    observation: str = "observation.j2"
    format_error: str = "format_error.j2"


class Format(Table):
    """How the model says what to do."""

    parser: Literal["fenced", "xml", "json", "tools"] = "fenced"
    attempts: Count = 3
    """How often in a row a reply may be ill-formed before the episode ends."""
    stop_at_action: bool = True
    """Stop reading a reply at its first complete action."""


class History(Table):
    """What the model is shown again of earlier steps."""

    policy: Literal["all", "last", "windows"] = "all"
    """`last` leaves out older observations; `windows` those that show a file which a later one shows again."""
    observations: Count = 5
    """How many `last` keeps."""
    overflow: Literal["shorten", "stop"] = "shorten"
    """Where the messages are too long for the model: leave out more of the oldest, or end the episode."""


class Tools(Table):
    """Tools in the sandbox that the engine answers; their commands are in the prompt."""

    memory: bool = False
    """Notes: memory_write, memory_read."""
    literature: bool = False
    """Papers: literature_search, read_paper."""
    view_image: bool = False
    """Pictures, for a model that can see."""


class Memory(Table):
    """Where notes are kept, and how they are found again."""

    folder: str | None = None
    """Keeps notes across episodes; --memory wins. A relative path is the agent file's neighbour."""
    embedding: str | None = None
    """A model of embeddings as litellm names it (openai/text-embedding-3-small); else notes are ranked by their words."""
    base_url: str | None = None
    """Of that model's server, where it is not the provider's own."""


class Literature(Table):
    """Whom papers are asked for."""

    base_url: str | None = None
    """Of a server that speaks Semantic Scholar's protocol, where it is not Semantic Scholar itself."""
    own_hosts: list[str] = Field(default_factory=list)
    """Hosts of the site's own from which PDFs may come, such as local:mirror.cluster:8080."""


class Limits(Table):
    """Where the agent stops by itself; what lies in the workspace is then scored."""

    cost_usd: float | None = Field(default=None, gt=0)
    tokens: Count | None = None
    """Input and output together."""


class AgentFile(Table):
    """One agent; a key that is absent from the file has the value shown here."""

    description: str = ""
    model: ModelOptions = Field(default_factory=ModelOptions)
    prompts: Prompts = Field(default_factory=Prompts)
    format: Format = Field(default_factory=Format)
    history: History = Field(default_factory=History)
    tools: Tools = Field(default_factory=Tools)
    memory: Memory = Field(default_factory=Memory)
    literature: Literature = Field(default_factory=Literature)
    limits: Limits = Field(default_factory=Limits)


def shipped_agent_names() -> list[str]:
    """The agent files that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load_agent_file(reference: str) -> tuple[str, AgentFile, dict[str, str]]:
    """Read an agent by its file or shipped name: its name, the settings, and the text of each prompt.

    Raises:
        AgentError: With every mistake found.
    """
    path = SHIPPED / f"{reference}.toml" if reference in shipped_agent_names() else Path(reference)
    try:
        settings = parse(AgentFile, read_toml(path), str(path))
    except TomlProblems as error:
        raise AgentError(f"{path} cannot be used:\n  " + "\n  ".join(error.problems)) from error
    if settings.memory.folder is not None:
        memory = settings.memory.model_copy(update={"folder": str(path.parent / Path(settings.memory.folder).expanduser())})
        settings = settings.model_copy(update={"memory": memory})
    prompts = {name: _prompt(path, name, file) for name, file in settings.prompts.model_dump().items()}
    return path.stem, settings, prompts


def _prompt(agent: Path, name: str, file: str) -> str:
    own = agent.parent / file
    path = own if own.is_file() or file not in {shipped.name for shipped in SHIPPED.glob("*.j2")} else SHIPPED / file
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AgentError(f"{agent}: prompts.{name}: {path} cannot be read: {error}") from error
