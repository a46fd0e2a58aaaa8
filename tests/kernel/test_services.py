"""Tools that the engine answers: notes, pictures, and requests that no honest tool would send."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from literature_harness import RESIDUAL, fill, literature
from scholar_server import ScholarServer

import mlgym_lite
from mlgym_lite.agents.react import ReactAgent
from mlgym_lite.config.agent_file import load_agent_file
from mlgym_lite.config.run_settings import IsolationChoice, RunSettings
from mlgym_lite.episode.outcome import Outcome
from mlgym_lite.episode.replay import plan_replay, replay
from mlgym_lite.episode.runner import run_episode
from mlgym_lite.models.litellm_model import LiteLLMModel
from mlgym_lite.models.script_server import ScriptServer
from mlgym_lite.services.memory import MemoryService
from mlgym_lite.services.pictures import PictureService
from mlgym_lite.services.protocol import Service


def png(width: int = 8, height: int = 8) -> bytes:
    """A picture."""

    def part(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 0, 0, 0, 0))
    rows = zlib.compress(b"".join(b"\0" + bytes(width) for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", rows) + part(b"IEND", b"")


@pytest.fixture
def open_episode(
    mechanism: IsolationChoice, environment: dict[str, str], make_task: Callable[..., Path], tmp_path: Path
) -> Iterator[Callable[..., mlgym_lite.Episode]]:
    """Opens episodes of the tiny task with services."""
    with ExitStack() as stack:

        def open_one(*services: Service, run: str = "run") -> mlgym_lite.Episode:
            settings = RunSettings(isolation=mechanism, output=tmp_path / run)
            task = mlgym_lite.load_task(str(make_task()))
            return stack.enter_context(mlgym_lite.Episode(task, settings=settings, environment=environment, services=services))

        yield open_one


def test_notes_are_kept_from_one_episode_to_the_next(open_episode: Callable[..., mlgym_lite.Episode], tmp_path: Path) -> None:
    """Written and read in the sandbox; the record names the service."""
    first = open_episode(MemoryService(tmp_path / "notes"), run="first")
    step = first.step("memory_write 'a batch of 64 is best'; memory_write \"it's\" two lines; memory_read batch")
    assert "Note 1 is kept.\nNote 2 is kept.\n" in step.observation and "- a batch of 64 is best\n" in step.observation
    assert step.exit_status == 0
    second = open_episode(MemoryService(tmp_path / "notes"), run="second")
    assert "a batch of 64 is best  [first]" in second.step("memory_read 'which batch'").observation
    assert json.loads((second.run_directory / "run.json").read_text(encoding="utf-8"))["services"] == ["memory"]


def test_a_replay_has_the_notes_and_pictures_of_the_run(open_episode: Callable[..., mlgym_lite.Episode], tmp_path: Path) -> None:
    """So that their answers agree, too."""
    episode = open_episode(MemoryService(), PictureService())
    episode.step(
        f"memory_write 'a note'; memory_read note; echo {base64.b64encode(png()).decode()} | base64 -d > a.png; view_image a.png"
    )
    episode.submit()
    again = replay(plan_replay(tmp_path / "run", None, replace(episode.settings, output=tmp_path / "again")))
    assert again.agrees and again.compared == 1


def test_a_tool_that_is_not_part_of_the_run_says_so(open_episode: Callable[..., mlgym_lite.Episode]) -> None:
    """With what is known."""
    step = open_episode(PictureService()).step("memory_read x")
    assert step.exit_status == 1
    assert step.observation == "memory_read: not part of this run; known here: validate, submit, view_image.\n"


def test_pictures_are_kept_and_shown(open_episode: Callable[..., mlgym_lite.Episode]) -> None:
    """Of any place that the agent can read, four a step; what is none is refused."""
    episode = open_episode(PictureService())
    shown = base64.b64encode(png()).decode()
    step = episode.step(f"echo {shown} | base64 -d > ~/plot.png; view_image ~/plot.png")
    assert f"/plot.png: image/png, {len(png())} bytes" in step.observation
    (picture,) = step.pictures
    assert Path(picture.path).read_bytes() == png() and episode.observation.pictures == step.pictures
    line = json.loads((episode.run_directory / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert line["pictures"] == ["outputs/0001-1.png"]
    step = episode.step("for n in 1 2 3 4 5; do view_image ~/plot.png; done")
    assert len(step.pictures) == 4 and "4 pictures a step are the most" in step.observation
    step = episode.step(
        "view_image answer.txt; view_image nothing.png; mkdir d; view_image d; head -c 5000000 /dev/zero > big; view_image big"
    )
    assert step.pictures == () and "is no PNG" in step.observation and "nothing.png cannot be read" in step.observation
    assert "d cannot be read" in step.observation and "more than 4 MiB" in step.observation


def test_papers_are_found_and_read_from_a_sandbox_without_network(open_episode: Callable[..., mlgym_lite.Episode]) -> None:
    """The engine's process asks; the sandbox reaches neither the server nor anything else."""
    pytest.importorskip("pypdf")
    with ScholarServer() as server:
        fill(server)
        episode = open_episode(literature(server))
        step = episode.step("literature_search residual learning")
        assert RESIDUAL in step.observation and "Deep Residual Learning" in step.observation
        step = episode.step(f"read_paper {RESIDUAL}")
        assert step.exit_status == 0 and "page 1 of" in step.observation
        step = episode.step(f"python3 -c 'import urllib.request as u; u.urlopen(\"{server.url}\", timeout=5)' 2>&1 | tail -1")
        assert "URLError" in step.observation
        assert episode.step("read_paper http://127.0.0.1/").exit_status == 1


ATTACK = """
import fcntl, json, os, socket, struct, sys
control = socket.socket(fileno=int(os.environ["MLGYM_LITE_CONTROL_FD"]))
def ask(descriptor, request="view_image"):
    ours, theirs = socket.socketpair()
    socket.send_fds(control, [json.dumps({"request": request}).encode()], [theirs.fileno(), descriptor])
    theirs.close(); ours.settimeout(20)
    print(json.loads(ours.recv(65536))["text"])
def memory(content, seals):
    descriptor = os.memfd_create("m", os.MFD_ALLOW_SEALING)
    os.write(descriptor, content)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor
every = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
os.mkfifo("pipe")
ask(os.open("pipe", os.O_RDWR))
ask(os.open("/proc/self/environ", os.O_RDONLY))
ask(memory(b'["a"]\\n', 0))
ask(memory(b"[" * 100000, every))
ask(memory(b'{"a": 1}\\n', every))
ask(memory(b'[1]\\n', every))
big = os.memfd_create("big", os.MFD_ALLOW_SEALING)
os.ftruncate(big, 1 << 26)
fcntl.fcntl(big, fcntl.F_ADD_SEALS, every)
ask(big)
ask(memory(b'["a\\\\ud800"]\\nGIF89a', every))
"""


def test_what_no_honest_tool_sends_is_answered(open_episode: Callable[..., mlgym_lite.Episode]) -> None:
    """A pipe, a file of /proc, memory that can still change, no JSON, no list, too much: nothing waits, nothing of it is read."""
    step = open_episode(PictureService()).step(f"cat > attack.py <<'END'\n{ATTACK}END\npython3 attack.py")
    lines = step.observation.splitlines()
    assert lines[:7] == ["What was sent along with the request cannot be read."] * 7
    assert lines[7].startswith("[a?: image/gif")


def block(text: str) -> str:
    """A reply with one fenced command."""
    return f"I think.\n```\n{text}\n```\n"


@pytest.fixture
def play(
    monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path, make_task: Callable[..., Path]
) -> Iterator[Callable[..., Any]]:
    """Plays the tiny task with a scripted model and services."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))
    with ExitStack() as stack:

        def play_one(*script: Any, agent: str, service: Service) -> tuple[Outcome, list[dict[str, Any]]]:
            server = stack.enter_context(ScriptServer([{"content": line} if isinstance(line, str) else line for line in script]))
            name, settings, prompts = load_agent_file(agent)
            options = settings.model.model_copy(update={"base_url": server.base_url, "longest_wait_seconds": 0.01})
            task = mlgym_lite.load_task(str(make_task()))
            model = LiteLLMModel("openai/script", options)
            react = ReactAgent(name, settings, prompts, model, task, commands=service.commands)
            outcome = run_episode(task, react, RunSettings(output=tmp_path / "run"), cache=cache, services=[service])
            return outcome, server.requests

        yield play_one


@pytest.mark.kernel
@pytest.mark.parametrize("agent", ["react", "react-tools"])
def test_a_model_is_shown_pictures(play: Callable[..., Any], agent: str) -> None:
    """As a data URL behind the observation; and its prompt knows the tool."""
    draw = f"echo {base64.b64encode(png()).decode()} | base64 -d > plot.png; view_image plot.png"
    say = block if agent == "react" else lambda text: {"tool_calls": [{"name": "shell", "arguments": {"command": text}}]}
    outcome, requests = play(say(draw), say("submit"), agent=agent, service=PictureService())
    assert outcome.ending.reason == "submitted"
    assert "view_image FILE" in requests[0]["messages"][0]["content"]
    text, picture = requests[1]["messages"][-1]["content"]
    assert text["text"] == "What view_image shows:"
    assert picture["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(png()).decode()}"


@pytest.mark.kernel
def test_a_model_that_refuses_a_picture_is_told_so_and_goes_on(play: Callable[..., Any]) -> None:
    """The episode does not end for it."""
    draw = f"echo {base64.b64encode(png()).decode()} | base64 -d > plot.png; view_image plot.png"
    refusal = {"status": 400, "error": {"message": "this model takes no pictures"}}
    outcome, requests = play(block(draw), refusal, block("submit"), agent="react", service=PictureService())
    assert outcome.ending.reason == "submitted"
    last = requests[2]["messages"][-1]["content"]
    assert isinstance(last, str) and "cannot be shown to you" in last and "takes no pictures" in last


@pytest.mark.kernel
def test_the_memory_agent_knows_its_tools(play: Callable[..., Any], tmp_path: Path) -> None:
    """And finds the notes of an earlier episode."""
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "earlier.jsonl").write_text('{"text": "seven is best", "episode": "earlier"}\n', encoding="utf-8")
    script = (block("memory_read best"), block("echo 7 > answer.txt; memory_write 'seven it was'; submit"))
    outcome, requests = play(*script, agent="react-memory", service=MemoryService(folder))
    assert outcome.score == 7
    assert "memory_write TEXT" in requests[0]["messages"][0]["content"]
    assert "memory_write" in requests[0]["messages"][1]["content"]
    assert "seven is best  [earlier]" in requests[1]["messages"][-1]["content"]
    assert len(list(folder.glob("run-*.jsonl"))) == 1
