"""MLR-Copilot (arXiv 2408.14033): idea, implementation and execution as the three steps of one task, each with its own agent.

    python recipes/mlr_copilot.py OUTPUT --model openai/gpt-4o
    python recipes/mlr_copilot.py OUTPUT --agent ./my_agent.py --task ./my_steps

What is and is not faithful to the paper: recipes/mlr_copilot.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from asking import told

from mlgym_lite import RunSettings
from mlgym_lite.agents.protocol import Agent
from mlgym_lite.cli.agent_choice import AgentOptions, choose_agent
from mlgym_lite.cli.printing import Progress
from mlgym_lite.config.places import places
from mlgym_lite.config.series_file import load_series
from mlgym_lite.config.task_file import Task
from mlgym_lite.episode.series import RECORD, run_series

TASK = Path(__file__).with_name("mlr_copilot")


def main() -> None:
    """Run the steps and print series.json."""
    parser = argparse.ArgumentParser(description="Idea, implementation and execution as three steps.")
    parser.add_argument("output", type=Path, help="a folder that does not exist; each step has its run directory in it")
    parser.add_argument("--task", default=str(TASK), help="a task of several steps (default: the recipe's own)")
    parser.add_argument("--agent", default="react", help="as for `mlgym-lite run`; each step has a fresh one")
    parser.add_argument("--model", help="as litellm names it (openai/gpt-4o, ollama/llama3)")
    parser.add_argument("--base-url", help="the model's server, where it is not the provider's own")
    arguments = parser.parse_args()
    cache, progress = places().cache, Progress(quiet=False)
    asked = AgentOptions(agent=arguments.agent, model=arguments.model, base_url=arguments.base_url)

    def make_agent(task: Task) -> Agent:
        progress.line(f"step {task.step}")
        return choose_agent(asked, task, progress, cache).agent

    try:
        made = run_series(load_series(arguments.task), make_agent, RunSettings(output=arguments.output), cache=cache)
    finally:
        progress.stop()
    print((made.folder / RECORD).read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    told(main)
