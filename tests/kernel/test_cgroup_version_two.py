"""Control groups version 2, for real: a user-mode Linux kernel runs an episode on this machine's own files.

The kernel is a program of its own (Debian's package user-mode-linux), needs no rights, and mounts a fresh version 2 hierarchy,
of which the user who runs the tests gets a part of their own.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_task import TASK_TOML

INIT = """\
#!/bin/sh
if [ "$$" = 1 ]; then
  mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /dev/shm
  mount -t cgroup2 none /sys/fs/cgroup; echo "+memory +pids +cpu" > /sys/fs/cgroup/cgroup.subtree_control
  (sh -c "$(tr ' ' '\\n' < /proc/cmdline | sed -n 's/^ucmd=//p' | base64 -d)")
  echo o > /proc/sysrq-trigger; read never < /dev/zero
fi
exec linux.uml mem=1024M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$0" ucmd="$1" con=null con0=fd:0,fd:1 quiet
"""

DELEGATE = """\
mkdir /sys/fs/cgroup/user; chown -R {user} /sys/fs/cgroup/user; echo $$ > /sys/fs/cgroup/user/cgroup.procs
chown {user} /sys/fs/cgroup/cgroup.procs; exec setpriv --reuid {user} --regid {group} --clear-groups"""

EPISODE = """\
FORKS = (
    "python3 -c 'import os, signal, time\\nstarted = []\\ntry:\\n  while len(started) < 200:\\n    child = os.fork()\\n"
    "    if not child: time.sleep(60)\\n    started.append(child)\\n"
    "except OSError as error: print(len(started), error.strerror)\\n"
    "for child in started: os.kill(child, 9)'"
)
import json, os, sys
from pathlib import Path
import mlgym_lite
from mlgym_lite.config.run_settings import RunSettings
task, output = sys.argv[1:]
profile = Path(output).with_suffix(".toml")
profile.write_text("processes = 40")
settings = RunSettings(output=Path(output), profile=str(profile))
with mlgym_lite.Episode(mlgym_lite.load_task(task), settings=settings) as episode:
    told = episode.step("head -c 200M /dev/zero | tail -c 150M | wc -c; echo survived").observation
    group = episode.step("cat /proc/self/cgroup").observation
    folder, = Path("/sys/fs/cgroup").glob("**/mlgym-lite-[0-9]*")
    forks = episode.step(FORKS).observation
    killed = episode.step("sleep 60 & kill -9 $!; wait $!; sh -c 'kill -9 $$'")
    episode.step("timeout 2 sh -c 'while :; do :; done'")
    files = {name: (folder / name).read_text() for name in ("pids.max", "pids.events", "cpu.max", "cpu.stat")}
    outcome = episode.submit()
left = [str(path) for path in Path("/sys/fs/cgroup").glob("**/mlgym-lite-[0-9]*")]
report = {"forks": forks, "killed": [killed.exit_status, killed.observation], "files": files}
report |= {"told": told, "group": group, "result": dict(outcome.result), "left": left}
Path(output, "report.json").write_text(json.dumps(report))
"""


@pytest.mark.kernel
def test_version_two_groups_keep_each_limit_and_leave_nothing(make_task: Callable[..., Path], tmp_path: Path) -> None:
    """Under version 2, memory, processes and CPUs are limited, only memory is called memory, and nothing is left at the end."""
    if shutil.which("linux.uml") is None:
        if "uml" in os.environ.get("MLGYM_LITE_REQUIRE", "").split(","):
            pytest.fail("MLGYM_LITE_REQUIRE names uml, but there is no linux.uml")
        pytest.skip("no linux.uml: install user-mode-linux")
    task = make_task(toml=TASK_TOML.replace("memory_mb = 512", "memory_mb = 64\ncpus = 0.5"))
    init, program = tmp_path / "init", tmp_path / "episode.py"
    init.write_text(INIT, encoding="utf-8")
    init.chmod(0o755)
    program.write_text(EPISODE, encoding="utf-8")
    variables = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "MLGYM_LITE_CACHE": str(tmp_path / "cache")}
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    words = shlex.join([sys.executable, str(program), str(task), str(tmp_path / "run")])
    command = f"{DELEGATE.format(user=os.getuid(), group=os.getgid())} env {settings} {words}"
    arguments = [str(init), base64.b64encode(command.encode()).decode()]
    subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=150, check=False)
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["result"]["isolation"]["limits"] == "cgroup-v2"
    assert "Killed for memory" in report["told"]
    assert "the limit is 64 MiB, the peak was 64 MiB" in report["told"]
    assert "survived" in report["told"]
    assert "mlgym-lite-" in report["group"]
    started, _, reason = report["forks"].partition(" ")
    assert reason == "Resource temporarily unavailable\n"
    assert 20 < int(started) < 40
    counters = {name: dict(line.split() for line in report["files"][name].splitlines()) for name in ("pids.events", "cpu.stat")}
    assert report["files"]["pids.max"] == "40\n"
    assert int(counters["pids.events"]["max"]) > 0
    assert report["files"]["cpu.max"] == "50000 100000\n"
    assert int(counters["cpu.stat"]["nr_throttled"]) > 0
    assert report["killed"][0] == 137
    assert "memory" not in report["killed"][1]
    assert report["result"]["score"]["value"] == 0.5
    assert report["left"] == []
