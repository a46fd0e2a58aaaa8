"""A bench of a fixed scripted episode on two mini tasks, 1, 2, 4, 16 and 64 at once: what a slot spends beside the commands.

With N at once a bench has N slots. What they spend on an episode is N times the wall time of the whole command, divided by the
episodes; what of it is the commands' own is the time that the record says commands and gradings took. The rest is ours: the
bench, Python's start, sandboxes, environments, the record.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.measuring import Bench, check
from benchmarks.table import Row

AT_ONCE = (1, 2, 4, 16, 64)
QUICK = (2, 4)
JUDGED, ALLOWED_SHARE = 2, 0.10
_LEAST_EPISODES = 8
"""So that what a bench does once is shared among some."""
_TASKS = ("battle_of_sexes", "prisoners_dilemma")
_WORK = 'python -c "print(sum(number * number for number in range(20_000_000)))"'
_ACTIONS = ("ls; cat strategy.py", _WORK, _WORK, "sed -i s/return/return/ strategy.py; validate", _WORK, _WORK, _WORK, "submit")
_PLAYER = f"""
import json, sys
for action in {list(_ACTIONS)!r}:
    sys.stdin.readline()
    print(json.dumps({{"action": action}}), flush=True)
"""


def run(bench: Bench) -> list[Row]:
    """Run a bench for each number at once."""
    return [row for number in (QUICK if bench.quick else AT_ONCE) for row in _rows(bench, number)]


def _rows(bench: Bench, at_once: int) -> Iterator[Row]:
    file = _bench_file(bench.new_path("scale"), max(at_once, _LEAST_EPISODES) // len(_TASKS))
    started = time.perf_counter()
    command = [sys.executable, "-m", "mlgym_lite", "bench", str(file), "--json", "--workers", str(at_once)]
    ended = subprocess.run(command, env=bench.environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    check(ended.returncode, 0, f"mlgym-lite bench: {ended.stderr[-500:]}")
    results = [_result(episode) for episode in json.loads(ended.stdout)["episodes"]]
    own = sum(result["seconds"]["commands"] + result["seconds"]["grading"] for result in results)
    slots, count = min(at_once, len(results)), len(results)
    yield Row(
        benchmark="scale", what=f"{at_once} at once: a slot's seconds an episode : the commands'", ours=slots * seconds / count,
        other=own / count, allowed=1 / (1 - ALLOWED_SHARE) if at_once == JUDGED else None,
        note=f"{count} episodes, {60 * count / seconds:.1f} a minute; beside the commands {1 - own / (slots * seconds):.1%}",
    )  # fmt: skip


def _result(episode: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(Path(episode["run_directory"], "result.json").read_text(encoding="utf-8"))
    found = (result["steps"], result["ending"]["reason"], result["validations_used"], result["score"] is not None)
    check(found, (len(_ACTIONS), "submitted", 1, True), episode["run_directory"])
    return result


def _bench_file(folder: Path, seeds: int) -> Path:
    folder.mkdir()
    (folder / "player.py").write_text(_PLAYER, encoding="utf-8")
    file = folder / "bench.toml"
    file.write_text(
        f'tasks = {json.dumps(_TASKS)}\nagents = ["./player.py"]\nseeds = {seeds}\nvariant = "mini"\n', encoding="utf-8"
    )
    return file
