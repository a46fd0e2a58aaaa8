"""The full variant of the MNLI task, on a small repository in the format of the real ones.

Needs a package index and, once, about a gigabyte for torch: runs where MLGYM_LITE_REQUIRE names `network`.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mlgym_lite.config.places import Places, places
from mlgym_lite.config.task_file import Task, load_task
from mlgym_lite.episode.environments import agent_base
from mlgym_lite.isolation.virtual_environments import BuildRequest, built_environment, find_interpreter

TASK = Path(__file__).resolve().parents[2] / "tasks" / "mnli"
WANTED = "network" in os.environ.get("MLGYM_LITE_REQUIRE", "").split(",")
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.network,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not WANTED, reason="MLGYM_LITE_REQUIRE does not name network: needs a package index"),
]

PARQUET = """
import json, sys
import pyarrow, pyarrow.parquet
tables = json.load(open(sys.argv[1]))
for name, rows in tables.items():
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), f"{sys.argv[2]}/{name}")
"""
# The published weights have the old names of the normalisation's parameters, and the heads of pre-training.
TINY_BERT = """
import sys
from pathlib import Path
import safetensors.torch, torch
from transformers import BertConfig, BertForPreTraining, BertTokenizerFast
folder = Path(sys.argv[1])
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "dog", "cat", "runs", "sleeps"]
words += [*map(str, range(10)), *(f"##{n}" for n in range(10))]
folder.joinpath("vocab.txt").write_text("\\n".join(words) + "\\n")
BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
torch.manual_seed(0)
config = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
model = BertForPreTraining(config)
for name, values in model.named_parameters():
    if "LayerNorm" in name:
        torch.nn.init.normal_(values)
config.save_pretrained(folder)
old = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): values.clone()
       for name, values in model.state_dict().items() if "decoder" not in name}
safetensors.torch.save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
"""
SAME_WEIGHTS = """
import sys
from pathlib import Path
import safetensors.torch
sys.path.insert(0, sys.argv[1])
import baseline
model, _, settings = baseline.loaded(Path(sys.argv[2]))
assert (settings.learning_rate, settings.epochs, settings.batch, settings.warm_up) == (1e-7, 1, 32, 0)
stored = safetensors.torch.load_file(sys.argv[2] + "/model.safetensors")
found = dict(model.named_parameters())
for name in ("embeddings", "encoder.layer.0.attention.output"):
    assert found[f"bert.{name}.LayerNorm.weight"].equal(stored[f"bert.{name}.LayerNorm.gamma"]), name
    assert found[f"bert.{name}.LayerNorm.bias"].equal(stored[f"bert.{name}.LayerNorm.beta"]), name
"""
FAKE_HUB = """
import os, shutil
from pathlib import Path

def snapshot_download(repository, *, allow_patterns, local_dir, repo_type="model"):
    source = Path(os.environ["FAKE_HUB"])
    wanted = {"nyu-mll/multi_nli": source, "google-bert/bert-base-uncased": source / "bert-base-uncased"}[repository]
    if repo_type == "model" and not (source / "reachable").exists():
        raise OSError("the line is cut")
    for pattern in allow_patterns:
        for path in wanted.glob(pattern):
            target = Path(local_dir) / path.relative_to(wanted)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                print("kept", target.name, flush=True)
            else:
                shutil.copyfile(path, target)
"""


@pytest.fixture(scope="module")
def task() -> Task:
    """The task."""
    return load_task(TASK)


@pytest.fixture(scope="module")
def where() -> Places:
    """The user's own cache, in which the environments stay."""
    return places()


@pytest.fixture(scope="module")
def preparing_python(task: Task, where: Places) -> Path:
    """The interpreter that prepares."""
    request = BuildRequest(
        requirements=TASK / "prepare-requirements.txt", interpreter=find_interpreter(), cache=where.cache,
        environment=os.environ, timeout_seconds=600, task_reference=task.reference, on_progress=print,
    )  # fmt: skip
    folder = built_environment(request).folder
    assert folder is not None
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def agents_python(task: Task, where: Places) -> Path:
    """The interpreter of the agent's packages."""
    folder = agent_base(task, None, where, os.environ, print, ("cpu", "gpu")).folder
    assert folder is not None
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, preparing_python: Path, agents_python: Path) -> Path:
    """A repository like MultiNLI's with a random BERT: 60 premises of three hypotheses, 30 test rows, one of them known."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "data").mkdir()
    (folder / "bert-base-uncased").mkdir()

    def rows(start: int, end: int) -> list[dict[str, Any]]:
        return [
            {"promptID": number, "premise": f"dog {number} runs.", "hypothesis": f"cat {label} sleeps {number}.",
             "label": label, "genre": "fiction"}
            for number in range(start, end) for label in (0, 1, 2)
        ]  # fmt: skip

    train, test = rows(0, 60), rows(100, 110)
    train.append({**test[4], "premise": test[4]["premise"].upper(), "hypothesis": test[4]["hypothesis"] + " "})
    train.append({**train[0], "label": -1})
    tables = {
        "data/train-00000-of-00002.parquet": train[:90],
        "data/train-00001-of-00002.parquet": train[90:],
        "data/validation_matched-00000-of-00001.parquet": test,
        "data/validation_mismatched-00000-of-00001.parquet": rows(200, 203),
    }
    tables_file = folder / "tables.json"
    tables_file.write_text(json.dumps(tables), encoding="utf-8")
    subprocess.run([preparing_python, "-c", PARQUET, tables_file, folder], check=True)
    tables_file.unlink()
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([agents_python, "-c", TINY_BERT, folder / "bert-base-uncased"], check=True, env=offline)
    return folder


def mlgym(*arguments: str | Path, cwd: Path, status: int = 0) -> str:
    """Run the program and return all it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "mlgym_lite", *arguments], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def check_trees(folder: Path) -> None:
    """Check that what was prepared hides what it must."""
    agent, judge = folder / "agent", folder / "judge"
    train, asked = (
        [json.loads(line) for line in (agent / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("train", "test")
    )
    hidden = {}
    for split in ("dev", "test"):
        with (judge / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            hidden[split] = list(csv.DictReader(file))
    assert (len(hidden["test"]), len(hidden["dev"]), len(train)) == (30, 18, 162)
    assert Counter(row["label"] for row in hidden["dev"]) == {"0": 6, "1": 6, "2": 6}
    assert all(set(row) == {"id", "premise", "hypothesis"} for row in asked)
    assert {row["id"] for row in asked} == {row["id"] for rows in hidden.values() for row in rows} and len(asked) == 48
    assert not {row["premise"].casefold() for row in train} & {row["premise"].casefold() for row in asked}
    assert [row["id"] for row in asked] != sorted(row["id"] for row in asked)
    by_id = {row["id"]: row for row in asked}
    for row in hidden["dev"] + hidden["test"]:  # the label stands in the hypothesis of this repository
        assert by_id[row["id"]]["hypothesis"].split()[1] == row["label"]
    rows = [int(row["row"]) for row in hidden["test"]]
    assert sorted(rows) == list(range(30)) and rows != sorted(rows)
    seen = {str(path.relative_to(agent)) for path in agent.rglob("*") if path.is_file()}
    assert {"train.jsonl", "test.jsonl", "bert-base-uncased/model.safetensors"} < seen
    assert not any("parquet" in name or "cache" in name for name in seen)


def test_a_local_copy_is_split_and_the_real_baseline_runs_on_it(source: Path, tmp_path: Path) -> None:
    """`prepare --source` makes the two trees, and the baseline fine-tunes their BERT offline in the sandbox for a few steps."""
    data, home = tmp_path / "data", tmp_path / "home"
    home.mkdir()
    said = mlgym("prepare", TASK, "--source", source, "--data", data, cwd=home)
    assert "validation_matched: 30 labelled rows (the published split has 9815)" in said
    assert "1 more were also to be labelled" in said
    check_trees(data / "mnli")
    actions = home / "actions.jsonl"
    commands = ["test $HF_HUB_OFFLINE = 1 || rm baseline.py", "python baseline.py --steps 3", "validate", "submit"]
    actions.write_text("".join(json.dumps(command) + "\n" for command in commands), encoding="utf-8")
    result = json.loads(mlgym("run", TASK, "--data", data, "--actions", actions, "--json", "--quiet", cwd=home).splitlines()[-1])
    assert result["score"]["metrics"]["rows"] == 30 and 0 <= result["score"]["value"] <= 100
    assert result["attempts"][0]["metrics"]["rows"] == 18


def test_the_published_weights_old_names_are_read(source: Path, agents_python: Path) -> None:
    """The baseline starts from every stored weight, though the file uses the names of the first release."""
    arguments = [TASK / "environment", source / "bert-base-uncased"]
    subprocess.run([agents_python, "-B", "-c", SAME_WEIGHTS, *arguments], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})


def test_a_preparation_that_broke_off_goes_on(source: Path, tmp_path: Path, preparing_python: Path) -> None:
    """What was downloaded before the line was cut is not downloaded again."""
    (tmp_path / "huggingface_hub").mkdir()
    (tmp_path / "huggingface_hub" / "__init__.py").write_text(FAKE_HUB, encoding="utf-8")
    hub = tmp_path / "hub"
    subprocess.run(["cp", "-r", source, hub], check=True)
    partial = tmp_path / "partial"
    partial.mkdir()
    variables = {**os.environ, "PYTHONPATH": str(tmp_path), "MLGYM_LITE_PARTIAL": str(partial), "FAKE_HUB": str(hub)}

    def run(output: Path) -> subprocess.CompletedProcess[str]:
        output.mkdir()
        command = [preparing_python, "-B", TASK / "prepare.py", output]
        return subprocess.run(command, env=variables, capture_output=True, text=True)

    first = run(tmp_path / "first")
    assert first.returncode != 0 and "the line is cut" in first.stderr
    assert list((tmp_path / "first").iterdir()) == []
    (hub / "reachable").touch()
    second = run(tmp_path / "second")
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("kept") == 3
    check_trees(tmp_path / "second")


def test_a_copy_without_a_part_is_refused(source: Path, tmp_path: Path) -> None:
    """A source that lacks the table or the weights is told by name, and nothing is put in place."""
    empty, partly = tmp_path / "empty", tmp_path / "partly"
    empty.mkdir()
    partly.mkdir()
    (partly / "data").symlink_to(source / "data")
    for folder, words in ((empty, "no data/train-*.parquet"), (partly, "config.json, vocab.txt, model.safetensors missing")):
        said = mlgym("prepare", TASK, "--source", folder, "--data", tmp_path / "data", cwd=tmp_path, status=4)
        assert words in said and "Traceback" not in said
    assert not (tmp_path / "data" / "mnli").exists()
