"""OpenEnv's own client plays episodes of the tiny task that is served to it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_task import TASK_TOML

from mlgym_lite.gym.environment import TaskEnvironment
from mlgym_lite.serving.openenv import OpenEnvServer

pytestmark = [pytest.mark.kernel, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def address(make_task: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with room for two."""
    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))
    task = make_task(toml=TASK_TOML.replace("validations = 3", "validations = 9\ngoal = 5.0"))
    server = OpenEnvServer(lambda: TaskEnvironment(task), host="127.0.0.1", port=0, sessions=2)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.address
    server.shut_down()
    thread.join()


def test_a_client_plays(address: str) -> None:
    """Reset with a seed, steps, the state, the submission with its reward, errors that it can go on after, another episode."""
    from openenv import GenericEnvClient

    with GenericEnvClient(base_url=address, message_timeout_s=120).sync() as client:
        begun = client.reset(seed=7, episode_id="e1")
        assert begun.observation["text"] == "Write a number into answer.txt.\n" and begun.reward is None and not begun.done
        step = client.step({"command": "echo 4 > answer.txt; echo é $MLGYM_LITE_SEED"})
        assert step.observation["text"] == "é 7\n" and step.reward == 0.0 and not step.done
        state = client.state()
        assert (state["episode_id"], state["step_count"], state["task"], state["done"]) == ("e1", 1, "tiny", False)
        with pytest.raises(RuntimeError, match=r"data\.command: Field required \(code: VALIDATION_ERROR\)"):
            client.step({"text": "ls"})
        ended = client.step({"command": "submit"})
        assert ended.done and ended.reward == 0.75 and ended.observation["metadata"]["terminated"]
        assert ended.observation["metadata"]["result"]["score"]["value"] == 4.0
        with pytest.raises(RuntimeError, match="EXECUTION_ERROR"):
            client.step({"command": "ls"})
        assert client.reset().observation["text"].startswith("Write") and client.state()["step_count"] == 0


def test_sessions_are_apart_and_counted(address: str) -> None:
    """Two at once do not see each other, a third is refused and told why, and who leaves makes room."""
    from openenv import GenericEnvClient

    with GenericEnvClient(base_url=address, message_timeout_s=120).sync() as one:
        one.reset(seed=1)
        two = one.new_session()
        two.reset(seed=2)
        assert one.step({"command": "echo mine > file; ls"}).observation["text"].split() == ["answer.txt", "file"]
        assert two.step({"command": "ls"}).observation["text"].split() == ["answer.txt"]
        third = one.new_session()
        with pytest.raises(RuntimeError, match="CAPACITY_REACHED"):
            third.reset()
        third.close()
        two.close()
        assert begun_when_there_is_room(one).startswith("Write")


def begun_when_there_is_room(client: Any) -> str:
    """What a further session is shown first; the server may notice a moment later that another has gone."""
    for _ in range(50):
        with contextlib.suppress(RuntimeError):
            session = client.new_session()
            try:
                return str(session.reset(seed=3).observation["text"])
            finally:
                session.close()
    return "there was no room"
