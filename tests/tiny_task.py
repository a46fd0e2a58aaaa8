"""A task small enough for hundreds of episodes: its score is the number in answer.txt."""

TASK_TOML = """\
schema_version = "1.4"
artifacts = ["answer.txt"]

[metadata.mlgym_lite]
domain = "tests"
metric = "Score"
direction = "maximize"
baseline = { Score = 1.0 }
max_steps = 20
command_timeout_sec = 30
validations = 3

[metadata.mlgym_lite.variants.mini]
baseline = { Score = 1.0 }

[agent]
timeout_sec = 120.0

[verifier]
timeout_sec = 20.0

[environment]
memory_mb = 512
storage_mb = 64
"""

GRADER = """\
number=$(head -c 100 "$MLGYM_LITE_ROOT/submission/answer.txt")
case "$number" in
  ''|*[!0-9.]*) echo "answer.txt: expected a number" > "$MLGYM_LITE_ROOT"/logs/verifier/rejection.txt; exit 65 ;;
esac
printf '{"Score": %s}' "$number" > "$MLGYM_LITE_ROOT"/logs/verifier/reward.json
"""
