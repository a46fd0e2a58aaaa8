"""Preparing COCO's photographs keeps them with their captions, hides what is hidden, and goes on after a break.

The sources are small copies that tests write in the layouts people have; nothing is downloaded but the packages.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from grading_harness import TASKS
from preparing_harness import Preparer, preparing_python

TASK = TASKS / "coco_captioning"
SOURCES_PROGRAM = Path(__file__).with_name("caption_sources.py")
LOOK_PROGRAM = """
import json, sys
from pathlib import Path
from PIL import Image
found = {}
for path in sorted(Path(sys.argv[1]).rglob("*.jpg")):
    with Image.open(path) as image:
        corner = image.resize((1, 1), box=(4, 4, image.width // 2 - 8, image.height // 2 - 8)).getpixel((0, 0))
        kept = sorted(set(image.info) - {"jfif", "jfif_version", "jfif_unit", "jfif_density"})
        found[path.stem] = [image.mode, image.format, min(image.size), corner, kept]
print(json.dumps(found))
"""
READ_PROGRAM = """
import json, sys
from pathlib import Path
agent, starter = map(Path, sys.argv[1:])
sys.path.insert(0, str(starter))
import captions
rows = captions.read_lines(agent / "train.jsonl")
for side in (48, 224):
    pictures = captions.Pictures(agent, "train", rows, side).read(range(len(rows)))
    corners = pictures[:, :, side // 10, side // 10].tolist()
    print(json.dumps([pictures.shape, dict(zip((row["image_id"] for row in rows), corners))]))
"""
LAYOUTS = ("hub", "tables", "coco")
TRAIN, DEVELOPMENT, TEST = 30, 8, 10
FIRST_ID = 391_895

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python that prepare.py runs with."""
    return preparing_python(TASK, tmp_path_factory)


def copy_of(python: Path, folder: Path, layout: str, *, train: int = TRAIN) -> Path:
    """Write a source in a layout."""
    command = [python, SOURCES_PROGRAM, folder, layout, *map(str, (train, DEVELOPMENT, TEST))]
    subprocess.run(command, check=True, env=os.environ | {"HF_HOME": f"{folder}-hf"})
    return folder


@pytest.fixture(scope="module")
def sources(python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A source in each layout."""
    folder = tmp_path_factory.mktemp("sources")
    return {layout: copy_of(python, folder / layout, layout) for layout in LAYOUTS}


class TreePreparer(Preparer):
    """Tells what the two trees hold."""

    def trees(self, source: Path) -> Trees:
        """Prepare, which must work, and return what the two trees hold."""
        output, text, status = self.run(source)
        assert status == 0, text
        looked = subprocess.run([self.python, "-c", LOOK_PROGRAM, output], check=True, capture_output=True, text=True)
        agent, judge = output / "agent", output / "judge"
        return Trees(
            folder=output,
            train=rows_of(agent / "train.jsonl"),
            asked=[row["image_id"] for row in rows_of(agent / "test.jsonl")],
            hidden={split: rows_of(judge / f"{split}.jsonl") for split in ("dev", "test")},
            pictures=json.loads(looked.stdout),
        )


@dataclass(frozen=True, kw_only=True)
class Trees:
    """What the agent's and the judge's tree hold."""

    folder: Path
    train: list[dict[str, Any]]
    asked: list[str]
    hidden: dict[str, list[dict[str, Any]]]
    pictures: dict[str, list[Any]]
    """Mode, format, shorter side, colour of the corner and kept metadata of each photograph."""


@pytest.fixture
def preparer(python: Path, tmp_path: Path) -> TreePreparer:
    """What prepares a source."""
    return TreePreparer(python, TASK, tmp_path)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file with one JSON object a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def number_of(row: dict[str, Any]) -> int:
    """Return the photograph's number that a row's captions tell."""
    numbers = {int(text.split("thing ")[1].split()[0]) for text in row["captions"]}
    assert len(numbers) == 1 and len(row["captions"]) == 5
    return numbers.pop()


def levels_of(number: int) -> list[int]:
    """Return the colour levels that hold a number."""
    return [number // 49 % 7, number // 7 % 7, number % 7]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_photographs_stay_with_their_captions(layout: str, preparer: TreePreparer, sources: dict[str, Path]) -> None:
    """Every photograph of the source is in one split with its own captions, and the splits are the source's."""
    trees = preparer.trees(sources[layout])
    rows = {"train": trees.train, **trees.hidden}
    numbers = {split: sorted(number_of(row) for row in part) for split, part in rows.items()}
    assert numbers["train"] == list(range(TRAIN))
    if layout == "coco":  # its own split has two parts; the second is halved
        assert sorted(numbers["dev"] + numbers["test"]) == list(range(TRAIN, TRAIN + DEVELOPMENT + TEST))
        assert len(numbers["dev"]) == len(numbers["test"])
    else:
        assert numbers["dev"] == list(range(TRAIN, TRAIN + DEVELOPMENT))
        assert numbers["test"] == list(range(TRAIN + DEVELOPMENT, TRAIN + DEVELOPMENT + TEST))
    grey = 0
    for row in (row for part in rows.values() for row in part):
        colour, number = trees.pictures[row["image_id"]][3], number_of(row)
        levels = [round((value - 20) / 36) for value in colour]
        if number % 4 == 3:
            grey += 1
            assert len(set(colour)) == 1
        else:
            assert levels == levels_of(number), number
    assert grey == (TRAIN + DEVELOPMENT + TEST) // 4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_agents_tree_tells_nothing(layout: str, preparer: TreePreparer, sources: dict[str, Path]) -> None:
    """There are no captions of rows to caption, no original names, no metadata; ids need the key, and give the order."""
    trees = preparer.trees(sources[layout])
    agent = trees.folder / "agent"
    assert sorted(path.name for path in agent.iterdir()) == ["test", "test.jsonl", "train", "train.jsonl"]
    assert sorted(path.name for path in trees.folder.joinpath("judge").iterdir()) == ["dev.jsonl", "key", "test.jsonl"]
    hidden = [row["image_id"] for part in trees.hidden.values() for row in part]
    learnt = [row["image_id"] for row in trees.train]
    assert trees.asked == sorted(hidden) and learnt == sorted(learnt)
    for part, names in (("train", learnt), ("test", trees.asked)):
        assert sorted(path.name for path in agent.joinpath(part).iterdir()) == sorted(f"{name}.jpg" for name in names)
    assert all(set(row) == {"image_id"} for row in rows_of(agent / "test.jsonl"))
    for path in (path for path in agent.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert b"COCO" not in content
        assert path.suffix == ".jsonl" or b"thing" not in content
    key = trees.folder.joinpath("judge", "key").read_bytes()
    for row in (*trees.train, *trees.hidden["dev"], *trees.hidden["test"]):
        name = str(FIRST_ID + number_of(row)).encode()
        assert row["image_id"] == hashlib.blake2b(name, key=key, digest_size=8).hexdigest() and len(key) == 32
    for mode, kind, side, _, kept in trees.pictures.values():
        assert (mode, kind, kept) == ("RGB", "JPEG", []) and side <= 256
    assert {picture[2] for picture in trees.pictures.values()} == {256, 120}


def test_the_starter_reads_photographs_of_every_size(preparer: TreePreparer, sources: dict[str, Path], python: Path) -> None:
    """It cuts out the middle square, whatever the photograph's form, larger or smaller than what is asked for."""
    trees = preparer.trees(sources["coco"])
    command = [python, "-c", READ_PROGRAM, trees.folder / "agent", TASK / "environment"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    numbers = {row["image_id"]: number_of(row) for row in trees.train}
    for line, side in zip(done.stdout.splitlines(), (48, 224), strict=True):
        shape, corners = json.loads(line)
        assert shape == [TRAIN, 3, side, side]
        for name, colour in corners.items():
            if numbers[name] % 4 != 3:
                assert [round((value - 20) / 36) for value in colour] == levels_of(numbers[name]), (name, side)


def test_every_preparation_has_ids_of_its_own(
    preparer: TreePreparer, sources: dict[str, Path], python: Path, tmp_path: Path
) -> None:
    """The key is drawn afresh, so that ids of one host tell nothing on another; development and test rows stay the same."""
    one = preparer.trees(sources["coco"])
    tmp_path.joinpath("other").mkdir()
    other = TreePreparer(python, TASK, tmp_path / "other").trees(sources["coco"])
    assert not set(one.pictures) & set(other.pictures)
    for split in ("dev", "test"):
        assert sorted(map(number_of, one.hidden[split])) == sorted(map(number_of, other.hidden[split]))


def test_a_broken_off_preparation_goes_on(preparer: TreePreparer, sources: dict[str, Path]) -> None:
    """Killed after the training photographs were written, it takes them, under the same ids, from the partial folder."""
    output, process = preparer.start(sources["tables"])
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"train: {TRAIN} of {TRAIN}"):
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not output.joinpath("judge", "test.jsonl").exists()
    written = {path.name for path in preparer.partial.joinpath("train").iterdir()}
    again, text, status = preparer.run(sources["tables"])
    assert status == 0 and f"of {TRAIN} photographs" not in text
    assert {path.name for path in again.joinpath("agent", "train").iterdir()} == written


def test_what_an_earlier_attempt_left_of_another_source_goes(preparer: TreePreparer, sources: dict[str, Path]) -> None:
    """Photographs of no row and half-written files do not reach the agent."""
    for part in ("train", "test"):
        folder = preparer.partial / part
        folder.mkdir(parents=True)
        for name in ("0123456789abcdef.jpg", "fedcba9876543210.part"):
            folder.joinpath(name).write_bytes(b"left")
    trees = preparer.trees(sources["coco"])
    assert set(trees.pictures) == {row["image_id"] for row in trees.train} | set(trees.asked)
    assert not list(trees.folder.rglob("*.part"))


def test_weights_come_from_the_source_if_it_has_them(preparer: TreePreparer, python: Path, tmp_path: Path) -> None:
    """A local source's weights are copied under the name that the baseline looks for; without, that is told."""
    source = copy_of(python, tmp_path / "source", "coco")
    _, text, status = preparer.run(source)
    assert status == 0 and "no weights in SOURCE/weights" in text
    source.joinpath("weights").mkdir()
    source.joinpath("weights", "model.safetensors").write_bytes(b"some weights")
    output, text, status = preparer.run(source)
    assert status == 0, text
    assert output.joinpath("agent", "weights", "resnet50.safetensors").read_bytes() == b"some weights"


def test_a_source_that_is_not_whole_is_refused(preparer: TreePreparer, python: Path, tmp_path: Path) -> None:
    """Foreign folders, missing captions, a photograph in two splits and broken files end with a message and no hidden rows."""
    empty = tmp_path / "empty"
    empty.mkdir()
    outcomes = [(preparer.run(empty), "expected COCO_captions_train, COCO_captions_validation, COCO_captions_test, or")]

    source = copy_of(python, tmp_path / "source", "coco")
    path = source / "annotations" / "captions_val2014.json"
    whole = path.read_text(encoding="utf-8")
    content = json.loads(whole)
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] != FIRST_ID + TRAIN]
    path.write_text(json.dumps(content), encoding="utf-8")
    outcomes.append((preparer.run(source), f"photograph {FIRST_ID + TRAIN} has no caption"))

    content = json.loads(whole)
    train = json.loads(source.joinpath("annotations", "captions_train2014.json").read_text(encoding="utf-8"))
    content["images"].append({**train["images"][0], "file_name": content["images"][0]["file_name"]})
    content["annotations"] += [one for one in train["annotations"] if one["image_id"] == FIRST_ID]
    path.write_text(json.dumps(content), encoding="utf-8")
    outcomes.append((preparer.run(source), "1 photographs are in two splits"))

    path.write_text(whole, encoding="utf-8")
    photograph = next(iter(sorted(source.joinpath("val2014").iterdir())))
    photograph.write_bytes(photograph.read_bytes()[:300])
    tmp_path.joinpath("fresh").mkdir()
    outcomes.append((TreePreparer(python, TASK, tmp_path / "fresh").run(source), "a photograph cannot be read"))
    for (output, text, status), shown in outcomes:
        assert status == 1 and shown in text, text
        assert not list(output.glob("judge/*"))


def test_the_command_prepares_a_source(sources: dict[str, Path], python: Path, tmp_path: Path) -> None:
    """`mlgym-lite prepare TASK --source FOLDER` fills the data folder, offline, and a second run finds it complete."""
    environment = os.environ | {
        "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "MLGYM_LITE_CACHE": str(python.parents[3]),
        "MLGYM_LITE_DATA": str(tmp_path / "data"),
    }  # fmt: skip
    command = [sys.executable, "-m", "mlgym_lite", "prepare", "coco_captioning"]
    for more, shown in ((["--source", str(sources["hub"])], "the data is in"), ([], "is complete")):
        done = subprocess.run([*command, *more], env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and shown in done.stdout + done.stderr, done.stdout + done.stderr
    folder = tmp_path / "data" / "coco_captioning"
    assert len(list(folder.joinpath("agent", "train").iterdir())) == TRAIN
    assert len(rows_of(folder / "judge" / "test.jsonl")) == TEST
