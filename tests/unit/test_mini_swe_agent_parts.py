"""The parts of the mini-swe-agent adapter that need no episode, and what is told where it cannot start."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mlgym_lite
from mlgym_lite.agents.mini_swe_agent import mini_swe_agent
from mlgym_lite.agents.mini_swe_agent.environment import with_submit
from mlgym_lite.agents.mini_swe_agent.line_episode import LineEpisode
from mlgym_lite.agents.mini_swe_agent.messages import rejected_of, reply_of, thought_of, usage_of
from mlgym_lite.agents.protocol import Stop
from mlgym_lite.errors import AgentError
from mlgym_lite.models.protocol import ModelUsage

MARKER = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
REGEX = r"```mswea_bash_command\s*\n(.*?)\n```"
START = {
    "type": "start", "protocol": 1, "task": "tiny", "metric": "Score", "direction": "minimize", "command_seconds": 30.0,
    "model": "m", "text": "Do it.", "exit_status": None, "working_directory": "/workspace", "steps": 0, "steps_left": 2,
    "seconds_left": None, "validations_left": 3, "best": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "run"),
    [
        (f"echo {MARKER}", "submit"),
        (f" echo '{MARKER}' ;\n", " submit"),
        (f'cd a && echo "{MARKER}"', "cd a && submit"),
        (f"make\necho {MARKER}", "make\nsubmit"),
        (f"echo {MARKER} > note.txt", f"echo {MARKER} > note.txt"),
        (f"cat > a.sh <<'E'\necho {MARKER}\nE", f"cat > a.sh <<'E'\necho {MARKER}\nE"),
        (f"grep echo {MARKER}", f"grep echo {MARKER}"),
        ("submit", "submit"),
    ],
)
def test_finishing_is_submitting(command: str, run: str) -> None:
    """mini-swe-agent's closing echo becomes `submit` where the command ends with it, and nowhere else."""
    assert with_submit(command) == run


def message(**said: Any) -> dict[str, Any]:
    """A message as mini-swe-agent's models make them."""
    response = {
        "choices": [{"finish_reason": "stop", "message": {"role": "assistant", **said}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
    return {"role": "assistant", **said, "extra": {"cost": 0.25, "response": response}}


def test_what_a_message_tells_is_recorded() -> None:
    """Tokens, cost, the reply, and as the thought what was reasoned and what was written beside the action."""
    call = {"id": "c", "type": "function", "index": 0, "function": {"name": "bash", "arguments": "{}"}}
    said = message(content="Look.\n```mswea_bash_command\nls\n```\nDone.", reasoning_content="Hm.", tool_calls=[call])
    assert usage_of(said) == ModelUsage(input_tokens=7, output_tokens=3, cost_usd=0.25, calls=1)
    reply = reply_of(said)
    assert (reply["content"], reply["finish_reason"]) == (said["content"], "stop")
    assert reply["tool_calls"] == [{key: call[key] for key in ("id", "type", "function")}]
    assert thought_of(said, REGEX) == "Hm.\n\nLook.\n\nDone."
    assert thought_of(message(content=None), None) is None


def test_a_price_that_is_not_known_is_no_price() -> None:
    """Nor are tokens made up where the server or mini-swe-agent tells none."""
    said = message(content="x")
    said["extra"].update(cost=0.0, response="ModelResponse(…)")
    assert usage_of(said) == ModelUsage(cost_usd=None, calls=1)
    assert usage_of({"role": "assistant", "content": "x"}) == ModelUsage(cost_usd=None, calls=1)


def test_an_ill_formed_reply_is_recorded_with_what_was_said_to_it() -> None:
    """The reply comes from the response, or from what mini-swe-agent kept of it."""
    told = {**message(content="No block."), "role": "user", "content": "Where is the block?"}
    assert rejected_of(told) == {
        "reply": {"role": "assistant", "content": "No block.", "finish_reason": "stop"},
        "error": "Where is the block?",
    }
    kept = {"role": "user", "content": "Where?", "extra": {"model_response": "No."}}
    assert rejected_of(kept)["reply"]["content"] == "No."


def test_an_episode_over_lines() -> None:
    """The first line has the task, each later one how things stand, and the end of the input is the end of the episode."""
    later = {**START, "type": "observation", "text": "out\n", "exit_status": 1, "steps_left": 1, "best": 0.5}
    reading, writing = io.StringIO(f"{json.dumps(START)}\n{json.dumps(later)}\n"), io.StringIO()
    episode = LineEpisode.begun(reading, writing)
    assert episode is not None
    assert (episode.model, episode.task.maximize, episode.observation.text) == ("m", False, "Do it.")
    episode.step("ls", thought="t", usage=ModelUsage(input_tokens=2, calls=2), details={"a": 1})
    assert (episode.observation.exit_status, episode.observation.best, episode.outcome) == (1, 0.5, None)
    episode.step("submit")
    assert episode.outcome == "ended"
    first, second = map(json.loads, writing.getvalue().splitlines())
    assert (first["action"], first["thought"], first["usage"]["calls"], first["details"]) == ("ls", "t", 2, {"a": 1})
    assert second == {"action": "submit", "thought": None, "usage": None, "details": {}}


def test_stopping_over_lines() -> None:
    """With a reason of ours, or as the agent's error."""
    reading, writing = io.StringIO(f"{json.dumps(START)}\n" * 2), io.StringIO()
    episodes = [LineEpisode.begun(reading, writing) for _ in range(3)]
    assert episodes[0] is not None and episodes[1] is not None and episodes[2] is None
    episodes[0].stop(Stop(reason="cost_limit", detail="1 USD"))
    episodes[1].fail("broken")
    stopped, failed = map(json.loads, writing.getvalue().splitlines())
    assert (stopped["stop"], stopped["reason"]) == ("1 USD", "cost_limit")
    assert (failed["stop"], failed["reason"]) == ("broken", "agent_error")


def test_standard_output_is_the_protocol_s_alone() -> None:
    """What Python or a program that is started prints goes to standard error."""
    code = (
        "import os\nfrom mlgym_lite.agents.mini_swe_agent.program import _private_output\n"
        "writing = _private_output()\nprint('noise', flush=True)\nos.system('echo noise')\n"
        "writing.write('{}\\n')\nwriting.close()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("{}\n", "noise\nnoise\n")


@pytest.mark.parametrize("name", ["mini-swe-agent", "mini-swe-agent-text"])
def test_a_missing_package_is_told(make_task: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With the command that installs it, before anything starts."""
    monkeypatch.setitem(sys.modules, "minisweagent", None)
    with pytest.raises(AgentError, match=rf"--agent {name} needs the extra `mini`: pip install 'mlgym-lite\[mini\]'"):
        mini_swe_agent(name, mlgym_lite.load_task(make_task()), "openai/x")
