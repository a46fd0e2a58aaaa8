"""A workspace as MLGym has it, and its evaluator started in it the way MLGym starts it.

As the player's program it takes the task's own files from the judge, lays the submission beside them and runs the evaluator;
everything in this process and below it is the submission's to change. The judge uses the same class for evaluators that meet
no code of the agent's.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

MLGYM_WORKSPACE = "/home/agent/workspace"
MOST_CHARACTERS = 200_000


@dataclass(frozen=True)
class Ended:
    """How the evaluator ended."""

    status: int
    output: str
    errors: str
    problem: str = ""
    """Why it could not be started or did not end."""


class Workspace:
    """Made for one evaluation, at MLGym's own path where this host shows the home folder there."""

    def __init__(self, home: str | None) -> None:
        self.folder = Path(home or tempfile.mkdtemp(), "workspace")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._own: set[str] = set()

    def put(self, name: str, data: bytes) -> None:
        """Add data to one of the task's own files."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab" if name in self._own else "wb") as file:
            file.write(self._located(name, data))
        self._own.add(name)

    def put_file(self, name: str, source: Path) -> None:
        """Show one of the task's own files, without a copy where its text does not matter."""
        if name.endswith(".py"):
            self.put(name, source.read_bytes())
            return
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(source)
        self._own.add(name)

    def lay(self, submission: Path) -> None:
        """Lay the submission beside the task's own files, which stay as they are."""
        for source in sorted(submission.rglob("*")):
            name = source.relative_to(submission).as_posix()
            path = self.folder / name
            if "__pycache__" in PurePosixPath(name).parts or path.exists() or not source.is_file():
                continue
            with contextlib.suppress(FileExistsError, NotADirectoryError):  # a file where the task has a folder
                path.parent.mkdir(parents=True, exist_ok=True)
                if name.endswith(".py") and str(self.folder) != MLGYM_WORKSPACE:
                    path.write_bytes(self._located(name, source.read_bytes()))
                else:
                    path.symlink_to(source)

    def evaluate(self, settings: dict[str, Any]) -> Ended:
        """Run the evaluator as MLGym does for this kind of task."""
        words: list[str] = [settings["evaluator"]]
        variables: dict[str, str] = {}
        if settings["kind"] == "csv":
            if not (self.folder / "submission.csv").is_file():
                return Ended(0, "", "", "there is no submission.csv")
            words += ["--submission_file", str(self.folder / "submission.csv")]
        elif settings["kind"] == "model":
            config = self._newest_config(set(settings["starter_files"]))
            if config is None:
                return Ended(0, "", "", "there is no .yaml file that describes a model")
            words += ["--config_fname", str(config)]
        elif settings["kind"] == "lm":
            words, variables = _distributed(words)
        command = [sys.executable, *words]
        try:
            result = subprocess.run(
                command, cwd=self.folder, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, capture_output=True,
                timeout=settings["timeout_seconds"],
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Ended(0, "", "", f"the evaluator did not end within {settings['timeout_seconds']} s")
        return Ended(result.returncode, _text(result.stdout), _text(result.stderr))

    def _newest_config(self, starter_files: set[str]) -> Path | None:
        """The model's description; MLGym takes whichever `find` lists first, here one the agent wrote comes first."""
        found = [path for path in self.folder.rglob("*.yaml") if path.is_file()]
        names = {path: path.relative_to(self.folder).as_posix() for path in found}
        return min(found, key=lambda path: (names[path] in starter_files, len(path.parts), names[path]), default=None)

    def _located(self, name: str, data: bytes) -> bytes:
        """Code that names MLGym's workspace, with the folder it is in."""
        if name.endswith(".py") and str(self.folder) != MLGYM_WORKSPACE:
            return data.replace(MLGYM_WORKSPACE.encode(), str(self.folder).encode())
        return data


def _distributed(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """What torchrun does: one process for each GPU, or one that is told that it is alone."""
    gpus = [word for word in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if word]
    if len(gpus) > 1:
        return ["-m", "torch.distributed.run", f"--nproc_per_node={len(gpus)}", "--standalone", *words], {}
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
    return words, {**alone, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")[:MOST_CHARACTERS]


def main() -> None:
    """Serve the judge."""
    from mlgym_player import serve  # type: ignore[import-not-found]

    submission = Path.cwd()
    workspace = Workspace(os.environ.get("HOME"))

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        if "put" in message:
            workspace.put(message["put"], message["data"])
            return {}
        workspace.lay(submission)
        return asdict(workspace.evaluate(message["evaluate"]))

    serve(answer)


if __name__ == "__main__":
    main()
