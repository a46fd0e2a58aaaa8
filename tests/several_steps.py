"""A task of three steps, each of which wants a greater number in answer.txt."""

from __future__ import annotations

from pathlib import Path

from tiny_task import GRADER, TASK_TOML

STEPS_TOML = (
    TASK_TOML.replace(
        'artifacts = ["answer.txt"]\n',
        """\
artifacts = ["answer.txt"]
multi_step_reward_strategy = "mean"

[[steps]]
name = "idea"
min_reward = 2.0
artifacts = ["idea.txt"]

[[steps]]
name = "work"
min_reward = { Score = 3.0 }

[[steps]]
name = "end"
agent = { timeout_sec = 33.0 }
""",
    )
    .replace(
        "[metadata.mlgym_lite.variants.mini]",
        """\
[metadata.mlgym_lite.steps.end]
metric = "Last"
baseline = { Last = 2.0 }
max_steps = 2

[metadata.mlgym_lite.variants.mini]""",
    )
    .replace("\n[metadata.mlgym_lite.variants.mini]\nbaseline = { Score = 1.0 }\n", "")
)


def make_steps(folder: Path, toml: str = STEPS_TOML) -> Path:
    """Write it into a folder."""
    (folder / "environment").mkdir(parents=True)
    (folder / "environment/answer.txt").write_text("0.5\n")
    (folder / "task.toml").write_text(toml)
    for name in ("idea", "work", "end"):
        tests = folder / "steps" / name / "tests"
        tests.mkdir(parents=True)
        (tests.parent / "instruction.md").write_text(f"Do the {name}.\n")
        grader = GRADER.replace("answer.txt", "idea.txt") if name == "idea" else GRADER
        (tests / "test.sh").write_text(grader.replace('"Score"', '"Last"') if name == "end" else grader)
    return folder
