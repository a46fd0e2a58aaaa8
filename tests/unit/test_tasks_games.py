"""The three games are the published ones: their starters, their best scores, and what they accept."""

from __future__ import annotations

import random
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from grading_harness import SEED, TASKS, Verdict, graded, grading_interpreter, module_at

GAMES = ("prisoners_dilemma", "battle_of_sexes", "colonel_blotto")
STARTERS = {"prisoners_dilemma": 2.3716, "battle_of_sexes": 1.0227, "colonel_blotto": -0.24797}
BEST = {"prisoners_dilemma": 2.6251, "battle_of_sexes": 1.44, "colonel_blotto": 0.249}
BEST_STRATEGY = {"prisoners_dilemma": "1", "battle_of_sexes": "0", "colonel_blotto": "[0, 0, 30, 30, 30, 30]"}
LEGAL = {"prisoners_dilemma": "0", "battle_of_sexes": "1", "colonel_blotto": "[20, 20, 20, 20, 20, 20]"}
graders: dict[str, Any] = {game: module_at(TASKS / game / "tests" / "grade.py") for game in GAMES}


class Table:
    """Grades strategies given as text, for one test."""

    def __init__(self, interpreter: Path, folder: Path) -> None:
        """Keep submissions and gradings under a folder."""
        self._interpreter = interpreter
        self._folder = folder
        self._numbers = count()

    def play(self, game: str, strategy: str, **options: Any) -> Verdict:
        """Grade a strategy.py with this text."""
        submission = self._folder / f"submission-{next(self._numbers)}"
        submission.mkdir()
        submission.joinpath("strategy.py").write_text(strategy, encoding="utf-8")
        return self.play_folder(game, submission, **options)

    def play_folder(self, game: str, submission: Path, **options: Any) -> Verdict:
        """Grade what lies in a folder."""
        folder = self._folder / f"grading-{next(self._numbers)}"
        return graded(self._interpreter, folder, TASKS / game, submission, **options)


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that can import the grading files."""
    return grading_interpreter(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def table(interpreter: Path, tmp_path: Path) -> Table:
    """Where strategies are graded."""
    return Table(interpreter, tmp_path)


def score_of(verdict: Verdict) -> float:
    """Return the score of a grading that must have given one."""
    assert verdict.reward is not None, (verdict.rejection, verdict.stderr)
    return verdict.reward["Score"]


@pytest.mark.parametrize("game", GAMES)
def test_the_starter_reproduces_the_published_baseline(table: Table, game: str) -> None:
    """The full game gives the starter the published score, up to the draws."""
    verdict = table.play_folder(game, TASKS / game / "environment", variant="full")
    assert score_of(verdict) == pytest.approx(STARTERS[game], abs=0.02)
    assert verdict.reward is not None and verdict.reward["games"] == 10_000


@pytest.mark.parametrize("game", GAMES)
def test_the_best_known_strategy_reaches_the_best_score(table: Table, game: str) -> None:
    """The full game gives the best known strategy the best score, within four standard errors."""
    verdict = table.play(game, f"def row_strategy(history):\n    return {BEST_STRATEGY[game]}", variant="full")
    assert verdict.reward is not None
    assert verdict.reward["Score"] == pytest.approx(BEST[game], abs=4 * verdict.reward["Score_standard_error"])
    assert 0 < verdict.reward["Score_standard_error"] < 0.007


def test_no_strategy_of_the_prisoners_dilemma_can_expect_more_than_always_defecting() -> None:
    """Dynamic programming over all the opponent looks at gives 2.625, which always defecting reaches."""
    grader = graders["prisoners_dilemma"]

    def expected(now: Any, rounds_left: int, choices: tuple[int, ...]) -> float:
        return worth(now, rounds_left, choices) if rounds_left else 0.0

    @cache
    def worth(now: Any, rounds_left: int, choices: tuple[int, ...]) -> float:
        chance = grader.published(now)
        return max(
            sum(
                probability * (grader.PAYOFFS[row][column] + expected(now.after(row, column), rounds_left - 1, choices))
                for column, probability in ((0, 1 - chance), (1, chance))
            )
            for row in choices
        )

    best = worth(grader.Situation(), grader.ROUNDS, (0, 1)) / grader.ROUNDS
    assert best == pytest.approx(2.6251, abs=5e-5)
    assert worth(grader.Situation(), grader.ROUNDS, (1,)) / grader.ROUNDS == pytest.approx(best)


def test_the_opponent_of_the_prisoners_dilemma_mixes_eleven_policies() -> None:
    """What it does first is known in closed form: five of the eleven ever defect, two of them by a coin."""
    grader = graders["prisoners_dilemma"]
    assert len(grader.POLICIES) == 11
    assert grader.published(grader.Situation()) == pytest.approx((1 + 1 + 0.5 + 1 + 0.5) / 11)
    after_two_defections = grader.Situation().after(1, 0).after(1, 1)
    noisy = 0.1667 + 0.4
    assert grader.published(after_two_defections) == pytest.approx((noisy + 1 + 0 + 1 + 0.5 + 1 + 0 + 1 + 1 + 0.5 + 0) / 11)


def test_the_best_score_of_the_battle_of_sexes_is_known_in_closed_form() -> None:
    """Opening with 0 earns 0.8 x 2 in nine rounds of ten; opening with 1 earns 1 once and 0.8 in nine."""
    grader = graders["battle_of_sexes"]
    copied = grader.COPYING_PROBABILITY
    later = (max(copied * 2, (1 - copied) * 1), max(copied * 1, (1 - copied) * 2))
    values = [(grader.PAYOFFS[first][1] + 9 * later[first]) / 10 for first in (0, 1)]
    assert values == [pytest.approx(1.44), pytest.approx(0.82)]
    opened = [grader.Situation(), grader.Situation().after(0, 1).after(1, 0), grader.Situation().after(1, 1).after(0, 1)]
    assert [grader.published(now) for now in opened] == [0.0, copied, pytest.approx(1 - copied)]


def test_the_best_known_allocation_beats_the_other_examples() -> None:
    """Over many draws of the opponent, four fields of thirty earn 0.249; the even spread earns nothing."""
    grader = graders["colonel_blotto"]
    draw = random.Random(1).random
    others = [grader.column_allocation(draw) for _ in range(60_000)]
    assert all(sum(other) == 120 and min(other) >= 0 for other in others)

    def mean(row: list[int]) -> float:
        return sum(grader.row_payoff(row, other) for other in others) / len(others)

    assert mean([0, 0, 30, 30, 30, 30]) == pytest.approx(0.249, abs=0.016)
    assert mean([24, 24, 24, 24, 24, 0]) == pytest.approx(0.118, abs=0.016)
    assert mean([20] * 6) == pytest.approx(-0.004, abs=0.016)
    assert mean([40, 40, 40, 0, 0, 0]) == pytest.approx(-0.092, abs=0.016)


@pytest.mark.parametrize("game", GAMES)
def test_seed_and_split_settle_a_grading(table: Table, game: str) -> None:
    """The same seed and split give the same score, another seed or split another one."""
    starter = TASKS / game / "environment"
    first = score_of(table.play_folder(game, starter))
    assert score_of(table.play_folder(game, starter)) == first
    assert score_of(table.play_folder(game, starter, seed=SEED + 1)) != first
    assert score_of(table.play_folder(game, starter, split="dev")) != first


@pytest.mark.parametrize("game", GAMES)
def test_numpys_whole_numbers_are_moves(table: Table, game: str) -> None:
    """A strategy may answer with whatever stands for a whole number, and may import numpy."""
    answer = f"numpy.array({BEST_STRATEGY[game]}, dtype=numpy.uint8)"
    answer += "[()]" if game != "colonel_blotto" else ""
    numbers = score_of(table.play(game, f"import numpy\n\ndef row_strategy(history):\n    return {answer}"))
    plain = score_of(table.play(game, f"def row_strategy(history):\n    return {BEST_STRATEGY[game]}"))
    assert numbers == plain


@pytest.mark.parametrize("game", GAMES)
def test_a_strategy_that_changes_its_history_hurts_nobody(table: Table, game: str) -> None:
    """The history is a fresh list in each call, with one pair for each round played."""
    strategy = (
        "calls = 0\n\ndef row_strategy(history):\n    global calls\n"
        "    assert len(history) == calls // 1_600 and type(history) is list, history\n"
        "    assert all(type(pair) is tuple and len(pair) == 2 for pair in history)\n"
        f"    calls += 1\n    history.clear()\n    history.append(None)\n    print(history)\n    return {LEGAL[game]}"
    )
    changed = score_of(table.play(game, strategy))
    assert changed == score_of(table.play(game, f"def row_strategy(history):\n    return {LEGAL[game]}"))


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize(
    ("strategy", "shown"),
    [
        ("def row_strategy(history:", "SyntaxError"),
        ("x = 1", "row_strategy"),
        ("import os\nos._exit(0)", "ended before it had answered"),
        ("raise SystemExit(0)", "SystemExit"),
        ("def row_strategy(history):\n    return 'left'", "game 1, round 1: row_strategy returned 'left', expected"),
        ("def row_strategy(history):\n    return 1 / len(history)", "ZeroDivisionError"),
    ],
)
def test_a_broken_strategy_is_told_what_is_wrong(table: Table, game: str, strategy: str, shown: str) -> None:
    """A strategy that cannot be played is rejected, with what Python said about it."""
    if "'left'" in strategy and game == "colonel_blotto":
        shown = "expected six whole numbers"
    verdict = table.play(game, strategy)
    assert (verdict.status, verdict.reward) == (65, None), verdict.stderr
    assert verdict.rejection is not None and shown in verdict.rejection


@pytest.mark.parametrize("game", GAMES)
def test_a_missing_strategy_is_rejected(table: Table, tmp_path: Path, game: str) -> None:
    """Without strategy.py there is no score, and the message names the file."""
    empty = tmp_path / "empty"
    empty.mkdir()
    verdict = table.play_folder(game, empty)
    assert verdict.status == 65 and verdict.rejection is not None and "strategy.py" in verdict.rejection


class Answering:
    """Stands in for the link: a player that answers everything with the same."""

    def __init__(self, answer: object) -> None:
        """Keep the answer."""
        self._answer = answer

    def ask(self, message: object, timeout_seconds: float, *, reply_limit_bytes: int) -> object:
        """Return the answer."""
        return self._answer


@pytest.mark.parametrize("game", ["prisoners_dilemma", "battle_of_sexes"])
@pytest.mark.parametrize("move", [2, -1, True, 1.0, "1", None, [0], 10**400, [[[[[[[0]]]]]]]])
def test_the_judge_itself_refuses_illegal_moves(game: str, move: object) -> None:
    """Whatever the player process may send, only 0 and 1 count, and the message says where."""
    grader = graders[game]
    with pytest.raises(grader.Rejected, match=r"game 3, round 7: .*expected 0 or 1"):
        grader.moves_of(Answering([0, 1, move]), {}, 3, 7)


@pytest.mark.parametrize(
    "row",
    [
        [120] * 6,
        [20] * 7,
        [20] * 5,
        [-600, 120, 120, 120, 120, 120],
        [20.0] * 6,
        [True] * 6,
        [10**400] * 6,
        "202020",
        None,
        {"0": 20},
        7,
    ],
)
def test_the_judge_itself_refuses_illegal_allocations(row: object) -> None:
    """Whatever the player process may send, only six whole numbers within the soldiers there are count."""
    grader = graders["colonel_blotto"]
    with pytest.raises(grader.Rejected, match=r"game 2, round 4: .*expected 6 whole numbers"):
        grader.allocations_of(Answering([[20] * 6, row]), {}, 2, 4)


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("answer", [{}, None, [], [0, 0], "00"])
def test_the_judge_wants_one_move_for_each_game(game: str, answer: object) -> None:
    """An answer of another shape or length is rejected."""
    grader = graders[game]
    moves_of = grader.allocations_of if game == "colonel_blotto" else grader.moves_of
    with pytest.raises(grader.Rejected, match="round 1: expected a list of 3"):
        moves_of(Answering(answer), {}, 3, 1)


@pytest.mark.parametrize("game", GAMES)
def test_knowing_the_seed_would_pay_and_guessing_it_does_not(table: Table, tmp_path: Path, game: str) -> None:
    """The cheat that simulates the opponent wins where it is told the judge's seed, and only there."""
    scores = []
    for name, known_seed in (("told", SEED), ("guessing", SEED + 1)):
        workspace = tmp_path / name
        shutil.copytree(TASKS / game / "environment", workspace)
        environment = {"PATH": "/usr/bin:/bin", "MLGYM_LITE_SEED": str(known_seed), "MLGYM_LITE_VARIANT": "mini"}
        script = TASKS / game / "cheats" / "known_seed.sh"
        subprocess.run(["bash", script], cwd=workspace, env=environment, check=True)
        scores.append(score_of(table.play_folder(game, workspace, split="dev")))
    honest = score_of(table.play_folder(game, TASKS / game / "environment", split="dev"))
    assert scores[0] > honest + 0.15
    assert scores[1] == pytest.approx(honest, abs=0.07)


POOL_SCORES = {"prisoners_dilemma": (2.38, 2.18), "battle_of_sexes": (0.814, 1.095), "colonel_blotto": (-0.098, -0.183)}
"""The starter's and the better method's against the pool, as the tasks' pages say."""


@pytest.mark.parametrize("game", GAMES)
def test_the_final_scoring_alone_plays_against_the_pool(table: Table, game: str) -> None:
    """Only a clean scoring of the test split has a pool score; the better method of one opponent is not made for it."""
    starter = TASKS / game / "environment"
    final = table.play_folder(game, starter).reward
    better = table.play(game, f"def row_strategy(history):\n    return {BEST_STRATEGY[game]}").reward
    development = table.play_folder(game, starter, split="dev").reward
    assert final is not None and better is not None and development is not None
    assert set(development) == {"Score", "Score_standard_error", "games"}
    assert set(final) == {*development, "Pool_Score", "Pool_Score_standard_error"}
    assert final["games"] == development["games"] == 1_000
    for reward, expected in zip((final, better), POOL_SCORES[game], strict=True):
        assert reward["Pool_Score"] == pytest.approx(expected, abs=4 * reward["Pool_Score_standard_error"])


@dataclass(frozen=True)
class Scoring:
    """Stands in for what a grader is told about a grading."""

    split: str
    parity: bool
    variant: str = "full"


@pytest.mark.parametrize("game", GAMES)
def test_the_published_opponent_plays_as_many_games_with_the_pool_as_without(game: str) -> None:
    """The pool is added to the published opponent's games and mixed among them; in parity and in development there is none."""
    grader = graders[game]
    without = [
        grader.opponents_of(Scoring(split, parity), random.Random(1))
        for split, parity in (("dev", False), ("test", True), ("dev", True))
    ]
    assert all(opponents == [grader.published] * 10_000 for opponents in without)
    mixed = grader.opponents_of(Scoring("test", parity=False), random.Random(1))
    assert (len(mixed), mixed.count(grader.published)) == (16_000, 10_000)
    halves = mixed[:8_000].count(grader.published), mixed[8_000:].count(grader.published)
    assert halves[0] == pytest.approx(halves[1], abs=400)
    assert len({*mixed}) > 4


def test_every_opponent_of_the_pool_has_a_probability_for_each_situation() -> None:
    """The policies of the games of two moves give numbers of 0 to 1 whatever happened."""
    for game in GAMES[:2]:
        grader = graders[game]
        draws = random.Random(1)
        for policy in {policy for kind in grader.POOL for policy in kind}:
            for _ in range(50):
                now = grader.Situation()
                for _ in range(grader.ROUNDS):
                    assert 0 <= policy(now) <= 1, policy
                    now = now.after(draws.randrange(2), draws.randrange(2))


def test_every_opponent_of_the_blotto_pool_sends_soldiers_it_has() -> None:
    """Allocations are six numbers, none negative, 120 in all at most, whatever the row player sent."""
    grader = graders["colonel_blotto"]
    draws = random.Random(1)
    sent = [None, [20] * 6, [120, 0, 0, 0, 0, 0], [0] * 6, [0, 0, 30, 30, 30, 30], [0, 1, 2, 3, 4, 110]]
    for opponent in {*grader.POOL}:
        for row_last in sent * 50:
            allocation = opponent(draws, None if row_last is None else [*row_last])
            assert grader.is_legal(allocation) and (sum(allocation) == 120 or row_last == [0] * 6), opponent
    assert all(sum(allocation) == 120 for allocation in grader.NEARLY_BALANCED)


def test_little_can_be_won_from_the_balanced_colonel() -> None:
    """Against the mixture near the equilibrium, the best replies to the published opponent win nothing much."""
    grader = graders["colonel_blotto"]
    draws = random.Random(1)
    others = [grader.balanced(draws, None) for _ in range(20_000)]
    for row in ([0, 0, 30, 30, 30, 30], [24, 24, 24, 24, 24, 0], [20] * 6, [40, 20, 20, 20, 10, 10]):
        assert sum(grader.row_payoff(row, other) for other in others) / len(others) < 0.1, row


def test_the_two_games_of_two_moves_share_their_player_program() -> None:
    """The programs are one and the same, so a change to one is a change to both."""
    first, second = (TASKS / game / "tests" / "player.py" for game in GAMES[:2])
    assert first.read_bytes() == second.read_bytes()
