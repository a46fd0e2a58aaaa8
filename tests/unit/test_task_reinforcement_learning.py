"""Mountain car, Breakout and meta maze: what is scored, what is refused, and what the player cannot know."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from grading_harness import SEED, TASKS, Verdict, graded, grading_interpreter, module_at

NAMES = ("mountain_car", "breakout", "meta_maze")
SHARED = ("tests/grade.py", "tests/player.py", "tests/test.sh", "requirements.txt", "grader-requirements.txt")
graders: dict[str, Any] = {name: module_at(TASKS / name / "tests" / "grade.py") for name in NAMES}
simulators: dict[str, Any] = {name: module_at(TASKS / name / "environment" / "simulator.py") for name in NAMES}

BY_CHANCE = {
    "mountain_car": "lambda observations: generator.uniform(-1, 1, len(observations))",
    "breakout": "lambda observations: generator.integers(0, 3, len(observations))",
    "meta_maze": "lambda observations: generator.integers(0, 4, len(observations))",
}
CHANCE_EARNS = {"mountain_car": (-6.7, 0.3), "breakout": (0.4, 0.15), "meta_maze": (7.9, 2.0)}
POLICY = "import numpy as np\n\ndef build(weights, seed):\n    generator = np.random.default_rng(seed)\n    return {}\n"
WITH_THE_VELOCITY = POLICY.format("lambda observations: np.where(observations[:, 1:] < 0, -1.0, 1.0)")


class Table:
    """Grades policies given as text, for one test."""

    def __init__(self, interpreter: Path, folder: Path) -> None:
        """Keep submissions and gradings under a folder."""
        self._interpreter = interpreter
        self._folder = folder
        self._numbers = count()

    def submission(self, policy: str, checkpoints: int = 2) -> Path:
        """Write a submission with this policy.py and checkpoints that hold their number."""
        folder = self._folder / f"submission-{next(self._numbers)}"
        folder.joinpath("checkpoints").mkdir(parents=True)
        folder.joinpath("policy.py").write_text(policy, encoding="utf-8")
        for number in range(checkpoints):
            np.savez(folder / "checkpoints" / f"{number}.npz", number=np.array(number, np.float32))
        return folder

    def play(self, task: str, submission: str | Path, **options: Any) -> Verdict:
        """Grade a policy.py with this text, or what lies in a folder."""
        folder = submission if isinstance(submission, Path) else self.submission(submission)
        grading = self._folder / f"grading-{next(self._numbers)}"
        return graded(self._interpreter, grading, TASKS / task, folder, **options)


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that can import the grading files."""
    return grading_interpreter(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def table(interpreter: Path, tmp_path: Path) -> Table:
    """Where policies are graded."""
    return Table(interpreter, tmp_path)


def score_of(verdict: Verdict) -> float:
    """Return the score of a grading that must have given one."""
    assert verdict.reward is not None, (verdict.rejection, verdict.stderr)
    return verdict.reward["Reward Mean"]


def rejection_of(verdict: Verdict) -> str:
    """Return what the agent is told by a grading that must have refused the submission."""
    assert (verdict.status, verdict.reward) == (65, None), verdict.stderr
    assert verdict.rejection is not None
    return verdict.rejection


@pytest.mark.parametrize("name", NAMES)
def test_agent_and_judge_have_the_same_simulator(name: str) -> None:
    """The two files are identical, so what is trained with is what is scored with."""
    agents, judges = (TASKS / name / place / "simulator.py" for place in ("environment", "tests"))
    assert agents.read_bytes() == judges.read_bytes()


@pytest.mark.parametrize("file", SHARED)
def test_the_three_tasks_share_their_judge_and_player(file: str) -> None:
    """What differs is in simulator.py; a change to one of these files is a change to all three."""
    assert len({TASKS.joinpath(name, file).read_bytes() for name in NAMES}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_playing_by_chance_earns_what_is_known(table: Table, name: str) -> None:
    """A policy that looks at nothing earns the same as where the environment was measured first."""
    verdict = table.play(name, POLICY.format(BY_CHANCE[name]))
    expected, tolerance = CHANCE_EARNS[name]
    assert score_of(verdict) == pytest.approx(expected, abs=tolerance)
    assert verdict.reward is not None and verdict.reward["episodes"] == 640
    error = verdict.reward["Reward Mean_standard_error"]
    assert error == pytest.approx(verdict.reward["Reward Std"] / 640**0.5)


def test_the_full_variant_plays_five_checkpoints(table: Table) -> None:
    """It takes 6,400 episodes, and no fifth checkpoint means no score."""
    submission = table.submission(WITH_THE_VELOCITY, checkpoints=5)
    verdict = table.play("mountain_car", submission, variant="full")
    assert verdict.reward is not None and verdict.reward["episodes"] == 6_400
    submission.joinpath("checkpoints", "4.npz").unlink()
    assert "checkpoints/4.safetensors or checkpoints/4.npz" in rejection_of(
        table.play("mountain_car", submission, variant="full")
    )


@pytest.mark.parametrize("name", NAMES)
def test_seed_and_split_settle_a_grading(table: Table, name: str) -> None:
    """The same seed and split give the same score, another seed or split another one."""
    policy = WITH_THE_VELOCITY if name == "mountain_car" else POLICY.format(BY_CHANCE[name])
    first = score_of(table.play(name, policy))
    assert score_of(table.play(name, policy)) == first
    assert score_of(table.play(name, policy, seed=SEED + 1)) != first
    assert score_of(table.play(name, policy, split="dev")) != first


def test_each_policy_has_its_own_checkpoint_and_memory(table: Table) -> None:
    """There is one policy for each checkpoint and rollout, it sees every step, and its weights are its own."""
    policy = (
        "import numpy as np\n\nbuilt = []\nseeds = set()\n\ndef build(weights, seed):\n"
        "    seeds.add(seed)\n    built.append(int(weights['number']))\n    assert built == sorted(built)\n"
        "    assert len(seeds) == len(built)\n"
        "    weights['number'] += 7\n    steps = 0\n"
        "    def act(observations):\n        nonlocal steps\n        steps += 1\n"
        "        assert len(built) == 10 and built.count(0) == 5 and observations.shape == (64, 15)\n"
        "        assert observations[:, 14].max() == steps - 1\n"
        "        return np.full(64, 1)\n    return act\n"
    )
    score_of(table.play("meta_maze", policy))


def test_an_episode_that_has_ended_is_seen_as_zeros(table: Table) -> None:
    """After a car has arrived its row is zero, its action is ignored, and it earns nothing more."""
    policy = (
        "import numpy as np\n\ndef build(weights, seed):\n    ended = np.zeros(64, bool)\n"
        "    def act(observations):\n        global_end = (observations == 0).all(axis=1)\n"
        "        assert not (ended & ~global_end).any()\n        ended[:] |= global_end\n"
        "        return np.where(ended, np.nan, np.where(observations[:, 1] < 0, -1.0, 1.0))\n    return act\n"
    )
    assert score_of(table.play("mountain_car", policy)) == score_of(table.play("mountain_car", WITH_THE_VELOCITY))


def test_forces_beyond_the_limits_count_as_the_limits(table: Table) -> None:
    """Asking for more than there is neither moves the car further nor costs more: no score leaves [-20, 100]."""
    huge = WITH_THE_VELOCITY.replace("1.0", "3e38")
    assert score_of(table.play("mountain_car", huge)) == score_of(table.play("mountain_car", WITH_THE_VELOCITY))
    useless = POLICY.format("lambda observations: np.full(len(observations), 3e38)")
    assert score_of(table.play("mountain_car", useless)) == pytest.approx(-20)


@pytest.mark.parametrize(
    ("name", "answer", "shown"),
    [
        ("mountain_car", "np.full(64, np.nan)", "checkpoint 0, environment 0, step 1: the action is nan, expected a finite"),
        ("mountain_car", "np.full(64, 1e200)", "the action is inf, expected a finite number"),
        ("mountain_car", "np.zeros(63)", "returned float64 of shape (63,), expected real numbers of shape (64,)"),
        ("mountain_car", "np.full(64, 1j)", "returned complex128"),
        ("mountain_car", "['left'] * 64", "expected real numbers"),
        ("mountain_car", "None", "expected real numbers"),
        ("breakout", "np.full(64, 3)", "chose 3, expected 0 to 2"),
        ("breakout", "np.full(64, -1)", "chose -1, expected 0 to 2"),
        ("breakout", "np.full(64, 1.0)", "returned float64 of shape (64,), expected whole numbers"),
        ("breakout", "np.full((64, 3), 1)", "of shape (64, 3)"),
        ("meta_maze", "np.full(64, 10**9)", "chose 1000000000, expected 0 to 3"),
        ("meta_maze", "[10**30] * 64", "returned object"),
        ("meta_maze", "np.full(65, 0)", "of shape (65,)"),
        ("meta_maze", "1 / 0", "ZeroDivisionError"),
    ],
)
def test_impossible_actions_are_told(table: Table, name: str, answer: str, shown: str) -> None:
    """An answer that is not one possible action for each environment is refused, and the message says where."""
    assert shown in rejection_of(table.play(name, POLICY.format(f"lambda observations: {answer}")))


@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ("def build(weights:", "SyntaxError"),
        ("x = 1", "build"),
        ("import os\nos._exit(0)", "ended before it had answered"),
        ("raise SystemExit(0)", "SystemExit"),
        ("def build(weights, seed):\n    return weights['layer']", "KeyError"),
        ("def build(weights, seed):\n    return None", "not callable"),
    ],
)
def test_a_broken_policy_is_told_what_is_wrong(table: Table, policy: str, shown: str) -> None:
    """A policy that cannot be played is rejected, with what Python said about it."""
    assert shown in rejection_of(table.play("meta_maze", policy))


def broken_checkpoint(folder: Path, kind: str) -> None:
    """Put something in place of the second checkpoint."""
    path = folder / "checkpoints" / "1.npz"
    path.unlink()
    if kind == "pickle":
        np.savez(path, number=np.array([{"any": "object"}], dtype=object))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(5_000))
    elif kind == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as file:
            for _ in range(300):
                file.write(bytes(1 << 20))
    elif kind == "lying header":
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,)}"
        header += b" " * (128 - 10 - len(header) - 1) + b"\n"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    elif kind == "folder":
        path.mkdir()
    elif kind == "other name":
        np.savez(folder / "checkpoints" / "second.npz", number=np.zeros(1))
    elif kind == "twice":
        np.savez(path, number=np.zeros(1))
        path.with_suffix(".safetensors").write_bytes(b"")
    elif kind == "too large":
        with path.open("wb") as file:
            file.truncate(65 << 20)


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("pickle", "allow_pickle=False"),
        ("empty", "not a zip file"),
        ("noise", "not a zip file"),
        ("bomb", "1.npz unpacks to 314572800 bytes; at most 268435456 are taken"),
        ("lying header", "Error"),
        ("folder", "expected checkpoints/1.safetensors or checkpoints/1.npz, found neither"),
        ("other name", "expected checkpoints/1.safetensors or checkpoints/1.npz, found neither"),
        ("twice", "found 1.safetensors, 1.npz"),
        ("too large", "has 68157440 bytes; at most 67108864 are taken"),
    ],
)
def test_a_broken_checkpoint_is_told(table: Table, kind: str, shown: str) -> None:
    """Checkpoints are plain arrays under fixed names; anything else is refused, and nothing in them is run."""
    folder = table.submission(POLICY.format(BY_CHANCE["meta_maze"]))
    broken_checkpoint(folder, kind)
    assert shown in rejection_of(table.play("meta_maze", folder))


def test_missing_checkpoints_and_policies_are_told(table: Table, tmp_path: Path) -> None:
    """An empty submission names what is missing."""
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "checkpoints/0.safetensors" in rejection_of(table.play("breakout", empty))
    folder = table.submission("")
    folder.joinpath("policy.py").unlink()
    assert "policy.py" in rejection_of(table.play("breakout", folder))


def test_checkpoints_may_be_safetensors(table: Table) -> None:
    """The starter's format is taken as well as numpy's, and the two may be mixed."""
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed here")
    folder = table.submission(WITH_THE_VELOCITY)
    folder.joinpath("checkpoints", "1.npz").unlink()
    safetensors.save_file({"number": np.zeros(3, np.float32)}, folder / "checkpoints" / "1.safetensors")
    assert score_of(table.play("mountain_car", folder)) > 80


class Answering:
    """Stands in for the link: a player that answers everything with the same."""

    def __init__(self, answer: object) -> None:
        """Keep the answer."""
        self._answer = answer

    def ask(self, message: object, timeout_seconds: float = 60.0, *, reply_limit_bytes: int) -> object:
        """Return the answer."""
        return self._answer


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("answer", [None, "", b"", b"\x00", [0] * 640, {"Reward Mean": 100.0}, b"\x00" * 641, 7])
def test_the_judge_itself_wants_one_action_for_each_environment(name: str, answer: object) -> None:
    """Whatever the player process may send, only bytes of the right length count."""
    grader = graders[name]
    simulator = grader.rules.Simulator(64, np.random.default_rng(0))
    with pytest.raises(grader.Rejected, match="step 1: expected one action for each of 640 environments"):
        grader.played(Answering(answer), [simulator] * 10, grader.SIZES["mini"], 60.0)


@pytest.mark.parametrize(("name", "value"), [("breakout", 3), ("breakout", 255), ("meta_maze", 4), ("meta_maze", 128)])
def test_the_judge_itself_refuses_impossible_choices(name: str, value: int) -> None:
    """A number that stands for no action is refused wherever it is, unless the episode has ended."""
    grader = graders[name]
    sizes, alive, actions = grader.SIZES["mini"], np.ones(640, bool), np.zeros(640, np.uint8)
    actions[5 * 64 + 3] = value
    with pytest.raises(grader.Rejected, match=f"checkpoint 1, environment 3, step 9: the action is {value}, expected"):
        grader.actions_of(actions.tobytes(), alive, sizes, 9)
    alive[5 * 64 + 3] = False
    assert not grader.actions_of(actions.tobytes(), alive, sizes, 9).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_judge_itself_refuses_forces_that_are_not_finite(value: float) -> None:
    """No arithmetic of the judge ever sees infinity."""
    grader = graders["mountain_car"]
    actions = np.zeros(640, np.float32)
    actions[0] = value
    with pytest.raises(grader.Rejected, match=r"checkpoint 0, environment 0, step 1: .*expected a finite number"):
        grader.actions_of(actions.tobytes(), np.ones(640, bool), grader.SIZES["mini"], 1)


def test_a_player_that_takes_too_long_altogether_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many answers, each in time, do not hold the grading up for ever."""
    grader = graders["meta_maze"]
    clock = count(step=50)
    monkeypatch.setattr(grader.time, "monotonic", lambda: float(next(clock)))
    simulators_of_all = [grader.rules.Simulator(64, np.random.default_rng(0)) for _ in range(10)]
    with pytest.raises(grader.Rejected, match="took more than 300 seconds for 5 steps"):
        grader.played(Answering(bytes(640)), simulators_of_all, grader.SIZES["mini"], 300.0)


class Playing:
    """Stands in for the link: plays a function of the observations, without a process."""

    def __init__(self, act: Callable[[bytes], bytes]) -> None:
        """Answer with this function."""
        self._act = act

    def __enter__(self) -> Playing:
        """Return the player itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""

    def ask(self, message: Any, timeout_seconds: float = 60.0, *, reply_limit_bytes: int) -> Any:
        """Confirm the loading, and answer each step."""
        return self._act(message["observations"]) if "observations" in message else {}


def reward_of(name: str, folder: Path, act: Callable[[bytes], bytes], **options: Any) -> dict[str, float]:
    """Return the judge's reward for a function from bytes to bytes."""
    folder.joinpath("checkpoints").mkdir(exist_ok=True)
    for number in range(2):
        folder.joinpath("checkpoints", f"{number}.npz").touch()
    settings = {"variant": "mini", "split": "test", "seed": SEED, "parity": False, **options}
    context = SimpleNamespace(submission=folder, player=lambda: Playing(act), **settings)
    reward: dict[str, float] = graders[name].grade(context)
    return reward


def test_parity_charges_the_force_asked_for(tmp_path: Path) -> None:
    """There a force of ten costs ten a step, as in the published evaluation; clean scoring charges a tenth."""
    tens = np.full(640, 10, np.float32).tobytes()
    assert reward_of("mountain_car", tmp_path, lambda _: tens, parity=True)["Reward Mean"] == pytest.approx(-2_000)
    assert reward_of("mountain_car", tmp_path, lambda _: tens)["Reward Mean"] == pytest.approx(-20)


@pytest.mark.parametrize("name", NAMES)
def test_parity_plays_fixed_seeds_and_clean_scoring_fresh_ones(tmp_path: Path, name: str) -> None:
    """In parity all checkpoints start alike in every grading; else no two rollouts share their draws."""
    starts: list[bytes] = []

    def act(observations: bytes) -> bytes:
        if len(starts) == len(gradings):
            starts.append(observations)
        return bytes(640 * (4 if name == "mountain_car" else 1))

    gradings: list[bool] = []
    for parity, seed in ((True, 1), (True, 2), (False, 1), (False, 2)):
        reward_of(name, tmp_path, act, parity=parity, seed=seed)
        gradings.append(parity)
    assert starts[0] == starts[1]
    if name != "meta_maze":  # whose first observation is always the same
        half = len(starts[0]) // 2
        assert starts[0][:half] == starts[0][half:]
        assert starts[2] != starts[3] and starts[2][:half] != starts[2][half:] and starts[2] != starts[0]


@pytest.mark.parametrize("name", NAMES)
def test_no_two_rollouts_share_their_draws(name: str) -> None:
    """Checkpoints that are played side by side cannot tell each other where a goal is."""
    grader = graders[name]
    sizes = grader.SIZES["full"]
    streams = [
        np.random.default_rng(seed).integers(2**63)
        for split in ("dev", "test")
        for number in (1, 2)
        for seed in grader.fresh_seeds(sizes, split, number)
    ]
    assert len(set(streams)) == len(streams) == 4 * 25
    assert grader.published_seeds(sizes) == [0, 1, 2, 3, 4] * 5


@pytest.mark.parametrize("name", NAMES)
def test_what_the_player_is_sent_is_what_the_simulator_shows(name: str) -> None:
    """Observations come out of a message as they went in, and can be changed by the policy."""
    grader, player = graders[name], module_at(TASKS / name / "tests" / "player.py")
    simulator = grader.rules.Simulator(64, np.random.default_rng(0))
    observations = np.concatenate([simulator.reset(), simulator.reset()])
    seen: list[np.ndarray] = []

    def policy(batch: np.ndarray) -> np.ndarray:
        seen.append(batch.copy())
        batch[:] = 0
        return np.ones(64, np.int64)

    table = player.Table()
    table._policies, table._environments, table._actions = [("0.npz", policy)] * 2, 64, grader.rules.ACTIONS
    table._shape, table._type = grader.rules.OBSERVATION_SHAPE, grader.rules.OBSERVATION_TYPE
    answer = table.play({"observations": grader.packed(observations)})
    np.testing.assert_array_equal(np.concatenate(seen), observations)
    kind = np.float32 if grader.rules.ACTIONS is None else np.uint8
    np.testing.assert_array_equal(np.frombuffer(answer, kind), np.ones(128))


@pytest.mark.parametrize("name", NAMES)
def test_an_episode_that_has_ended_may_be_stepped_on(name: str) -> None:
    """Rows that nobody starts anew do no harm, whatever is done in them."""
    simulator, generator = simulators[name].Simulator(256, np.random.default_rng(0)), np.random.default_rng(1)
    simulator.reset()
    for _ in range(1_100):
        actions = generator.integers(0, simulators[name].ACTIONS or 2, 256)
        step = simulator.step(actions)
        assert np.isfinite(step.rewards).all() and np.isfinite(step.observations).all()
    assert step.truncated.all()


def test_only_the_rows_asked_for_start_anew() -> None:
    """A reset of some episodes leaves the others where they are."""
    for name in NAMES:
        simulator = simulators[name].Simulator(8, np.random.default_rng(0))
        simulator.reset()
        for _ in range(3):
            simulator.step(np.ones(8, np.int64))
        before = simulator.observations()
        rows = np.arange(8) < 3
        after = simulator.reset(rows)
        np.testing.assert_array_equal(after[~rows], before[~rows])
        assert (simulator.time == np.where(rows, 0, 3)).all()
        assert not (after[rows] == before[rows]).all()


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed here")
@pytest.mark.parametrize("name", NAMES)
def test_the_starter_s_policy_repeats_for_a_seed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights and seed choose the same actions, whatever other policies do in between."""
    policy = module_at(TASKS / name / "environment" / "policy.py")
    network = policy.Network(16, 2) if name == "mountain_car" else policy.Network(16)
    weights = {key: value.numpy() for key, value in network.state_dict().items()}
    observations = simulators[name].Simulator(64, np.random.default_rng(0)).reset()
    first, second, other = (policy.build(weights, seed) for seed in (1, 1, 2))
    for _ in range(3):
        chosen = first(observations)
        assert not np.array_equal(other(observations), chosen)
        np.testing.assert_array_equal(second(observations), chosen)
