"""The 3-SAT task counts decisions of a solver that is right whatever the heuristic says, and takes nothing else for them."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
from grading_harness import SEED, TASKS, Verdict, graded, grading_interpreter, module_at

TASK = TASKS / "three_sat"
grader: Any = module_at(TASK / "tests" / "grade.py")
player: Any = module_at(TASK / "tests" / "player.py")
starter: Any = module_at(TASK / "environment" / "heuristic.py")
better: Any = module_at(TASK / "solution" / "better_heuristic.py")
Choose = Callable[[Any], tuple[int, bool]]


class Desk:
    """Grades heuristics given as text, for one test."""

    def __init__(self, interpreter: Path, folder: Path) -> None:
        """Keep submissions and gradings under a folder."""
        self._interpreter = interpreter
        self._folder = folder
        self._numbers = count()

    def grade(self, heuristic: str, **options: Any) -> Verdict:
        """Grade a heuristic.py with this text."""
        number = next(self._numbers)
        submission = self._folder / f"submission-{number}"
        submission.mkdir()
        submission.joinpath("heuristic.py").write_text(heuristic, encoding="utf-8")
        return graded(self._interpreter, self._folder / f"grading-{number}", TASK, submission, **options)


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that can import the grading files."""
    return grading_interpreter(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def desk(interpreter: Path, tmp_path: Path) -> Desk:
    """Where heuristics are graded."""
    return Desk(interpreter, tmp_path)


def solved(instance: Any, choose: Choose) -> tuple[bool, int]:
    """Return whether a formula can be satisfied, and after how many decisions the solver knew."""
    search = grader.Search(*instance)
    steps, choice, decisions = search.steps(), None, 0
    while True:
        try:
            steps.send(choice)
        except StopIteration as end:
            return end.value, decisions
        choice = choose(search)
        decisions += 1


def with_heuristic(heuristic: Callable[..., Any], instance: Any) -> Choose:
    """Return a choice by a heuristic that gets its arguments from the player's own code."""
    view = player.Instance(instance.variables, [list(clause) for clause in instance.clauses])

    def choose(search: Any) -> tuple[int, bool]:
        _, levels, conflicts = grader.query(0, search)
        choice: tuple[int, bool] = player.plain_choice(heuristic(*view.arguments(levels, conflicts)))
        return choice

    return choose


def can_be_satisfied(instance: Any) -> bool:
    """Try all assignments."""
    return any(
        all(any(values[abs(literal) - 1] == (literal > 0) for literal in clause) for clause in instance.clauses)
        for values in product((False, True), repeat=instance.variables)
    )


def test_the_solver_is_right_whatever_is_chosen() -> None:
    """Chance, the starter and the better heuristic get the answer that trying everything gives."""
    draws = random.Random(3)
    for instance in grader.easy_instances(draws, 2):
        expected = can_be_satisfied(instance)

        def by_chance(search: Any, variables: int = instance.variables) -> tuple[int, bool]:
            return draws.choice([*filter(search.is_open, range(1, variables + 1))]), draws.random() < 0.5

        assert solved(instance, by_chance)[0] == expected
        for heuristic in (starter.heuristic_fn, better.heuristic_fn):
            assert solved(instance, with_heuristic(heuristic, instance))[0] == expected


def test_the_starter_takes_the_published_number_of_decisions() -> None:
    """MLGym's recorded runs of the starter took 86,097 decisions for 24,000 formulas, of which 10,278 can be satisfied."""
    answers = [
        solved(instance, with_heuristic(starter.heuristic_fn, instance))
        for instance in grader.easy_instances(random.Random(1), 30)
    ]
    assert len(answers) == 2_400
    assert sum(decisions for _, decisions in answers) * 10 == pytest.approx(86_097, rel=0.02)
    assert sum(satisfied for satisfied, _ in answers) * 10 == pytest.approx(10_278, rel=0.06)


def test_formulas_are_of_the_sizes_that_are_told() -> None:
    """Each size and ratio comes equally often, and every clause has three different variables."""
    draws = random.Random(1)
    easy, hard = grader.easy_instances(draws, 10), grader.hard_instances(draws, 10)
    assert (len(easy), len(hard)) == (800, 60)
    assert {len(i.clauses) / i.variables for i in easy} == set(range(2, 12)) and {i.variables for i in easy} == set(range(3, 11))
    assert all(len(i.clauses) == round(4.26 * i.variables) for i in hard)
    for instance in easy + hard:
        assert all(len({*map(abs, clause)}) == 3 for clause in instance.clauses)
        assert all(1 <= abs(literal) <= instance.variables for clause in instance.clauses for literal in clause)


def test_the_heuristic_sees_the_search_as_it_is() -> None:
    """What it is handed agrees with itself, has no clause that is satisfied, and is a copy."""
    instance = grader.hard_instances(random.Random(1), 1)[0]
    seen = []

    def heuristic(clauses: Any, assignments: Any, conflict_count: Any, assignment_history: Any, level: Any) -> tuple[int, bool]:
        true = {variable if value else -variable for variable, value in assignments.items()}
        assert clauses == [list(clause) for clause in instance.clauses if true.isdisjoint(clause)]
        assert [variable for variables in level for variable in variables] == assignment_history == list(assignments)
        assert all(level) and list(conflict_count) == list(range(1, instance.variables + 1))
        assert all(sum(-literal in true for literal in clause) < 2 for clause in clauses), "a unit was not propagated"
        seen.append(sum(conflict_count.values()))
        variable = next(abs(literal) for clause in clauses for literal in clause if abs(literal) not in assignments)
        for thing in (clauses[0], clauses, assignments, conflict_count, assignment_history, level):
            thing.clear()
        return variable, True

    answer, decisions = solved(instance, with_heuristic(heuristic, instance))
    assert decisions == len(seen) and seen == sorted(seen) and (answer or seen[-1] > 0)


def test_the_starter_and_the_better_heuristic_cost_what_the_page_says(desk: Desk) -> None:
    """A mini grading gives the starter the stated baseline and the better heuristic far less."""
    baseline = desk.grade((TASK / "environment" / "heuristic.py").read_text(encoding="utf-8"))
    improved = desk.grade((TASK / "solution" / "better_heuristic.py").read_text(encoding="utf-8"))
    assert baseline.reward is not None and improved.reward is not None, (baseline.stderr, improved.stderr)
    assert baseline.reward["Cost"] == pytest.approx(27.0, abs=7)
    assert improved.reward["Cost"] == pytest.approx(7.2, abs=1)
    for reward in (baseline.reward, improved.reward):
        assert reward["Cost"] == pytest.approx((reward["Easy_decisions"] * reward["Hard_decisions"]) ** 0.5)
        assert reward["instances"] == 860 and 0 < reward["Cost_standard_error"] < 0.1 * reward["Cost"] and reward["Time"] > 0


def test_seed_and_split_settle_the_cost(desk: Desk) -> None:
    """The same seed and split give the same cost, another seed or split another one."""
    text = (TASK / "solution" / "better_heuristic.py").read_text(encoding="utf-8")
    verdicts = [desk.grade(text), desk.grade(text), desk.grade(text, seed=SEED + 1), desk.grade(text, split="dev")]
    costs = [verdict.reward and verdict.reward["Cost"] for verdict in verdicts]
    assert costs[0] == costs[1] and len(set(costs)) == 3


def test_numpys_kinds_are_choices(desk: Desk) -> None:
    """Numpy's whole numbers and truth values cost what plain ones cost."""
    text = (TASK / "solution" / "better_heuristic.py").read_text(encoding="utf-8")
    wrapped = f"{text}\nimport numpy\n\nplain = heuristic_fn\n\ndef heuristic_fn(*a):\n    v, s = plain(*a)\n    return "
    numbers, plain = desk.grade(wrapped + "numpy.array([numpy.int8(v), 7])[0], numpy.bool_(s)"), desk.grade(text)
    assert numbers.reward is not None and plain.reward is not None, numbers.rejection
    assert numbers.reward["Cost"] == plain.reward["Cost"]


@pytest.mark.parametrize(
    ("heuristic", "shown"),
    [
        ("def heuristic_fn(clauses:", "SyntaxError"),
        ("x = 1", "heuristic_fn"),
        ("import os\nos._exit(0)", "ended before it had answered"),
        ("def heuristic_fn(*a):\n    return None", "heuristic_fn returned None, expected a pair"),
        ("def heuristic_fn(*a):\n    return 1", "heuristic_fn returned 1, expected a pair"),
        ("def heuristic_fn(*a):\n    return 1, 1", "heuristic_fn returned (1, 1), expected a pair"),
        ("def heuristic_fn(*a):\n    return 99, True", "chose variable 99 of a formula with the variables 1 to 3"),
        ("def heuristic_fn(*a):\n    return next(iter(a[1]), 1), True", "it has a value already"),
        ("def heuristic_fn(*a):\n    return 1 / len(a[1])", "ZeroDivisionError"),
    ],
)
def test_a_broken_heuristic_is_told_what_is_wrong(desk: Desk, heuristic: str, shown: str) -> None:
    """A heuristic that cannot be used is rejected, with what Python or the judge said about it."""
    verdict = desk.grade(heuristic)
    assert (verdict.status, verdict.reward) == (65, None), verdict.stderr
    assert verdict.rejection is not None and shown in verdict.rejection


@pytest.mark.parametrize(
    "choice",
    [[0, True], [-1, True], [4, True], [10**400, True], [True, True], [1, 1], [1.0, True], [1], None, "ab", {}, [2, False]],
)
def test_the_judge_itself_refuses_what_cannot_be_chosen(choice: object) -> None:
    """Whatever the player process may send, only a variable without a value and a truth value count."""
    search = grader.Search(3, [(1, 2, 3)])
    steps = search.steps()
    next(steps)
    steps.send((2, False))
    with pytest.raises(grader.Rejected, match="the heuristic chose"):
        grader.choices_of([choice], [search])


@pytest.mark.parametrize("answer", [{}, None, [], [[1, True]] * 2, "ab"])
def test_the_judge_wants_one_choice_for_each_formula(answer: object) -> None:
    """An answer of another shape or length is rejected."""
    with pytest.raises(grader.Rejected, match="expected a list of 1 choices"):
        grader.choices_of(answer, [grader.Search(3, [(1, 2, 3)])])


class Answering:
    """Stands in for the link: a player that always takes the last variable without a value."""

    def __init__(self) -> None:
        """Keep the time-outs of all exchanges."""
        self.timeouts: list[float] = []
        self.sizes: list[int] = []

    def ask(self, message: Any, timeout_seconds: float, *, reply_limit_bytes: int) -> object:
        """Return the choices."""
        self.timeouts.append(timeout_seconds)
        if "instances" in message:
            self.sizes = [variables for variables, _ in message["instances"]]
        choices = []
        for number, levels, _ in message["queries"]:
            taken = {abs(literal) for level in levels for literal in level}
            choices.append([max({*range(1, self.sizes[number] + 1)} - taken), True])
        return choices


def test_a_search_is_broken_off_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It then counts the penalty, and the others go on."""
    monkeypatch.setattr(grader, "DECISIONS_LIMIT", 5)
    instances = grader.easy_instances(random.Random(1), 1) + grader.hard_instances(random.Random(1), 1)
    tier = grader.solved(Answering(), instances, grader.Waiting(60.0))
    assert grader.DECISIONS_PENALTY in tier.decisions and min(tier.decisions) <= 3
    assert all(decisions <= 5 or decisions == grader.DECISIONS_PENALTY for decisions in tier.decisions)


def test_the_time_of_all_rounds_together_is_limited() -> None:
    """A round may take what is left, and without anything left the submission is rejected."""
    waiting, link = grader.Waiting(10.0), Answering()
    waiting.seconds = 9.0
    waiting.ask(link, {"instances": [], "queries": []})
    assert 0.9 < link.timeouts[0] <= 1.0
    waiting.seconds = 10.5
    with pytest.raises(grader.Rejected, match="more than 10 seconds in all"):
        waiting.ask(link, {"instances": [], "queries": []})


class InParity:
    """Stands in for the context of a grading that scores as the paper did."""

    variant, split, seed, parity = "mini", "test", SEED, True

    def player(self) -> Any:
        """Return a player that answers."""
        return nullcontext(Answering())


def test_parity_scores_the_published_tier_by_time() -> None:
    """Only the easy formulas are solved, and their time is given for 24,000 of them."""
    reward = grader.grade(InParity())
    assert set(reward) == {"Time", "Decisions", "instances"} and reward["instances"] == 800
    assert reward["Time"] > 0 and reward["Decisions"] > 800
