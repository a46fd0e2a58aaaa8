"""Bench files and their plans: every combination, its folder, its command, what it can cost, and mistakes told at once."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlgym_lite.benchmark.plan import Plan, plan_bench, write_plan
from mlgym_lite.benchmark.tries import begin_try, check_command, end_try, standing_of
from mlgym_lite.config.bench_file import BenchFile
from mlgym_lite.config.toml_errors import parse
from mlgym_lite.errors import BenchError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture
def plan(make_task: Callable[..., Path], tmp_path: Path) -> Callable[[str], Plan]:
    """Plans a bench file beside two tasks and a program."""
    make_task("one")
    make_task("two")
    (tmp_path / "player.py").write_text("")

    def read(text: str) -> Plan:
        file = tmp_path / "bench.toml"
        file.write_text(text, encoding="utf-8")
        return plan_bench(file)

    return read


def test_every_combination_is_an_episode(plan: Callable[[str], Plan], tmp_path: Path) -> None:
    """Tasks by agents by models by seeds; agents that ask no model stand once; the first seeds of all come first."""
    made = plan(
        'tasks = ["./one", "./two"]\nagents = ["baseline", "react", { agent = "./player.py", models = ["x"] }]\n'
        'models = ["openai/gpt-4o", "ollama/llama3:8b"]\nseeds = 2\nvariant = "mini"\n[limits]\ncost_usd = 0.5\nmax_steps = 7\n'
    )
    assert len(made.episodes) == 2 * (1 + 2 + 1) * 2
    assert [episode.folder for episode in made.episodes[:4]] == [
        "mini/one/baseline/seed-0", "mini/one/react=openai_gpt-4o/seed-0",
        next(one.folder for one in made.episodes if one.model == "ollama/llama3:8b"), "mini/one/player=x/seed-0",
    ]  # fmt: skip
    assert [episode.seed for episode in made.episodes] == [0] * 8 + [1] * 8
    react = made.episodes[1]
    assert react.arguments == (
        str(tmp_path / "one"), "--agent=react", "--variant=mini", "--seed=0", "--max-steps=7", "--model=openai/gpt-4o",
        "--cost-limit=0.5",
    )  # fmt: skip
    assert (react.most_cost, made.episodes[0].most_cost, made.most_cost) == (0.5, 0.0, 2 * 2 * 3 * 0.5)
    assert (react.most_seconds, react.memory_bytes) == (120.0, 512 << 20)
    write_plan(made)
    content = json.loads((tmp_path / "bench-results" / "plan.json").read_text(encoding="utf-8"))
    assert content["episodes"][1] == {
        "task": "one", "agent": "react", "model": "openai/gpt-4o", "seed": 0, "folder": "mini/one/react=openai_gpt-4o/seed-0",
    }  # fmt: skip


def test_folder_names_are_safe_and_stay_apart(plan: Callable[[str], Plan]) -> None:
    """Whatever a model is called."""
    made = plan('tasks = ["./one"]\nagents = ["react"]\nmodels = ["a/../b c", "a/../b:c", "..", "x\u202e\\n"]\n')
    folders = [episode.folder for episode in made.episodes]
    assert len(set(folders)) == 4
    for folder in folders:
        assert folder.isascii() and " " not in folder and ".." not in folder.split("/")


def test_without_a_limit_the_cost_is_not_bounded(plan: Callable[[str], Plan]) -> None:
    """And a budget of the whole needs a limit of each."""
    assert plan('tasks = ["./one"]\nagents = ["react"]\nmodels = ["m"]\n').most_cost is None
    with pytest.raises(BenchError, match=r"budget\.cost_usd: needs limits\.cost_usd"):
        plan('tasks = ["./one"]\nagents = ["react"]\nmodels = ["m"]\n[budget]\ncost_usd = 5.0\n')


def test_all_mistakes_are_told_at_once(plan: Callable[[str], Plan]) -> None:
    """In the file; then in what it names."""
    with pytest.raises(BenchError) as told:
        plan('task = ["./one"]\nagents = []\nseeds = -1\nvariant = "tiny"\n')
    for words in ("did you mean 'tasks'?", "agents: expected at least", "seeds: expected", "variant: expected"):
        assert words in str(told.value), told.value
    with pytest.raises(BenchError) as told:
        plan('tasks = ["./three", "./one"]\nagents = ["reakt", "react", "./none.toml"]\n')
    for words in ("/three", "reakt: no such agent", "react: asks a model, and none is named", "none.toml: cannot be read"):
        assert words in str(told.value), told.value


def test_two_agents_of_one_name_are_refused(plan: Callable[[str], Plan], tmp_path: Path) -> None:
    """Their results would lie in one folder."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "player.py").write_text("")
    with pytest.raises(BenchError, match="two tasks or agents of one name"):
        plan('tasks = ["./one"]\nagents = ["./player.py", "./other/player.py"]\n')


def test_result_files_tell_how_an_episode_stands(plan: Callable[[str], Plan], tmp_path: Path) -> None:
    """Waiting, running, done; killed and failed ones are tried again while what failed can pass."""
    made = plan('tasks = ["./one"]\nagents = ["baseline"]\nattempts = 2\n')
    episode = made.episodes[0]
    folder = made.results / episode.folder

    def ended(number: int, status: int, reason: str | None = None, can_pass: bool = False) -> None:
        if reason is not None:
            ending = {"reason": reason, "detail": "why", "can_pass": can_pass}
            (folder / f"try-{number}").mkdir()
            (folder / f"try-{number}" / "result.json").write_text(json.dumps({"ending": ending, "usage": {"cost_usd": 0.25}}))
        end_try(folder, number, status)

    def state(**options: bool) -> tuple[str, int]:
        standing = standing_of(folder, made.bench.attempts, **options)
        return standing.state, standing.tries

    assert state() == ("waiting", 0)
    number, command = begin_try(made.results, episode)
    assert number == 1 and command[-1] == f"--output={folder / 'try-1'}" and command[3] == "run"
    assert state(is_running=True) == ("running", 1) and state() == ("waiting", 1), "else it was killed with its machine"
    ended(1, 137)
    assert state() == ("waiting", 1) and "signal 9" in standing_of(folder, 2).why
    begin_try(made.results, episode)
    ended(2, 130, "interrupted", can_pass=True)
    assert state() == ("waiting", 2), "an interruption is no try that failed"
    begin_try(made.results, episode)
    ended(3, 12, "sandbox_error", can_pass=True)
    assert state() == ("failed", 3) and standing_of(folder, 2).cost == 0.5
    assert standing_of(folder, 3).state == "waiting"
    begin_try(made.results, episode)
    ended(4, 0, "submitted")
    assert state() == ("done", 4)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"ending": 1}', '{"ending": {"reason": 1}, "usage": 3}', '{"ending": {}}']
)
def test_a_result_that_cannot_be_read_is_told(plan: Callable[[str], Plan], content: str) -> None:
    """And may come out otherwise the next time."""
    made = plan('tasks = ["./one"]\nagents = ["baseline"]\n')
    folder = made.results / made.episodes[0].folder
    begin_try(made.results, made.episodes[0])
    (folder / "try-1").mkdir()
    (folder / "try-1" / "result.json").write_text(content)
    end_try(folder, 1, 0)
    standing = standing_of(folder, 3)
    assert standing.state == "waiting" and standing.why == f"{folder / 'try-1' / 'result.json'}: cannot be read"


def test_what_cannot_pass_is_not_tried_again(plan: Callable[[str], Plan]) -> None:
    """A command that never got to an episode tells its error."""
    made = plan('tasks = ["./one"]\nagents = ["baseline"]\n')
    folder = made.results / made.episodes[0].folder
    begin_try(made.results, made.episodes[0])
    (folder / "try-1.log").write_text("line\nmlgym-lite: error: no data here\nmore\n")
    end_try(folder, 1, 4)
    standing = standing_of(folder, 3)
    assert (standing.state, standing.why) == ("failed", "no data here")


def test_results_of_another_bench_are_not_mixed(plan: Callable[[str], Plan]) -> None:
    """What is different is told."""
    text = 'tasks = ["./one"]\nagents = ["baseline"]\n'
    made = plan(text)
    begin_try(made.results, made.episodes[0])
    again = plan(text + "[limits]\nmax_steps = 3\n")
    with pytest.raises(BenchError, match=r"now it would be with --max-steps=3"):
        check_command(again.results / again.episodes[0].folder, again.episodes[0])


def test_the_document_shows_the_defaults() -> None:
    """The bench file in docs/benches.md is one, and shows every key with its default."""
    document = Path(__file__).resolve().parents[2] / "docs" / "benches.md"
    first, second = re.findall(r"^```toml\n(.*?)^```", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    content = tomllib.loads(first)
    least = {key: content[key] for key in ("tasks", "agents")}
    shown = parse(BenchFile, content, "the document")
    assert shown == parse(BenchFile, least, "the document")
    everything = tomllib.loads(re.sub(r"^# (?=\w+ = )", "", first, flags=re.MULTILINE))
    assert set(everything) == set(BenchFile.model_fields)
    for table in ("limits", "budget", "options", "local", "slurm"):
        assert set(everything[table]) == set(type(getattr(shown, table)).model_fields), table
    parse(BenchFile, {**least, **tomllib.loads(second)}, "the document")


def test_a_bench_can_be_moved(plan: Callable[[str], Plan], tmp_path: Path) -> None:
    """What identifies an episode's command is neither where the bench lies nor where the shipped tasks are installed."""
    made = plan(
        'tasks = ["./one", "colonel_blotto"]\nagents = ["./player.py"]\nvariant = "mini"\n[options]\ndata = "/data/all"\n'
    )
    ours, shipped = made.episodes
    assert ours.identity == ("./one", "--agent=./player.py", "--variant=mini", "--seed=0", "--data=/data/all")
    assert shipped.identity[0] == "colonel_blotto" and Path(shipped.arguments[0]).is_absolute()
    begin_try(made.results, ours)
    check_command(made.results / ours.folder, replace(ours, arguments=("elsewhere", *ours.arguments[1:])))
    with pytest.raises(BenchError, match="with --seed=9"):
        check_command(made.results / ours.folder, replace(ours, identity=(*ours.identity, "--seed=9")))
