"""The run directory: never overwritten, whole lines only, and what is written stays readable when the disk is full."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlgym_lite.episode.recorder import RunDirectory, new_run_path
from mlgym_lite.errors import EpisodeStateError, OutputError


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    """A run directory of its own."""
    directory = RunDirectory(tmp_path / "run")
    yield directory
    directory.close()


def _lines(run: RunDirectory) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run.path / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()]


def test_an_existing_directory_is_never_written(tmp_path: Path) -> None:
    """A run directory that exists is refused, and nothing in it changes."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_text("{}", encoding="utf-8")
    with pytest.raises(OutputError, match="already exists"):
        RunDirectory(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["result.json"]


def test_a_run_directory_is_private(run: RunDirectory) -> None:
    """Nobody but the engine's user may enter a run directory."""
    assert run.path.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_is_told(tmp_path: Path) -> None:
    """A place that cannot be written is an OutputError with its path."""
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="Permission denied"):
            RunDirectory(tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


def test_a_parent_that_is_a_file_is_told_as_that(tmp_path: Path) -> None:
    """A file in the place of a folder above the run directory is not told as an existing run."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError) as caught:
        RunDirectory(tmp_path / "file" / "run")
    assert "already exists" not in str(caught.value)


def test_only_one_goes_on_with_an_episode(run: RunDirectory) -> None:
    """A second process is refused, while the first one is at it and after it."""
    run.append_step({"step": 1})
    with pytest.raises(EpisodeStateError, match="still goes on"):
        RunDirectory(run.path, finished_steps=1)
    run.close()
    again = RunDirectory(run.path, finished_steps=1)
    again.append_step({"step": 2})
    again.close()
    with pytest.raises(EpisodeStateError, match="has gone on with this episode meanwhile"):
        RunDirectory(run.path, finished_steps=1)
    last = RunDirectory(run.path, finished_steps=2)
    last.write_result({})
    last.close()
    with pytest.raises(EpisodeStateError, match="has gone on with this episode meanwhile"):
        RunDirectory(run.path, finished_steps=2)


@pytest.mark.parametrize(("left", "steps"), [('{"step": 1}\n{"st', 1), ('{"step": 1}', 1), ("", 0), ('{"st', 0)])
def test_a_line_that_was_being_written_goes_and_a_whole_one_stays(run: RunDirectory, left: str, steps: int) -> None:
    """Also where only its end is missing."""
    run.close()
    (run.path / "trajectory.jsonl").write_text(left, encoding="utf-8")
    again = RunDirectory(run.path, finished_steps=steps)
    again.append_step({"step": steps + 1})
    again.close()
    assert [line["step"] for line in _lines(run)] == [*range(1, steps + 2)]


def test_a_step_is_on_disk_as_soon_as_it_is_appended(run: RunDirectory) -> None:
    """Another reader sees a step before the next begins."""
    for number in range(3):
        run.append_step({"step": number})
        assert len(_lines(run)) == number + 1


@pytest.mark.parametrize("text", ["a\nb\u2028c\r", "\x1b[31m", "é🙂", "\ud800", "\0"])
def test_any_text_is_one_line_and_comes_back_exactly(run: RunDirectory, text: str) -> None:
    """Control characters, line ends and halves of characters survive the trajectory, one line a step."""
    run.append_step({"step": 1, "observation": text})
    data = (run.path / "trajectory.jsonl").read_bytes()
    assert data.count(b"\n") == 1
    assert json.loads(data)["observation"] == text


def test_the_result_is_written_whole_or_not_at_all(run: RunDirectory) -> None:
    """A result that cannot be turned to JSON leaves no result.json."""
    with pytest.raises(TypeError):
        run.write_result({"score": object()})
    assert not (run.path / "result.json").exists()
    run.write_result({"score": 1})
    assert json.loads((run.path / "result.json").read_text(encoding="utf-8")) == {"score": 1}


def test_closing_twice_is_harmless(run: RunDirectory) -> None:
    """A closed run directory may be closed again."""
    run.close()
    run.close()


def test_names_of_runs_differ_and_hold_no_slash(tmp_path: Path) -> None:
    """Two runs of the same second have different directories, right below the folder of runs."""
    paths = {new_run_path(tmp_path, "a/b", "full", "api") for _ in range(20)}
    assert len(paths) == 20
    assert all(path.parent == tmp_path for path in paths)


FULL = """
import resource, signal, sys
from pathlib import Path
from mlgym_lite.episode.recorder import RunDirectory
from mlgym_lite.errors import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run = RunDirectory(Path(sys.argv[1]) / "run")
run.write_run({"task": "t"})
run.append_step({"step": 1, "observation": "first"})
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
for size in (5000, 100, 5000):
    try:
        run.append_step({"step": size, "observation": "x" * size})
    except OutputError as error:
        print(error)
try:
    run.write_result({"score": "x" * 5000})
except OutputError as error:
    print(error)
"""


def test_a_line_that_does_not_fit_leaves_the_earlier_ones_readable(tmp_path: Path) -> None:
    """Where a write fails halfway, nothing of that step stays, and shorter steps can still be written after it."""
    result = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    lines = (tmp_path / "run" / "trajectory.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 100]
    told = result.stdout.splitlines()
    assert len(told) == 3
    assert "step 5000 cannot be written" in told[0] and "Steps before it are kept" in told[0]
    assert "result.json: cannot be written" in told[2]
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")) == [".state"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_leaves_the_earlier_lines_readable(tmp_path: Path) -> None:
    """On a full file system the steps before stay whole, and the error names the file and the reason."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this root may not mount")
    try:
        directory = RunDirectory(tmp_path / "run")
        directory.append_step({"step": 1})
        with pytest.raises(OutputError, match=r"trajectory\.jsonl: step 2 cannot be written: No space left on device"):
            directory.append_step({"step": 2, "observation": "x" * 100_000})
        assert [line["step"] for line in _lines(directory)] == [1]
        directory.close()
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_the_limits_of_this_process_are_untouched() -> None:
    """The tests above set limits in processes of their own only."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4000
    assert signal.getsignal(signal.SIGXFSZ) is not None
