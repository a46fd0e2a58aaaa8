"""The agent's shell through an episode: opened, opened anew when the agent has ended it, closed before what it left is scored.

It knows where the agent is (as records name places, without the sandbox's root) and what all its sandboxes together have used.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from mlgym_lite.config.task_file import WORKSPACE
from mlgym_lite.episode.episode_files import EpisodeFiles
from mlgym_lite.episode.gpus import EpisodeGpus
from mlgym_lite.episode.located import moved, without_root
from mlgym_lite.episode.observation import added_usage
from mlgym_lite.episode.outcome import Snapshot
from mlgym_lite.episode.sandboxes import EpisodeSandboxes
from mlgym_lite.isolation.protocol import Identity, Usage
from mlgym_lite.isolation.shell import Shell


@dataclass(frozen=True, kw_only=True)
class ShellParts:
    """What an agent's shells are made of."""

    sandboxes: EpisodeSandboxes
    files: EpisodeFiles
    identity: Identity
    gpus: EpisodeGpus
    outputs: Path
    """The run's folder of whole outputs."""
    proxy_folder: Path | None
    start: Snapshot | None
    """Where a fork goes on from."""


class AgentShell:
    """One episode's; the engine opens and closes it."""

    def __init__(self, parts: ShellParts) -> None:
        self._parts = parts
        self.current: Shell | None = None
        self.root = ""
        """The folder below which the sandbox's places lie; empty where they are at the top."""
        self.working_directory = parts.start.working_directory if parts.start else WORKSPACE
        self.usage = Usage()
        """What the shells that were closed have used."""

    def open(self) -> None:
        """Start a sandbox with a shell in it; a fork's begins with its snapshot's variables."""
        parts = self._parts
        parts.files.let_in()
        request = parts.sandboxes.agent_request(parts.files.workspace, parts.files.venv, parts.proxy_folder)
        self.current = Shell(parts.sandboxes.mechanism, request, parts.identity, self._set_up)
        self.root = self.current.sandbox.root
        parts.gpus.shell_opened(self.current, parts.outputs)

    def _set_up(self, root: str) -> str:
        """What a new shell runs first, in a sandbox whose places lie below `root`."""
        parts = self._parts
        start, place = parts.start, shlex.quote(self.working_directory)
        text = moved(start.variables, start.root, root) if start else ""
        if parts.sandboxes.task.file.metadata.mlgym_lite.home_workspace:
            text += f"\nln -sfn -- {shlex.quote(root)}{WORKSPACE} ~/workspace\n"
        if root or start or self.working_directory != WORKSPACE:  # the variables may say PWD of another place
            top = shlex.quote(root)
            text += f"\ncd -- {top}{place} 2>/dev/null || cd -- {place} 2>/dev/null || cd {top}{WORKSPACE}\n"
        return text

    def open_anew(self) -> None:
        """Put a new shell in the place of one that has ended; it begins in the workspace."""
        self.close()
        self.working_directory = WORKSPACE
        self.open()

    def open_at(self, start: Snapshot) -> None:
        """Start a sandbox with a shell that begins as a snapshot's, in the place of the one that was closed."""
        self._parts = replace(self._parts, start=start)
        self.working_directory = start.working_directory
        self.open()

    def exported_variables(self) -> str:
        """What the shell that is open exports."""
        assert self.current is not None
        return self.current.exported_variables()

    def is_at(self, directory: str | None) -> None:
        """Take note of where the shell says it is."""
        if directory:
            self.working_directory = without_root(directory, self.root)

    def close(self) -> None:
        """End the sandbox with everything in it; twice is harmless."""
        if self.current is None:
            return
        shell, self.current = self.current, None
        self._parts.gpus.shell_closing()
        try:
            shell.close()
        finally:
            self.usage = added_usage(self.usage, shell.usage())
