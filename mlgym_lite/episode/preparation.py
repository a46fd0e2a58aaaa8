"""Everything an episode needs before it starts: its variant, data, environments, limits and mechanism.

Whatever can be wrong is found here, before a run directory or a process exists. `prepare_task` does ahead of time, on a
machine with network, what an episode would otherwise do at its first run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlgym_lite.config.data_folder import find_data
from mlgym_lite.config.network_grant import Network, granted_network
from mlgym_lite.config.places import Places
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.config.sandbox_profile import SandboxProfile, load_profile
from mlgym_lite.config.task_file import Task, Variant, expand
from mlgym_lite.episode.data_preparation import make_mini_data, prepare_full_data
from mlgym_lite.episode.data_staging import stage_data
from mlgym_lite.episode.environments import Progress, agent_base, grader_base
from mlgym_lite.episode.network import check_wheelhouse
from mlgym_lite.episode.sandboxes import EpisodeSandboxes
from mlgym_lite.errors import LimitError
from mlgym_lite.isolation.limits import cpu_count
from mlgym_lite.isolation.mechanisms import choose_mechanism
from mlgym_lite.isolation.protocol import Limits, Mount
from mlgym_lite.isolation.torch_builds import Accelerator, acceptable_builds


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What an episode runs with, resolved."""

    variant: Variant
    profile: SandboxProfile
    sandboxes: EpisodeSandboxes
    gpus: int
    """How many are to be leased."""


def prepare_episode(
    task: Task,
    settings: RunSettings,
    places: Places,
    environment: Mapping[str, str],
    *,
    further_mounts: tuple[Mount, ...] = (),
    on_progress: Progress | None = None,
) -> Preparation:
    """Resolve everything an episode of this task needs; raises the error of what is missing."""
    variant = settings.variant
    profile = load_profile(settings.profile)
    network = _network(task, settings, profile)
    wheelhouse = check_wheelhouse(settings.wheelhouse or (Path(profile.wheelhouse) if profile.wheelhouse else None))
    limits = _limits(task, settings, profile)
    mechanism = choose_mechanism(settings.isolation)
    if mechanism.name == "none" and network.mode == "no-network":
        network = Network(mode="public")  # nothing is kept apart, and the record says so
    if network.mode not in mechanism.networks:
        raise LimitError(
            f"{task.name}: the {mechanism.name} mechanism cannot keep the network {network}; it gives "
            f"{', '.join(mechanism.networks)}. "
            "Choose one of these with --network, or --isolation bubblewrap where that works"
        )
    gpus = task.file.environment.gpus if settings.gpus is None else settings.gpus
    if variant == "mini":
        make_mini_data(task, places, on_progress)
    data = stage_data(task.whole_name, find_data(task, variant, places), places, on_progress)
    base = agent_base(task, settings.python, places, environment, on_progress, acceptable_builds(uses_gpus=gpus > 0))
    sandboxes = EpisodeSandboxes(
        task=task, variant=variant, seed=settings.seed, mechanism=mechanism, profile=profile, limits=limits, base=base,
        grader_base=grader_base(task, places, environment, on_progress), data=data, cache=places.cache,
        task_environment=expand(task.file.environment.env, environment, f"{task.name}: [environment].env"),
        grader_environment=expand(task.file.verifier.env, environment, f"{task.name}: [verifier].env"),
        further_mounts=further_mounts, network=network, wheelhouse=wheelhouse,
    )  # fmt: skip
    return Preparation(variant=variant, profile=profile, sandboxes=sandboxes, gpus=gpus)


def _network(task: Task, settings: RunSettings, profile: SandboxProfile) -> Network:
    chosen = Network(mode=settings.network, allowed_hosts=settings.allowed_hosts) if settings.network else None
    standing = Network(mode=profile.network, allowed_hosts=tuple(profile.allowed_hosts))
    return granted_network(task.name, asked=task.asked_network, chosen=chosen, profile=standing)


def _limits(task: Task, settings: RunSettings, profile: SandboxProfile) -> Limits:
    wanted = task.file.environment
    if wanted.cpus and wanted.cpus > cpu_count():
        raise LimitError(f"{task.name}: asks for {wanted.cpus:g} CPUs; this process may use {cpu_count()}")
    memory = (wanted.memory_mb or profile.memory_mb) << 20
    return Limits(
        memory_bytes=memory,
        cpus=wanted.cpus,
        processes=profile.processes,
        open_files=profile.open_files,
        file_bytes=wanted.storage_mb << 20 if wanted.storage_mb else None,
        storage_bytes=(wanted.storage_mb or profile.storage_mb) << 20,
        storage_files=profile.storage_files,
        temporary_bytes=min(profile.temporary_mb << 20, memory // 2),
        home_bytes=min(profile.home_mb << 20, memory // 4),
        shared_memory_bytes=min(profile.shared_memory_mb << 20, memory // 4),
    )


def prepare_task(
    task: Task,
    places: Places,
    environment: Mapping[str, str],
    *,
    source: Path | None,
    with_data: bool,
    accelerator: Accelerator = "cpu",
    on_progress: Progress,
) -> None:
    """Build the task's environments and, where it has data to prepare, put that in place; safe to repeat."""
    agent_base(task, None, places, environment, on_progress, acceptable_builds(uses_gpus=accelerator == "gpu"))
    grader_base(task, places, environment, on_progress)
    on_progress(f"{task.name}: environments are in {places.cache / 'environments'}")
    make_mini_data(task, places, on_progress)
    if with_data:
        prepare_full_data(task, places, environment, source, on_progress)
