"""Bench files: tasks, agents, models and seeds, every combination of which is one episode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mlgym_lite.config.allowed_hosts import NetworkMode
from mlgym_lite.config.harbor import Count, Positive, Table
from mlgym_lite.config.task_file import ScoringKind, Variant
from mlgym_lite.config.toml_errors import TomlProblems, parse, read_toml
from mlgym_lite.errors import BenchError

Text = Annotated[str, Field(min_length=1)]


def _as_seeds(value: Any) -> Any:
    """A number of seeds stands for the first ones."""
    if isinstance(value, bool):
        raise ValueError("expected how many seeds, or a list of them")
    if not isinstance(value, int):
        return value
    if value < 1:
        raise ValueError("expected how many, at least 1, or a list")
    return list(range(value))


def _as_agents(value: Any) -> Any:
    """An agent's name alone stands for a table with it."""
    return [{"agent": entry} if isinstance(entry, str) else entry for entry in value] if isinstance(value, list) else value


class BenchAgent(Table):
    """One agent, and the models it is tried with."""

    agent: Text
    """As `mlgym-lite run --agent` takes it; a path is the bench file's neighbour."""
    models: list[Text] | None = None
    """None: the bench's, for an agent that asks a model and has none in its file."""
    base_url: Text | None = None
    tools: list[Literal["memory", "literature", "view_image"]] = Field(default_factory=list)
    memory: Text | None = None
    """A folder of notes across episodes, the bench file's neighbour."""


class Limits(Table):
    """Of each episode; an absent one is the task's or the agent's own."""

    max_steps: Count | None = None
    time_limit_seconds: Positive | None = None
    cost_usd: Positive | None = None
    tokens: Count | None = None


class Budget(Table):
    """Of the whole bench: no episode is begun that could go over it."""

    cost_usd: Positive | None = None


class Options(Table):
    """Further options of every episode, as `mlgym-lite run` has them; a path is the bench file's neighbour."""

    isolation: Literal["auto", "bubblewrap", "landlock", "none"] | None = None
    profile: Text | None = None
    gpus: Annotated[int, Field(ge=0)] | None = None
    network: NetworkMode | None = None
    allowed_hosts: list[Text] = Field(default_factory=list)
    wheelhouse: Text | None = None
    data: Text | None = None
    python: Text | None = None


class Local(Table):
    """How episodes run on this machine."""

    workers: Count | None = None
    """At once; None: as many as CPUs, memory and GPUs allow."""


class Slurm(Table):
    """How episodes run as jobs of a Slurm array; what is absent is left to the cluster."""

    partition: Text | None = None
    account: Text | None = None
    qos: Text | None = None
    constraint: Text | None = None
    time_minutes: Count | None = None
    """Of a job; None: what the episode may take and ten minutes."""
    memory_mb: Count = 1024
    """Beside what the episode itself may use: the engine, graders, page cache."""
    at_once: Count = 64
    """Jobs of an array that may run at once."""
    local_disk: Text | None = None
    """A folder on each node's own disk, to which the first job there copies a task's data; variables are the node's."""
    setup: list[Text] = Field(default_factory=list)
    """Shell lines before the episode, such as `module load python`."""
    further: dict[str, Any] = Field(default_factory=dict)
    """Further options of sbatch, by their long names with underscores."""


class BenchFile(Table):
    """A bench; a key that is absent from the file has the value shown here."""

    tasks: Annotated[list[Text], Field(min_length=1)]
    """Names, or folders beside the bench file."""
    agents: Annotated[list[BenchAgent], BeforeValidator(_as_agents), Field(min_length=1)]
    models: list[Text] = Field(default_factory=list)
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], BeforeValidator(_as_seeds), Field(min_length=1)] = Field(
        default_factory=lambda: [0]
    )
    """A list, or how many, from 0."""
    variant: Variant = "full"
    scoring: ScoringKind = "clean"
    output: Text | None = None
    """The folder of the results, beside the bench file; None: its name without the ending, and `-results`."""
    attempts: Count = 3
    """How often an episode is tried while what fails can pass."""
    limits: Limits = Field(default_factory=Limits)
    budget: Budget = Field(default_factory=Budget)
    options: Options = Field(default_factory=Options)
    local: Local = Field(default_factory=Local)
    slurm: Slurm = Field(default_factory=Slurm)


def load_bench_file(path: Path) -> BenchFile:
    """Read a bench file. Raises BenchError with every mistake found."""
    try:
        return parse(BenchFile, read_toml(path), str(path))
    except TomlProblems as error:
        raise BenchError(f"{path} cannot be used:\n  " + "\n  ".join(error.problems)) from error
