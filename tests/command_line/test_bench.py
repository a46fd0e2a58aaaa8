"""`mlgym-lite bench` and `status`: episodes side by side, one failing alone, interrupted and killed and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program_harness import Ended, Program, running_with, wait_until

pytestmark = pytest.mark.kernel

PLAYER = """
import json, os, sys, time
for line in sys.stdin:
    said = json.loads(line)
    {before}
    print(json.dumps({{"action": "echo " + str(2 + said["steps"]) + " > answer.txt; submit"}}), flush=True)
"""


@pytest.fixture
def bench(working_folder: Path, make_task: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a bench file in a folder with an awkward name, beside two tiny tasks and players."""
    folder = working_folder / "my 'bench'"
    folder.mkdir()
    for name in ("one", "two"):
        make_task(name).rename(folder / name)

    def write(agents: str = '["./good.py"]', *, seeds: int = 2, further: str = "", **players: str) -> Path:
        for name, before in {"good": "pass", **players}.items():
            (folder / f"{name}.py").write_text(PLAYER.format(before=before), encoding="utf-8")
        file = folder / "b.toml"
        file.write_text(f'tasks = ["./one", "./two"]\nagents = {agents}\nseeds = {seeds}\n{further}', encoding="utf-8")
        return file

    return write


def counts(ended: Ended) -> dict[str, int]:
    """How many episodes are in each state."""
    content: dict[str, Any] = json.loads(ended.out)
    return {state: number for state, number in content["counts"].items() if number}


def tries(file: Path) -> list[str]:
    """Every try that was begun."""
    return sorted(str(path.relative_to(file.parent)) for path in file.parent.glob("b-results/**/try-*.log"))


def test_a_bench_runs_and_is_done(bench: Callable[..., Path], mlgym: Program) -> None:
    """Each episode has a result; a second time nothing is run; the status is the same."""
    file = bench('["./good.py", "baseline"]')
    shown = mlgym("bench", file, "--dry-run")
    assert shown.status == 0 and "8 episodes, 0 done" in shown.out and "$0.00 at most" in shown.out and tries(file) == []
    ended = mlgym("bench", file, "--workers", "2")
    assert ended.status == 0, ended.err
    assert "[8 done, 0 running, 0 to do, 0 failed]" in ended.err and "one, good, seed 1: Score 2 (best 2)" in ended.err
    assert "8 done, 0 running, 0 to do, 0 failed" in ended.out
    before = tries(file)
    assert len(before) == 8 and all(name.endswith("try-1.log") for name in before)
    again = mlgym("bench", file, "--json")
    assert (again.status, counts(again), tries(file)) == (0, {"done": 8}, before)
    assert counts(mlgym("status", file, "--json")) == {"done": 8}
    assert "2/2" in mlgym("status", file).out


def test_one_that_fails_harms_no_other(bench: Callable[..., Path], mlgym: Program) -> None:
    """A program that fails is told and not tried again; one whose engine is killed is tried again, twice at most."""
    killed = "os.kill(os.getppid(), 9)"
    file = bench(
        '["./good.py", "./bad.py", "./killer.py"]', seeds=1, further="attempts = 2\n", bad="raise SystemExit(3)", killer=killed
    )
    ended = mlgym("bench", file)
    assert ended.status == 19 and "4 episodes failed" in ended.err
    assert "failed: one, bad, seed 0" in ended.out and "exit status 3" in ended.out
    assert "killed by signal 9; it is tried again" in ended.err
    assert [name for name in tries(file) if "killer" in name and "/one/" in name] == [
        f"b-results/full/one/killer/seed-0/try-{number}.log" for number in (1, 2)
    ]
    again = mlgym("bench", file, "--json")
    assert again.status == 19 and counts(again) == {"done": 2, "failed": 4}
    assert len([name for name in tries(file) if "bad" in name]) == 2
    bench('["./good.py", "./bad.py", "./killer.py"]', seeds=1, further="attempts = 2\n", bad="pass", killer="pass")
    mended = mlgym("bench", file, "--again", "--json")
    assert (mended.status, counts(mended)) == (0, {"done": 6})


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_bench_goes_on(
    bench: Callable[..., Path], mlgym: Program, started: Callable[..., subprocess.Popen[str]], how: signal.Signals
) -> None:
    """Nothing outlives it; what was done is kept; what was on its way goes on behind its last finished step."""
    step = "print(json.dumps({'action': 'echo first >> log'}), flush=True); sys.stdin.readline(); time.sleep(600)"
    file = bench('["./slow.py"]', seeds=1, slow=f"said['task'] == 'two' and not said.get('before') and exec({step!r})")
    process = started("bench", file, "--workers", "2")
    results = file.parent / "b-results" / "full"
    run = results / "two" / "slow" / "seed-0" / "try-1"
    wait_until(lambda: list(results.glob("one/*/seed-0/try-1/result.json")), "the quick one is done")
    wait_until(lambda: (run / "trajectory.jsonl").exists() and (run / "trajectory.jsonl").read_text(), "a step of the slow one")
    assert counts(mlgym("status", file, "--json")) == {"done": 1, "running": 1}
    other = mlgym("bench", file)
    other.told_one_error(18, "another `mlgym-lite bench` is at work there")
    os.kill(process.pid, how)
    _, told = process.communicate(timeout=60)
    assert process.returncode == (130 if how != signal.SIGKILL else -signal.SIGKILL)
    assert ("the same command goes on" in told) == (how != signal.SIGKILL)
    wait_until(lambda: not running_with(str(file.parent)), "nothing of it runs any more")
    assert counts(mlgym("status", file, "--json")) == {"done": 1, "waiting": 1}
    ended = mlgym("bench", file, "--json")
    assert ended.status == 0 and counts(ended) == {"done": 2}
    assert len(tries(file)) == 2 and (run / "workspace" / "log").read_text() == "first\n"
    assert (run / "workspace" / "answer.txt").read_text() == "3\n" and (run / "resumptions.jsonl").is_file()


def test_what_cannot_go_on_is_begun_anew(
    bench: Callable[..., Path], mlgym: Program, started: Callable[..., subprocess.Popen[str]]
) -> None:
    """As where `mlgym-lite gc` has taken away what a killed episode needs."""
    file = bench('["./slow.py"]', seeds=1, slow="time.sleep(600)")
    process = started("bench", file, "--workers", "1")
    run = file.parent / "b-results" / "full" / "one" / "slow" / "seed-0" / "try-1"
    wait_until((run / ".state" / "venv").is_dir, "it is on its way")
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: not running_with(str(file.parent)), "nothing of it runs any more")
    shutil.rmtree(run / ".state" / "venv")
    bench('["./slow.py"]', seeds=1, slow="pass")
    ended = mlgym("bench", file, "--json")
    assert ended.status == 0 and counts(ended) == {"done": 2}
    assert [path.rpartition("/")[2] for path in tries(file) if "/one/" in path] == ["try-1.log", "try-2.log"]


def test_a_budget_is_not_gone_over(bench: Callable[..., Path], mlgym: Program) -> None:
    """An episode that could cost more than is left is not begun, and that is told."""
    agents = '["baseline", { agent = "react", models = ["openai/gpt-4o"], base_url = "http://127.0.0.1:9/v1" }]'
    file = bench(agents, seeds=1, further="[limits]\ncost_usd = 2.0\n[budget]\ncost_usd = 1.0\n")
    ended = mlgym("bench", file)
    assert ended.status == 19 and "2 episodes not begun" in ended.err
    assert "2 done, 0 running, 2 to do" in ended.out


def test_mistakes_are_told(bench: Callable[..., Path], mlgym: Program, working_folder: Path) -> None:
    """With the file and the key; a changed bench does not mix its results with others."""
    mlgym("bench", "none.toml").told_one_error(18, "none.toml")
    mlgym("status", working_folder).told_one_error(18)
    file = bench(further="[limits]\nmax_step = 2\n")
    mlgym("bench", file).told_one_error(18, "limits.max_step", "did you mean 'max_steps'?")
    assert mlgym("bench", bench(seeds=1)).status == 0
    mlgym("bench", bench(seeds=1, further="[limits]\nmax_steps = 2\n")).told_one_error(18, "with --max-steps=2", "another output")
