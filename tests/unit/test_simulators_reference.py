"""The simulators of the reinforcement-learning tasks do what gymnasium, MinAtar and gymnax do, step by step.

These packages are for this comparison only; the mark `reference` says what happens where they are missing.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from grading_harness import TASKS, module_at

pytestmark = [pytest.mark.reference, pytest.mark.timeout(300)]

ROWS = 64


@pytest.fixture(autouse=True)
def foreign_warnings() -> Iterator[None]:
    """What the reference packages warn about is not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Foretold:
    """Stands in for a generator of random numbers and gives what a reference drew."""

    def __init__(self) -> None:
        """Begin with nothing to give."""
        self.next: Any = None

    def integers(self, low: int, high: int, size: int) -> np.ndarray:
        """Return the numbers put down, which must be possible ones."""
        drawn = np.broadcast_to(np.asarray(self.next), size)
        assert ((low <= drawn) & (drawn < high)).all()
        return drawn

    def random(self, size: int) -> np.ndarray:
        """Return the numbers put down, which must be possible ones."""
        drawn = np.broadcast_to(np.asarray(self.next, np.float64), size)
        assert ((drawn > -1e-6) & (drawn < 1 + 1e-6)).all()
        return drawn


class Gymnax:
    """A gymnax environment, vectorised and compiled, whose resets the test decides about."""

    def __init__(self, package: ModuleType, name: str) -> None:
        """Make the environment by its registered name."""
        self.jax = importlib.import_module("jax")
        self.environment, self.parameters = package.make(name)
        keyed = self.jax.vmap(self.environment.step_env, in_axes=(0, 0, 0, None))
        self._step = self.jax.jit(lambda keys, state, actions: keyed(keys, state, actions, self.parameters))
        self._reset = self.jax.jit(self.jax.vmap(lambda key: self.environment.reset_env(key, self.parameters)))
        self._truncated = self.jax.vmap(lambda state: self.environment.is_truncated(state, self.parameters))
        self._key = self.jax.random.PRNGKey(7)
        self.state: Any = None
        self.observations: Any = None

    def _keys(self) -> Any:
        self._key, key = self.jax.random.split(self._key)
        return self.jax.random.split(key, ROWS)

    def reset(self, rows: np.ndarray) -> None:
        """Start new episodes in the rows that are true."""
        observations, state = self._reset(self._keys())
        if self.state is not None:

            def kept(new: Any, old: Any) -> Any:
                return np.where(rows.reshape(-1, *[1] * (np.ndim(new) - 1)), new, old)

            state, observations = self.jax.tree.map(kept, (state, observations), (self.state, self.observations))
        self.state, self.observations = state, observations

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rewards and which rows terminated and were truncated."""
        self.observations, self.state, rewards, terminated, _ = self._step(self._keys(), self.state, actions)
        return np.asarray(rewards), np.asarray(terminated), np.asarray(self._truncated(self.state))


def chasing_ball(simulator: Any, generator: np.random.Generator, careless: float) -> np.ndarray:
    """Return actions that keep the ball in play unless chance moves the paddle; the side it is hit from changes."""
    landing = simulator.ball_column + simulator.right * (9 - simulator.ball_row)
    landing = np.where(landing < 0, -1 - landing, np.where(landing > 9, 19 - landing, landing))
    turned = (simulator.ball_column + simulator.right * (9 - simulator.ball_row)) != landing
    beside = np.where(turned, landing + simulator.right, landing - simulator.right).clip(0, 9)
    varied = (simulator.time // 31 + np.arange(simulator.count)) % 3 == 0
    target = np.where(simulator.down > 0, np.where(varied & (landing % 9 > 0), beside, landing), simulator.ball_column)
    way = np.sign(target - simulator.paddle)
    actions = np.where(way < 0, 1, np.where(way > 0, 2, 0))
    return np.where(generator.random(simulator.count) < careless, generator.integers(0, 3, simulator.count), actions)


def swinging(simulator: Any, generator: np.random.Generator) -> np.ndarray:
    """Return forces that mostly go with the velocity; the last rows may only roll, or ask for far too much."""
    forces = np.sign(simulator.velocity) + generator.normal(0, 0.5, simulator.count)
    forces[-16:] = generator.normal(0, 0.3, 16)
    forces[-8:-4] *= 1e3
    return forces.astype(np.float32)


def test_the_mountain_car_is_gymnax_s() -> None:
    """Positions, velocities, rewards, ends and time limits agree over 96,000 steps, resets included."""
    theirs = Gymnax(importlib.import_module("gymnax"), "MountainCarContinuous-v0")
    module = module_at(TASKS / "mountain_car" / "tests" / "simulator.py")
    generator, drawn = np.random.default_rng(0), Foretold()
    ours = module.Simulator(ROWS, drawn, as_published=True)
    rows, ends, limits, walls = np.ones(ROWS, bool), 0, 0, 0
    for _ in range(1_500):
        if rows.any():
            theirs.reset(rows)
            drawn.next = np.where(rows, (np.asarray(theirs.state.position, np.float64) + 0.6) / 0.2, 0.5)
            np.testing.assert_allclose(ours.reset(rows), theirs.observations, atol=1e-7)
        actions = swinging(ours, generator)
        rewards, terminated, truncated = theirs.step(actions)
        step = ours.step(actions)
        np.testing.assert_allclose(step.observations, theirs.observations, atol=2e-6)
        np.testing.assert_allclose(step.observations[:, 0], theirs.state.position, atol=2e-6)
        np.testing.assert_allclose(step.observations[:, 1], theirs.state.velocity, atol=2e-6)
        np.testing.assert_allclose(step.rewards, rewards, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(step.terminated, terminated)
        np.testing.assert_array_equal(step.truncated, truncated)
        np.testing.assert_array_equal(ours.time, theirs.state.time)
        ours.position, ours.velocity = np.array(theirs.state.position), np.array(theirs.state.velocity)
        ends, limits, walls = ends + terminated.sum(), limits + truncated.sum(), walls + (ours.position == np.float32(-1.2)).sum()
        rows = terminated | truncated
    assert ends > 300 and limits > 10 and walls > 100


def test_whole_runs_of_the_mountain_car_are_gymnasium_s() -> None:
    """Without being set right in between, episodes agree; only a car at the left end keeps its velocity in ours."""
    gymnasium = importlib.import_module("gymnasium")
    module = module_at(TASKS / "mountain_car" / "tests" / "simulator.py")
    generator, drawn = np.random.default_rng(1), Foretold()
    ours = module.Simulator(1, drawn, as_published=True)
    theirs = gymnasium.make("MountainCarContinuous-v0")
    steps, ends, limits, walls = 0, 0, 0, 0
    for episode in range(40):
        observation, _ = theirs.reset(seed=episode)
        drawn.next = (float(observation[0]) + 0.6) / 0.2
        np.testing.assert_allclose(ours.reset()[0], observation, atol=1e-7)
        strength = 0.05 if episode % 8 == 0 else 1.0
        while True:
            action = (strength * np.sign(ours.velocity) + generator.normal(0, 0.4 * strength, 1)).astype(np.float32)
            before = ours.velocity.copy()
            observation, reward, terminated, truncated, _ = theirs.step(action)
            step = ours.step(action)
            steps += 1
            if observation[0] == np.float32(-1.2) and observation[1] == 0:
                walls += 1
                assert step.observations[0, 0] == np.float32(-1.2) and step.observations[0, 1] < 0 > before[0]
                ours.velocity[:] = 0
            else:
                np.testing.assert_allclose(step.observations[0], observation, atol=2e-5)
            assert step.rewards[0] == pytest.approx(reward, rel=1e-5, abs=1e-6)
            assert (step.terminated[0], step.truncated[0]) == (terminated, truncated)
            if terminated or truncated:
                ends, limits = ends + terminated, limits + truncated
                break
    assert steps > 5_000 and ends > 30 and limits >= 4 and walls > 0


def test_breakout_is_gymnax_s() -> None:
    """Every field and every observation agrees over 128,000 steps: losses, refilled bricks and time limits included."""
    theirs = Gymnax(importlib.import_module("gymnax"), "Breakout-MinAtar")
    module = module_at(TASKS / "breakout" / "tests" / "simulator.py")
    generator, drawn = np.random.default_rng(2), Foretold()
    ours = module.Simulator(ROWS, drawn)
    careless = np.where(np.arange(ROWS) < 24, 0.0, 0.15)
    rows, ends, limits, refills = np.ones(ROWS, bool), 0, 0, 0
    for _ in range(2_000):
        if rows.any():
            theirs.reset(rows)
            drawn.next = np.where(rows, np.asarray(theirs.state.ball_x) > 0, 0)
            np.testing.assert_array_equal(ours.reset(rows), theirs.observations)
        actions = chasing_ball(ours, generator, careless)
        before = ours.bricks.sum(axis=(1, 2))
        rewards, terminated, truncated = theirs.step(actions)
        step = ours.step(actions)
        np.testing.assert_array_equal(step.observations, theirs.observations)
        np.testing.assert_array_equal(step.rewards, rewards)
        np.testing.assert_array_equal(step.terminated, terminated)
        np.testing.assert_array_equal(step.truncated, truncated)
        state = theirs.state
        direction = np.where(ours.down > 0, np.where(ours.right > 0, 2, 3), np.where(ours.right > 0, 1, 0))
        for mine, other in (
            (ours.ball_row, state.ball_y),
            (ours.ball_column, state.ball_x),
            (ours.last_row, state.last_y),
            (ours.last_column, state.last_x),
            (direction, state.ball_dir),
            (ours.paddle, state.pos),
            (ours.strike, state.strike),
            (ours.bricks, state.brick_map),
            (ours.time, state.time),
        ):
            np.testing.assert_array_equal(mine, other)
        refills += (ours.bricks.sum(axis=(1, 2)) > before).sum()
        ends, limits = ends + terminated.sum(), limits + truncated.sum()
        rows = terminated | truncated
    assert ends > 200 and limits > 20 and refills > 50


def test_breakout_is_minatar_s() -> None:
    """Every observation, reward and end agrees with MinAtar's without sticky actions, over 20,000 steps."""
    environment = importlib.import_module("minatar").Environment("breakout", sticky_action_prob=0.0)
    environment.seed(3)
    module = module_at(TASKS / "breakout" / "tests" / "simulator.py")
    generator, drawn = np.random.default_rng(3), Foretold()
    ours = module.Simulator(1, drawn)
    actions_of = environment.minimal_action_set()
    bricks, ends, full = 0.0, 0, 0

    def begin() -> None:
        environment.reset()
        drawn.next = int(environment.env.ball_x > 0)
        np.testing.assert_array_equal(ours.reset()[0], environment.state())

    begin()
    for number in range(20_000):
        action = chasing_ball(ours, generator, 0.0 if number % 4_000 < 2_000 else 0.1)
        left = ours.bricks.sum()
        reward, terminal = environment.act(actions_of[int(action[0])])
        step = ours.step(action)
        np.testing.assert_array_equal(step.observations[0], environment.state())
        assert (step.rewards[0], bool(step.terminated[0]), bool(ours.strike[0])) == (reward, terminal, environment.env.strike)
        bricks, ends, full = bricks + reward, ends + terminal, full + int(ours.bricks.sum() > left)
        if terminal:
            begin()
    assert bricks > 1_000 and ends > 20 and full > 10


def test_the_maze_is_gymnax_s() -> None:
    """Every field and every observation agrees over 128,000 steps: throws, chance ends and time limits included."""
    theirs = Gymnax(importlib.import_module("gymnax"), "MetaMaze-misc")
    module = module_at(TASKS / "meta_maze" / "tests" / "simulator.py")
    np.testing.assert_array_equal(module.FREE, theirs.environment.env_map)
    np.testing.assert_array_equal(module.CELLS, theirs.environment.coords)
    number = {tuple(cell): index for index, cell in enumerate(module.CELLS)}
    generator, drawn = np.random.default_rng(4), Foretold()
    ours = module.Simulator(ROWS, drawn)
    rows, throws, ends, limits, bumps = np.ones(ROWS, bool), 0, 0, 0, 0
    for _ in range(2_000):
        if rows.any():
            theirs.reset(rows)
            drawn.next = [number[tuple(goal)] for goal in np.asarray(theirs.state.goal)]
            np.testing.assert_array_equal(ours.reset(rows), theirs.observations)
        actions = generator.integers(0, 4, ROWS)
        before = ours.position.copy()
        rewards, terminated, truncated = theirs.step(actions)
        drawn.next = [number[tuple(cell)] for cell in np.asarray(theirs.state.pos)]
        step = ours.step(actions)
        np.testing.assert_array_equal(step.observations, theirs.observations)
        np.testing.assert_array_equal(step.rewards, rewards)
        np.testing.assert_array_equal(step.terminated, terminated)
        np.testing.assert_array_equal(step.truncated, truncated)
        for mine, other in (
            (ours.position, theirs.state.pos),
            (ours.goal, theirs.state.goal),
            (ours.last_action, theirs.state.last_action),
            (ours.last_reward, theirs.state.last_reward),
            (ours.time, theirs.state.time),
        ):
            np.testing.assert_array_equal(mine, other)
        throws, bumps = throws + (rewards > 0).sum(), bumps + (before == ours.position).all(axis=1).sum()
        ends, limits = ends + terminated.sum(), limits + truncated.sum()
        rows = terminated | truncated
    assert throws > 500 and ends > 5 and limits > 300 and bumps > 5_000


@pytest.mark.parametrize(("task", "draws"), [("meta_maze", 65), ("breakout", 2)])
def test_what_is_drawn_is_spread_evenly(task: str, draws: int) -> None:
    """Goals, throws and the ball's corner take all their values equally often."""
    module = module_at(TASKS / task / "tests" / "simulator.py")
    simulator = module.Simulator(65_000, np.random.default_rng(5))
    simulator.reset()
    values = simulator.goal @ np.array([11, 1]) if task == "meta_maze" else simulator.ball_column
    counts = np.unique(values, return_counts=True)[1]
    assert len(counts) == draws
    np.testing.assert_allclose(counts, 65_000 / draws, rtol=0.15)
