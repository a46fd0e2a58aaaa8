"""Tasks as Gymnasium environments: Gymnasium's own checker, rewards, endings, and many at once in its vector environments."""

from __future__ import annotations

import gc
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import psutil
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from tiny_task import TASK_TOML

import mlgym_lite.gym
from mlgym_lite.errors import DataError, EpisodeStateError, TaskError
from mlgym_lite.gym.environment import TaskEnvironment
from mlgym_lite.shipped_files import shipped_task_names

pytestmark = pytest.mark.kernel

OWN = "mlgym_lite/Task-v0"


@pytest.fixture(autouse=True)
def _places(monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path) -> None:
    """The tests' cache; temporary files apart."""
    monkeypatch.setenv("MLGYM_LITE_CACHE", str(cache))
    (tmp_path / "temporary").mkdir(mode=0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def make(make_task: Callable[..., Path]) -> Iterator[Callable[..., gymnasium.Env[str, str]]]:
    """Makes an environment of the tiny task, of which the goal is 3 and the baseline 1."""
    toml = TASK_TOML.replace("validations = 3", "validations = 3\ngoal = 3.0")
    folder = make_task(toml=toml)
    made: list[gymnasium.Env[str, str]] = []

    def new(**options: Any) -> gymnasium.Env[str, str]:
        made.append(gymnasium.make(OWN, task=folder, **options))
        return made[-1]

    yield new
    for environment in made:
        environment.close()


def test_every_shipped_task_is_registered() -> None:
    """Under a name in camel case."""
    ids = {name: mlgym_lite.gym.environment_id(name) for name in shipped_task_names()}
    assert len(ids) == 13 and ids["colonel_blotto"] == "mlgym_lite/ColonelBlotto-v0" and ids["cifar10"] == "mlgym_lite/Cifar10-v0"
    for name, identity in ids.items():
        assert gymnasium.spec(identity).kwargs == {"task": name} and gymnasium.spec(identity).nondeterministic


@pytest.mark.parametrize("reward", ["final", "improvement"])
def test_gymnasium_s_checker_finds_nothing(make: Callable[..., gymnasium.Env[str, str]], reward: str) -> None:
    """Neither an error nor a warning; also where it is held to be deterministic, as all but its gradings is."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(reward=reward, render_mode="ansi").unwrapped)


def test_a_shipped_task_is_played(tmp_path: Path) -> None:
    """From the instruction to the reward for a submission, normalised by the task's goal."""
    environment = gymnasium.make("mlgym_lite/ColonelBlotto-v0", variant="mini", runs=tmp_path / "my runs")
    observation, info = environment.reset(seed=7)
    assert "Blotto" in observation and info["steps_left"] == 50
    code = "def row_strategy(history):\n    return (0, 0, 30, 30, 30, 30)\n"
    observation, reward, terminated, truncated, info = environment.step(f"cat > strategy.py <<'END'\n{code}END\nvalidate")
    assert (reward, terminated, truncated) == (0.0, False, False) and "Validation 1 of 50" in observation
    assert info["attempts"][0]["kind"] == "validate" and info["validations_left"] == 49
    _, reward, terminated, truncated, info = environment.step("submit")
    assert (terminated, truncated) == (True, False) and reward == pytest.approx(1.0, abs=0.1)
    result = json.loads((Path(info["run_directory"]) / "result.json").read_text(encoding="utf-8"))
    assert result == info["outcome"].result and (result["seed"], result["agent"]) == (7, "gym")
    with pytest.raises(EpisodeStateError, match="has ended"):
        environment.step("ls")
    environment.close()
    assert (Path(info["run_directory"]) / "trajectory.jsonl").is_file()


def test_rewards_of_validations_telescope(make: Callable[..., gymnasium.Env[str, str]]) -> None:
    """Each is a gain over the best so far; a submission adds nothing to them."""
    environment = make(reward="improvement")
    environment.reset()
    actions = ["echo 2 > answer.txt; validate", "echo 1.5 > answer.txt; validate; echo 3 > answer.txt; validate", "ls", "submit"]
    assert [environment.step(action)[1] for action in actions] == [0.5, 0.5, 0.0, 0.0]


def test_limits_truncate(make: Callable[..., gymnasium.Env[str, str]]) -> None:
    """The workspace is scored as it is; what cannot be scored is worth -1."""
    environment = make(max_steps=1)
    environment.reset()
    assert environment.step("echo 2 > answer.txt")[1:4] == (0.5, False, True)
    _, info = environment.reset()
    assert info["steps_left"] == 1
    _, reward, terminated, truncated, info = environment.step("echo nonsense > answer.txt")
    assert (reward, terminated, truncated) == (-1.0, False, True) and info["outcome"].score is None


def test_the_seed_is_the_agent_s(make: Callable[..., gymnasium.Env[str, str]]) -> None:
    """A given one as it is, else one that is drawn from it."""
    environment = make()

    def seed(**options: Any) -> str:
        environment.reset(**options)
        return environment.step("echo $MLGYM_LITE_SEED")[0]

    first = [seed(seed=5), seed(), seed()]
    assert first[0] == "5\n" and len(set(first)) == 3 and [seed(seed=5), seed(), seed()] == first


def test_nothing_is_left(make: Callable[..., gymnasium.Env[str, str]], tmp_path: Path) -> None:
    """Of run directories that nobody asked to keep: one at a time, none after the end."""
    environment = make(render_mode="ansi")
    for _ in range(3):
        _, info = environment.reset()
        environment.step("echo hello")
        assert environment.render() == "$ echo hello\nhello\n"
        kept = list(tmp_path.glob("temporary/*/episode-*"))
        assert kept == [Path(info["run_directory"])]
    environment.close()
    assert not list((tmp_path / "temporary").iterdir())
    environment.unwrapped.reset()
    environment.unwrapped.close()
    assert not list((tmp_path / "temporary").iterdir())


def test_an_environment_that_is_only_dropped_gives_everything_back(make_task: Callable[..., Path], tmp_path: Path) -> None:
    """Its processes end and its files go with the object; a forked child takes nothing from its parent."""
    environment = TaskEnvironment(make_task())
    environment.reset()
    environment.step("sleep 7779 & echo $!")
    child = os.fork()
    if child == 0:
        del environment
        gc.collect()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert environment.step("cat answer.txt")[0] == "0.5\n"
    assert any("7779" in process.cmdline() for process in psutil.Process().children(recursive=True))
    del environment
    gc.collect()
    assert not any("7779" in process.cmdline() for process in psutil.Process().children(recursive=True))
    assert not list((tmp_path / "temporary").iterdir())


def test_what_fails_to_begin_can_be_closed_and_tried_again(tmp_path: Path) -> None:
    """With the same error, as where data is missing, and nothing left."""
    environment = TaskEnvironment("house_price", data=str(tmp_path / "nowhere"))
    for _ in range(2):
        with pytest.raises(DataError, match="its full data is not in"):
            environment.reset()
    with pytest.raises(EpisodeStateError, match="call reset"):
        environment.step("ls")
    environment.close()
    environment.close()
    assert not list((tmp_path / "temporary").iterdir())


def test_wrong_options_are_told() -> None:
    """With what is expected, before anything begins."""
    with pytest.raises(TaskError, match="reward='best': expected one of 'final', 'improvement'"):
        TaskEnvironment("colonel_blotto", reward="best")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"'steps' is no option.*max_steps"):
        TaskEnvironment("colonel_blotto", steps=3)
    with pytest.raises(TaskError, match="blotto"):
        TaskEnvironment("blotto")
    for options in ({"variant": "big"}, {"max_steps": 0}, {"time_limit_seconds": -1}, {"isolation": "docker"}, {"gpus": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}="):
            TaskEnvironment("colonel_blotto", **options)


def test_an_action_that_is_no_text_harms_nothing(make: Callable[..., gymnasium.Env[str, str]]) -> None:
    """It is refused, and the episode goes on."""
    environment = make().unwrapped
    environment.reset()
    with pytest.raises(TypeError, match="an action is a str, not bytes"):
        environment.step(b"ls")  # type: ignore[arg-type]
    assert environment.step("echo \udc80 \x00")[1:4] == (0.0, False, False)
    assert environment.step("echo goes on")[0] == "goes on\n"


@pytest.mark.parametrize(
    ("kind", "mode", "count"),
    [
        ("sync", AutoresetMode.NEXT_STEP, 32),
        ("sync", AutoresetMode.SAME_STEP, 4),
        ("sync", AutoresetMode.DISABLED, 4),
        ("async", AutoresetMode.NEXT_STEP, 32),
        ("async", AutoresetMode.SAME_STEP, 4),
        ("async", AutoresetMode.DISABLED, 4),
        ("async without shared memory", AutoresetMode.NEXT_STEP, 4),
    ],
)
def test_many_at_once(make_task: Callable[..., Path], kind: str, mode: AutoresetMode, count: int) -> None:
    """Environments step together, each with its own state, and begin anew by themselves."""
    task = make_task(toml=TASK_TOML.replace("validations = 3", "validations = 3\ngoal = 3.0"))
    functions = [lambda: gymnasium.make(OWN, task=task, max_steps=9)] * count
    environments: Any
    if kind == "sync":
        environments = SyncVectorEnv(functions, autoreset_mode=mode)
    else:
        environments = AsyncVectorEnv(functions, autoreset_mode=mode, shared_memory=kind == "async")
    try:
        observations, infos = environments.reset(seed=3)
        assert len(observations) == count and set(observations) == {"Write a number into answer.txt.\n"}
        assert list(infos["steps_left"]) == [9] * count
        actions = tuple(f"echo {1 + at / count} > answer.txt; echo é$MLGYM_LITE_SEED" for at in range(count))
        observations, rewards, *_ = environments.step(actions)
        assert observations == tuple(f"é{3 + at}\n" for at in range(count)) and not rewards.any()
        _, rewards, terminated, truncated, infos = environments.step(("submit",) * count)
        assert rewards == pytest.approx(np.arange(count) / count / 2) and terminated.all() and not truncated.any()
        ended = infos["final_info"] if mode == AutoresetMode.SAME_STEP else infos
        assert [outcome.score for outcome in ended["outcome"]] == [1 + at / count for at in range(count)]
        if mode == AutoresetMode.NEXT_STEP:
            observations, *_ = environments.step(("ls",) * count)
            assert set(observations) == {"Write a number into answer.txt.\n"}
        if mode == AutoresetMode.DISABLED:
            environments.reset(options={"reset_mask": np.ones(count, dtype=np.bool_)})
        observations, _, terminated, _, infos = environments.step(("cat answer.txt",) * count)
        assert set(observations) == {"0.5\n"} and not terminated.any() and list(infos["steps_left"]) == [8] * count
    finally:
        environments.close()
