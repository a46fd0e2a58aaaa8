"""mini-swe-agent in an episode of ours: its DefaultAgent and its models, with our shell in place of its environments.

From the command line it is a program agent (program.py): mini-swe-agent runs as the user, outside the sandbox, and its commands
run inside. From Python, `EpisodeEnvironment(episode)` goes wherever mini-swe-agent takes an environment.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from mlgym_lite.agents.mini_swe_agent.environment import EpisodeEnvironment
from mlgym_lite.agents.program import ProgramAgent
from mlgym_lite.config.task_file import Task
from mlgym_lite.errors import AgentError

__all__ = ["AGENTS", "EpisodeEnvironment", "mini_swe_agent"]

AGENTS: Mapping[str, tuple[str, ...]] = {"mini-swe-agent": (), "mini-swe-agent-text": ("--text",)}
"""The agents' names, and what the program is told: tool calls, mini-swe-agent's own choice, or one block of text a turn."""


def mini_swe_agent(
    name: str,
    task: Task,
    model: str,
    *,
    base_url: str | None = None,
    cost_limit: float | None = None,
    token_limit: int | None = None,
) -> ProgramAgent:
    """Start one of AGENTS. Raises AgentError where mini-swe-agent is not installed."""
    if importlib.util.find_spec("minisweagent") is None:
        raise AgentError(f"--agent {name} needs the extra `mini`: pip install 'mlgym-lite[mini]'")
    options = {"--base-url": base_url, "--cost-limit": cost_limit, "--token-limit": token_limit}
    arguments = [f"{option}={value}" for option, value in options.items() if value is not None]
    program = Path(__file__).with_name("program.py")
    return ProgramAgent(program, task, model, name=name, arguments=[*AGENTS[name], *arguments])
