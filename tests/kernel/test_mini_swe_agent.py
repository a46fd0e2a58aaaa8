"""The real mini-swe-agent at work in real episodes; the model is a server on loopback that answers from a script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import mlgym_lite
from mlgym_lite import Episode
from mlgym_lite.agents.mini_swe_agent import EpisodeEnvironment, mini_swe_agent, program
from mlgym_lite.config.run_settings import RunSettings
from mlgym_lite.episode.outcome import Outcome
from mlgym_lite.episode.runner import run_episode
from mlgym_lite.errors import AgentError
from mlgym_lite.models.script_server import ScriptServer

pytestmark = pytest.mark.kernel

SECRET = "sk-secret-0123456789"
BLOTTO = "def row_strategy(history):\n    return (0, 0, 30, 30, 30, 30)\n"
PRICED = "openai/gpt-4o"
FINISH = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"


class Played:
    """An episode that mini-swe-agent played with a scripted model."""

    def __init__(self, outcome: Outcome, server: ScriptServer) -> None:
        """Read what it left."""
        self.result = outcome.result
        self.ending = outcome.ending
        self.requests = server.requests
        self.folder = outcome.run_directory
        lines = (outcome.run_directory / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()
        self.steps: list[dict[str, Any]] = [json.loads(line) for line in lines]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's home folder, empty at first; the key is in the environment, and a failed call is not tried again."""
    folder = tmp_path / "home"
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))  # an environment may have to be built first
    folder.mkdir()
    variables = {"HOME": str(folder), "OPENAI_API_KEY": SECRET, "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "MSWEA_GLOBAL_CONFIG_DIR", "MSWEA_SILENT_STARTUP"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def play(
    monkeypatch: pytest.MonkeyPatch, home: Path, cache: Path, tmp_path: Path, make_task: Callable[..., Path]
) -> Iterator[Callable[..., Played]]:
    """Plays the tiny task, or another, with a scripted model."""
    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))
    with ExitStack() as stack:

        def play_one(
            *script: Any,
            task: str | None = None,
            agent: str = "mini-swe-agent-text",
            model: str = "openai/script",
            context: int | None = None,
            steps: int = 20,
            limits: Mapping[str, float] | None = None,
        ) -> Played:
            lines = [{"content": line} if isinstance(line, str) else line for line in script]
            server = stack.enter_context(ScriptServer(lines, context_characters=context))
            loaded = mlgym_lite.load_task(task or make_task())
            settings = RunSettings(output=tmp_path / "run", max_steps=steps)
            playing = mini_swe_agent(agent, loaded, model, base_url=server.base_url, **(limits or {}))  # type: ignore[arg-type]
            return Played(run_episode(loaded, playing, settings, cache=cache), server)

        yield play_one


def block(text: str) -> str:
    """A reply with one block."""
    return f"I think.\n```mswea_bash_command\n{text}\n```\n"


def call(*commands: str) -> dict[str, Any]:
    """A reply with tool calls."""
    calls = [{"name": "bash", "arguments": {"command": command}} for command in commands]
    return {"content": "I think.", "tool_calls": calls, "usage": [100, 10]}


@pytest.mark.parametrize(
    ("agent", "say", "wrong"),
    [
        ("mini-swe-agent", call, {"tool_calls": [{"name": "python", "arguments": {"command": "1"}}], "content": "No bash."}),
        ("mini-swe-agent-text", block, "No block."),
    ],
)
def test_colonel_blotto_is_solved(
    play: Callable[..., Played], capfd: pytest.CaptureFixture[str], home: Path, agent: str, say: Callable[[str], Any], wrong: Any
) -> None:
    """Look, edit, a format error, validate, and finish as mini-swe-agent does: the optimum's score, and all of it on record."""
    played = play(
        say("cd /tmp; cat /workspace/strategy.py; false"),
        say(f"cd /workspace; cat > strategy.py <<'END'\n{BLOTTO}END\nvalidate"),
        wrong,
        say("env; cat strategy.py"),
        say(FINISH),
        task="colonel_blotto",
        agent=agent,
    )
    assert (played.ending.reason, played.result["agent"], played.result["model"]) == ("submitted", agent, "openai/script")
    assert played.result["score"]["value"] > 0.2
    assert [len(step["scores"]) for step in played.steps] == [0, 1, 0, 0]
    assert [step["thought"] for step in played.steps] == ["I think."] * 4
    assert played.steps[-1]["action"] == "submit"
    assert [message["role"] for message in played.steps[0]["details"]["prompt"]] == ["system", "user"]
    assert played.steps[0]["details"]["reply"]["content"].startswith("I think.")
    (rejected,) = played.steps[2]["details"]["rejected"]
    assert rejected["reply"]["content"].startswith("No b") and "Nothing was run" in rejected["error"]
    assert played.result["usage"]["calls"] == 5 and played.result["usage"]["cost_usd"] is None
    assert sum(step["tokens"]["input"] for step in played.steps) == played.result["usage"]["input_tokens"] > 0
    shown = [message["content"] for message in played.requests[-1]["messages"]]
    assert "(exit status 1)" in shown[3] and "folder /tmp" in shown[3]
    assert "17 steps left" in shown[-1] and "best Score so far" in shown[-1]
    assert capfd.readouterr().out == "" and list(home.iterdir()) == []
    for path in played.folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_several_calls_of_one_reply_are_steps_of_their_own(play: Callable[..., Played]) -> None:
    """What the reply took is recorded once, and each output tells how things stood then; what comes behind the end is not run."""
    played = play(call("x=3", "echo $x > answer.txt"), call("submit", "echo 4 > answer.txt"), agent="mini-swe-agent")
    assert (played.ending.reason, played.result["score"]["value"], len(played.steps)) == ("submitted", 3, 3)
    assert [step["tokens"] and step["tokens"]["input"] for step in played.steps] == [100, None, 100]
    assert played.result["usage"]["calls"] == 2
    first, second = (message["content"] for message in played.requests[-1]["messages"][3:])
    assert "19 steps left" in first and "18 steps left" in second


def test_the_step_limit_is_the_engine_s(play: Callable[..., Played]) -> None:
    """What lies in the workspace is scored."""
    played = play(block("echo 3 > answer.txt"), block("sleep 0.1"), steps=2)
    assert (played.ending.reason, played.ending.autosubmitted, played.result["score"]["value"]) == ("step_limit", True, 3)


def test_the_cost_limit_ends_the_episode(play: Callable[..., Played]) -> None:
    """An ill-formed reply costs too; what lies in the workspace is scored, and the last reply's tokens are counted."""
    script = [
        {"content": block("echo 3 > answer.txt"), "usage": [100_000, 0]},
        {"content": "No block.", "usage": [100_000, 0]},
    ]
    played = play(*script, model=PRICED, limits={"cost_limit": 0.4})
    assert (played.ending.reason, played.ending.autosubmitted) == ("cost_limit", True)
    assert played.result["score"]["value"] == 3
    assert played.result["usage"]["input_tokens"] == 200_000
    assert 0 < played.steps[0]["cost"] < 0.4 <= played.result["usage"]["cost_usd"]
    assert "the limit is 0.4" in played.ending.detail
    assert played.result["stop_details"]["rejected"][0]["reply"]["content"] == "No block."


def test_the_token_limit_ends_the_episode(play: Callable[..., Played]) -> None:
    """Counted here, since mini-swe-agent keeps none; it also bounds a model whose price is not known."""
    played = play(*[{"content": block("ls"), "usage": [40, 20]}] * 9, limits={"token_limit": 100, "cost_limit": 1})
    assert (played.ending.reason, len(played.steps)) == ("cost_limit", 2)
    assert "120 tokens are used; the limit is 100" in played.ending.detail


def test_a_token_limit_needs_a_server_that_counts(play: Callable[..., Played]) -> None:
    """It is an error, not a limit that is never reached."""
    with pytest.raises(AgentError, match="openai/script: its server tells no number of tokens, so --token-limit 9"):
        play({"content": block("ls"), "usage": None}, limits={"token_limit": 9})


def test_ill_formed_replies_end_the_episode(play: Callable[..., Played]) -> None:
    """After three in a row, with what lies in the workspace scored and the replies in the result."""
    played = play(block("echo 3 > answer.txt"), "no", "no", "never")
    assert (played.ending.reason, played.ending.autosubmitted) == ("format_errors", True)
    assert played.result["score"]["value"] == 3
    assert [entry["reply"]["content"] for entry in played.result["stop_details"]["rejected"]] == ["no", "no", "never"]
    assert played.result["usage"]["calls"] == 4


def test_messages_that_are_too_long_end_the_episode(play: Callable[..., Played]) -> None:
    """mini-swe-agent leaves nothing out of them."""
    played = play(*[block("seq 1 3000")] * 6, context=22_000)
    assert (played.ending.reason, played.ending.autosubmitted, played.result["score"]["value"]) == ("context_limit", True, 0.5)
    assert "characters are left out here" in json.dumps(played.requests[-1]["messages"], ensure_ascii=False)


def test_a_server_that_fails_is_the_agent_s_error(play: Callable[..., Played], tmp_path: Path) -> None:
    """Told in the result, without the key, and the steps before it are kept."""
    refused = {"status": 401, "error": {"message": f"Incorrect API key provided: {SECRET}"}}
    with pytest.raises(AgentError, match=r"(?s)mini-swe-agent-text: openai/script: .*Set the provider's key") as told:
        play(block("echo 4 > answer.txt"), refused)
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert (result["ending"]["reason"], result["steps"]) == ("agent_error", 1)
    assert SECRET not in str(told.value) + json.dumps(result) and "mini-extra" not in str(told.value)


def test_the_program_leaves_nothing(home: Path, tmp_path: Path) -> None:
    """Standard output has the protocol alone; when the input is closed it exits with 0 and no file is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    start = {
        "type": "start", "protocol": 1, "task": "t", "metric": "Score", "direction": "maximize", "command_seconds": 30,
        "steps": 0, "model": "openai/script", "text": "Do it.", "exit_status": None, "working_directory": "/", "steps_left": 2,
        "seconds_left": None, "validations_left": 3, "best": None,
    }  # fmt: skip
    with ScriptServer([{"content": block("ls")}]) as server:
        ended = subprocess.run(
            [sys.executable, program.__file__, "--text", f"--base-url={server.base_url}"],
            input=json.dumps(start) + "\n", capture_output=True, text=True, env={**os.environ, "TMPDIR": str(folder)},
            check=False, timeout=120,
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["action"] == "ls"
    assert list(home.iterdir()) == list(folder.iterdir()) == []


def test_an_episode_of_the_python_api_is_an_environment(
    make_task: Callable[..., Path], environment: dict[str, str], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DefaultAgent plays in it with its own templates, and ends when it does."""
    monkeypatch.setenv("MSWEA_SILENT_STARTUP", "1")
    monkeypatch.setenv("MSWEA_GLOBAL_CONFIG_DIR", str(tmp_path / "settings"))
    from minisweagent.agents.default import DefaultAgent
    from minisweagent.models.test_models import DeterministicModel, make_output

    commands = ("a=5; cd /tmp", "echo $a > /workspace/answer.txt; pwd", FINISH)
    model = DeterministicModel(outputs=[make_output("I think.", [{"command": command}]) for command in commands])
    task = mlgym_lite.load_task(make_task())
    with Episode(task, settings=RunSettings(output=tmp_path / "run"), environment=environment) as episode:
        agent = DefaultAgent(
            model,
            EpisodeEnvironment(episode),
            system_template="{{ episode.metric }}",
            instance_template="{{ task }}",
            cost_limit=0,
        )
        ended = agent.run(episode.instruction)
        assert episode.outcome is not None and episode.outcome.score == 5
    assert ended["exit_status"] == "EpisodeEnded"
    assert [agent.messages[0]["content"], agent.messages[1]["content"]] == ["Score", episode.instruction]
    assert agent.messages[5]["extra"]["raw_output"] == "/tmp\n"
    assert agent.serialize()["info"]["config"]["environment"] == {"task": "tiny"}


def test_a_folder_for_one_command(make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    """mini-swe-agent's `cwd` is where the shell goes and stays."""
    task = mlgym_lite.load_task(make_task())
    with Episode(task, settings=RunSettings(output=tmp_path / "run"), environment=environment) as episode:
        shown = EpisodeEnvironment(episode).execute({"command": "pwd; exit 3"}, cwd="/tmp")
        assert shown["output"].startswith("/tmp\n") and shown["returncode"] == -1
        assert shown["episode"]["steps_left"] == 19
