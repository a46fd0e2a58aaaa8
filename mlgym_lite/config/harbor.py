"""The keys of a task.toml: Harbor's schema 1.4, every key of it, and ours under [metadata.mlgym_lite].

What Harbor knows and this project cannot keep is refused by name rather than ignored: a task must not run under weaker
promises than its file states. Harbor's schema: https://github.com/laude-institute/harbor (models/task/config.py, 0.25).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mlgym_lite.config.allowed_hosts import NetworkMode, parse_allowed_host
from mlgym_lite.config.refusal import Refusal


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value


Finite = Annotated[float, AfterValidator(_finite)]
Positive = Annotated[float, Field(gt=0), AfterValidator(_finite)]
Noise = Annotated[float, Field(ge=0), AfterValidator(_finite)]
Count = Annotated[int, Field(ge=1)]
Direction = Literal["maximize", "minimize"]
SchemaVersion = Literal["1.0", "1.1", "1.2", "1.3", "1.4"]
Scores = Annotated[dict[str, Finite], Field(min_length=1)]


class Table(BaseModel):
    """A table in which an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_ONE_USER = BeforeValidator(Refusal("the sandbox has one user"))
_NO_NETWORK = 'a grader has no network; leave the key out or write network_mode = "no-network"'
_OLD_SWITCH = 'write network_mode = "public"'
_NoService = Annotated[Any, BeforeValidator(Refusal("a sandbox holds one shell and no services"))]
_WithSteps = Annotated[Any, BeforeValidator(Refusal("goes with [[steps]], of which there are none"))]
_OwnSandbox = Annotated[Any, BeforeValidator(Refusal("grading has a sandbox of its own, made by this project"))]
_Docker = Annotated[Any, BeforeValidator(Refusal("there is no Docker here; state requirements under [metadata.mlgym_lite]"))]
_Megabytes = Annotated[Any, BeforeValidator(Refusal("write memory_mb or storage_mb, a whole number of MiB"))]
_GpuTypes = Annotated[Any, BeforeValidator(Refusal("ask for a number of GPUs"))]


def _no_network(value: Any) -> Any:
    if value not in (None, "no-network"):
        raise ValueError(f"not supported: {_NO_NETWORK}")
    return value


def _host_entry(value: str) -> str:
    parse_allowed_host(value)
    return value


HostEntry = Annotated[str, AfterValidator(_host_entry)]


def _no_internet(value: Any) -> Any:
    if value not in (None, False):
        raise ValueError(f"not supported: {_OLD_SWITCH}")
    return value


def _as_artifact(value: Any) -> Any:
    if isinstance(value, str):
        return {"source": value}
    if not isinstance(value, dict):
        raise ValueError(f"expected a path in quotes, or a table with `source`, not {value!r}")
    return value


class Author(Table):
    """Who wrote the task."""

    name: str
    email: str | None = None


class TaskTable(Table):
    """[task]: what it is called."""

    name: str
    version: str | None = None
    description: str = ""
    authors: list[Author] = []
    keywords: list[str] = []


class AgentTable(Table):
    """[agent]: limits of the episode."""

    timeout_sec: Positive | None = None
    user: Annotated[Any, _ONE_USER] = None
    network_mode: NetworkMode | None = None
    allowed_hosts: list[HostEntry] | None = None


class VerifierTable(Table):
    """[verifier]: limits of one grading."""

    timeout_sec: Positive = 600.0
    env: dict[str, str] = {}
    user: Annotated[Any, _ONE_USER] = None
    network_mode: Annotated[str | None, BeforeValidator(_no_network)] = None
    allowed_hosts: Annotated[Any, BeforeValidator(Refusal(_NO_NETWORK))] = None
    environment_mode: Literal["separate"] | None = None
    environment: _OwnSandbox = None
    collect: _OwnSandbox = None


class EnvironmentTable(Table):
    """[environment]: what the agent's sandbox has."""

    network_mode: NetworkMode | None = None
    allowed_hosts: list[HostEntry] | None = None
    build_timeout_sec: Positive = 600.0
    docker_image: _Docker = None
    os: Literal["linux"] = "linux"
    cpus: Positive | None = None
    memory_mb: Count | None = None
    storage_mb: Count | None = None
    gpus: Annotated[int, Field(ge=0)] = 0
    gpu_types: _GpuTypes = None
    tpu: _NoService = None
    mcp_servers: _NoService = None
    env: dict[str, str] = {}
    skills_dir: _NoService = None
    healthcheck: _NoService = None
    workdir: Literal["/workspace"] = "/workspace"
    allow_internet: Annotated[bool | None, BeforeValidator(_no_internet)] = None
    memory: _Megabytes = None
    storage: _Megabytes = None


class SolutionTable(Table):
    """[solution]: the baseline."""

    env: dict[str, str] = {}


class Artifact(Table):
    """One file or folder that is handed to the grader."""

    source: Annotated[str, Field(min_length=1)]
    destination: str | None = None
    exclude: list[Annotated[str, Field(min_length=1)]] = []
    """With the source ".", the whole workspace: names in it that are left out."""
    service: _NoService = None


class Source(Table):
    """A file that a person must hand over, because its licence forbids shipping it."""

    name: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    instructions: str


class Download(Table):
    """What preparing downloads where no copy is handed over."""

    repositories: Annotated[list[str], Field(min_length=1)]
    """Hugging Face repositories ("uoft-cs/cifar10") or addresses."""
    megabytes: Count
    """Roughly, in all."""


class DataTable(Table):
    """[metadata.mlgym_lite.data]: where the task's data comes from."""

    mini: str | None = None
    """A folder of the task that holds the mini variant's trees."""
    mini_program: str | None = None
    """Instead: the program that makes them, called once on each host."""
    prepare: str | None = None
    prepare_requirements: str | None = None
    source: Source | None = None
    download: Download | None = None
    sha256: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = {}


class PlayerTable(Table):
    """[metadata.mlgym_lite.player]: the program that plays the agent's code for the judge."""

    program: str
    count: Annotated[int, Field(ge=1, le=8)] = 1
    """How many players there are, each in a sandbox of its own."""
    data: bool = False
    """Whether they see the agent's tree of the data."""


class VariantTable(Table):
    """[metadata.mlgym_lite.variants.NAME]: what differs in one variant."""

    baseline: Scores | None = None
    score_noise: Noise | None = None
    goal: float | None = None


class VariantTables(Table):
    """[metadata.mlgym_lite.variants]."""

    full: VariantTable = VariantTable()
    mini: VariantTable = VariantTable()


class ParityTable(Table):
    """[metadata.mlgym_lite.parity]: what differs where a score is to compare with MLGym's; absent keys stay as they are."""

    metric: str | None = None
    direction: Direction | None = None
    baseline: Scores | None = None
    score_noise: Noise | None = None


class OurTable(Table):
    """[metadata.mlgym_lite]: what Harbor has no key for."""

    metric: str
    direction: Direction
    domain: str = ""
    baseline: Scores | None = None
    score_noise: Noise = 0.0
    goal: float | None = None
    """A score of the metric that is as good as can be hoped for; rewards are normalised by it."""
    max_steps: Count = 50
    command_timeout_sec: Positive = 1800.0
    validations: Annotated[int, Field(ge=0)] = 50
    requirements: str | None = None
    grader_requirements: str | None = None
    feedback: Literal["development", "test"] = "development"
    home_workspace: bool = False
    """Whether the agent sees /workspace as ~/workspace too, where MLGym had it."""
    player: PlayerTable | None = None
    variants: VariantTables = VariantTables()
    parity: ParityTable | None = None
    data: DataTable | None = None


class MetadataTable(BaseModel):
    """[metadata]: Harbor leaves it free; ours stands under mlgym_lite."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    mlgym_lite: OurTable


class TaskFile(Table):
    """The whole file."""

    schema_version: SchemaVersion = "1.4"
    version: SchemaVersion | None = None
    source: str | None = None
    artifacts: Annotated[list[Annotated[Artifact, BeforeValidator(_as_artifact)]], Field(min_length=1)]
    multi_step_reward_strategy: _WithSteps = None
    task: TaskTable | None = None
    metadata: MetadataTable
    agent: AgentTable = AgentTable()
    verifier: VerifierTable = VerifierTable()
    environment: EnvironmentTable = EnvironmentTable()
    solution: SolutionTable = SolutionTable()
