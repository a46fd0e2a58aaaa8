"""Runs a list of commands through SWE-ReX's local deployment; started by `mlgym` with SWE-ReX's own interpreter.

Reads commands.json in the folder named as the argument and writes seconds.txt there: from the deployment's start to the last
answer.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from swerex.deployment.local import LocalDeployment  # type: ignore[import-not-found]
from swerex.runtime.abstract import BashAction, CreateBashSessionRequest  # type: ignore[import-not-found]


async def run_commands(commands: list[str]) -> float:
    """The seconds it takes."""
    started = time.perf_counter()
    deployment = LocalDeployment()
    await deployment.start()
    await deployment.runtime.create_session(CreateBashSessionRequest())
    for command in commands:
        answer = await deployment.runtime.run_in_session(BashAction(command=command, check="silent"))
        assert answer.exit_code == 0, (command, answer)
    seconds = time.perf_counter() - started
    await deployment.stop()
    return seconds


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    os.chdir(folder)
    seconds = asyncio.run(run_commands(json.loads((folder / "commands.json").read_text(encoding="utf-8"))))
    (folder / "seconds.txt").write_text(str(seconds), encoding="ascii")
