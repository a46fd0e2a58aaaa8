"""The keys of a task.toml: Harbor's schema 1.4, every key of it, and ours under [metadata.mlgym_lite].

What Harbor knows and this project cannot keep is refused by name rather than ignored: a task must not run under weaker
promises than its file states. Harbor's schema: https://github.com/laude-institute/harbor (models/task/config.py, 0.25).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value


Finite = Annotated[float, AfterValidator(_finite)]
Positive = Annotated[float, Field(gt=0), AfterValidator(_finite)]
Count = Annotated[int, Field(ge=1)]
Scores = Annotated[dict[str, Finite], Field(min_length=1)]


class Table(BaseModel):
    """A table in which an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def refused(*keys: str, because: str) -> Any:
    """A check that a table states none of these keys."""

    def check(values: Any) -> Any:
        stated = [key for key in keys if isinstance(values, dict) and values.get(key) not in (None, [], {})]
        if stated:
            raise ValueError(f"{', '.join(stated)}: {because}")
        return values

    return model_validator(mode="before")(check)


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
    user: str | int | None = None
    network_mode: str | None = None
    allowed_hosts: list[str] | None = None

    _refused = refused(
        "user", "network_mode", "allowed_hosts",
        because="not supported for [agent]; the sandbox has one user, and [environment].network_mode rules its network",
    )  # fmt: skip


class VerifierTable(Table):
    """[verifier]: limits of one grading."""

    timeout_sec: Positive = 600.0
    env: dict[str, str] = {}
    user: str | int | None = None
    network_mode: Literal["no-network"] | None = None
    allowed_hosts: list[str] | None = None
    environment_mode: Literal["separate"] | None = None
    environment: dict[str, Any] | None = None
    collect: list[Any] = []

    _refused = refused(
        "user", "allowed_hosts", "environment", "collect",
        because="not supported for [verifier]; grading always runs in a sandbox of its own, without network",
    )  # fmt: skip


class EnvironmentTable(Table):
    """[environment]: what the agent's sandbox has."""

    network_mode: Literal["no-network"] = "no-network"
    allowed_hosts: list[str] | None = None
    build_timeout_sec: Positive = 600.0
    docker_image: str | None = None
    os: Literal["linux"] = "linux"
    cpus: Positive | None = None
    memory_mb: Count | None = None
    storage_mb: Count | None = None
    gpus: Annotated[int, Field(ge=0)] = 0
    gpu_types: list[str] | None = None
    tpu: dict[str, Any] | None = None
    mcp_servers: list[Any] = []
    env: dict[str, str] = {}
    skills_dir: str | None = None
    healthcheck: dict[str, Any] | None = None
    workdir: Literal["/workspace"] = "/workspace"
    allow_internet: Literal[False] | None = None
    memory: str | None = None
    storage: str | None = None

    _docker = refused("docker_image", because="there is no Docker here; state requirements under [metadata.mlgym_lite]")
    _hosts = refused("allowed_hosts", because="the sandbox has no network, so there are no hosts to allow")
    _legacy = refused("memory", "storage", because="write memory_mb and storage_mb (whole numbers of MiB)")
    _services = refused(
        "tpu",
        "mcp_servers",
        "skills_dir",
        "healthcheck",
        because="not supported: a sandbox holds one shell and no services",
    )
    _gpu_types = refused("gpu_types", because="not supported: ask for a number of GPUs")


class SolutionTable(Table):
    """[solution]: the baseline."""

    env: dict[str, str] = {}


class Artifact(Table):
    """One file or folder that is handed to the grader."""

    source: str
    destination: str | None = None
    exclude: list[str] = []
    service: str | None = None

    _refused = refused("service", "exclude", because="not supported for artifacts: name the files themselves")


class Source(Table):
    """A file that a person must hand over, because its licence forbids shipping it."""

    name: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    instructions: str


class DataTable(Table):
    """[metadata.mlgym_lite.data]: where the task's data comes from."""

    mini: str | None = None
    prepare: str | None = None
    source: Source | None = None
    sha256: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = {}


class PlayerTable(Table):
    """[metadata.mlgym_lite.player]: the program that plays the agent's code for the judge."""

    program: str


class VariantTable(Table):
    """[metadata.mlgym_lite.variants.NAME]: what differs in one variant."""

    baseline: Scores | None = None


class VariantTables(Table):
    """[metadata.mlgym_lite.variants]."""

    full: VariantTable = VariantTable()
    mini: VariantTable = VariantTable()


class OurTable(Table):
    """[metadata.mlgym_lite]: what Harbor has no key for."""

    metric: str
    direction: Literal["maximize", "minimize"]
    domain: str = ""
    baseline: Scores | None = None
    score_noise: Annotated[float, Field(ge=0), AfterValidator(_finite)] = 0.0
    max_steps: Count = 50
    command_timeout_sec: Positive = 1800.0
    validations: Annotated[int, Field(ge=0)] = 50
    requirements: str | None = None
    grader_requirements: str | None = None
    feedback: Literal["development", "test"] = "development"
    player: PlayerTable | None = None
    variants: VariantTables = VariantTables()
    data: DataTable | None = None


class MetadataTable(BaseModel):
    """[metadata]: Harbor leaves it free; ours stands under mlgym_lite."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    mlgym_lite: OurTable


class TaskFile(Table):
    """The whole file."""

    schema_version: Literal["1.0", "1.1", "1.2", "1.3", "1.4"] = "1.4"
    version: str | None = None
    source: str | None = None
    artifacts: list[str | Artifact] = Field(min_length=1)
    multi_step_reward_strategy: str | None = None
    steps: list[Any] | None = None
    task: TaskTable | None = None
    metadata: MetadataTable
    agent: AgentTable = AgentTable()
    verifier: VerifierTable = VerifierTable()
    environment: EnvironmentTable = EnvironmentTable()
    solution: SolutionTable = SolutionTable()

    _steps = refused("steps", "multi_step_reward_strategy", because="tasks of several steps are not supported")
