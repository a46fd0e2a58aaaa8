"""A small checkout laid out as MLGym's is, with one task of each kind, and an episode recorded as MLGym records them.

Nothing in it needs a package, so that its environments are bare. The real checkout is under a licence that keeps it out of
this project; what is written here is our own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONFIGS = {
    "beanWeights": """\
id: beanWeights
name: Weights of beans
description: |-
  Tell the weight of each bean from its length. The data:
  {dataset_docs}
  Write `submission.csv` with the columns Id and Weight.
dataset_configs:
  - datasets/beans.yaml
task_entrypoint: CSVSubmissionTasks
training_timeout: 60
use_generic_conda: true
starter_code:
  - data/beanWeights/baseline.py
  - data/beanWeights/evaluate.py
  - data/beanWeights/distances.py
baseline_paths:
  - baseline.py
baseline_scores:
  - Mean_Error: 5.0
    worst: 5.0
sample_submission: data/beanWeights/sample_submission.csv
evaluation_paths:
  - evaluate.py
evaluation_read_only: true
""",
    "coinGame": """\
id: coinGame
name: The game of two coins
description: Write `my_side` in strategy.py; you win a point for each coin that shows the other player's side.
task_entrypoint: PythonSubmissionTasks
training_timeout: 60
starter_code:
  - data/coinGame/opponent.py
  - data/coinGame/evaluate.py
  - data/coinGame/strategy.py
baseline_scores:
  - Points: 0.25
evaluation_paths:
  - evaluate.py
evaluation_read_only: true
secret_files:
  - opponent.py
""",
    "leverPolicy": """\
id: leverPolicy
name: The best lever
description: Train a policy for the levers; leave checkpoints/ and a yaml file that describes it.
task_entrypoint: ModelSubmissionTasks
training_timeout: 60
starter_code:
  - data/leverPolicy/src/
  - data/leverPolicy/evaluate.py
baseline_paths:
  - src/train.py
baseline_scores:
  - Reward Mean: 1.0
    Reward Std: 0.0
evaluation_paths:
  - evaluate.py
""",
    "letterModel": """\
id: letterModel
name: The next letter
description: Leave a better Model in baseline.py.
task_entrypoint: LMSubmissionTasks
training_timeout: 60
starter_code:
  - data/letterModel/baseline.py
  - data/letterModel/evaluate.py
baseline_paths:
  - baseline.py
baseline_scores:
  - val_loss: 2.0
evaluation_paths:
  - evaluate.py
evaluation_read_only: true
""",
}
FILES = {
    "configs/datasets/beans.yaml": """\
name: beans
description: Lengths and weights of beans.
data_path: data/beanWeights/data
is_local: true
train_split:
  name: train
  file_regex: train.csv
""",
    "data/beanWeights/data/train.csv": "Id,Length,Weight\n1,1,10\n2,2,20\n3,4,40\n",
    "data/beanWeights/data/test.csv": "Id,Length\n4,3\n5,5\n",
    "data/beanWeights/data/answer.csv": "Id,Weight\n4,30\n5,50\n",
    "data/beanWeights/data/more/notes.txt": "beans\n",
    "data/beanWeights/sample_submission.csv": "Id,Weight\n4,0\n",
    "data/beanWeights/distances.py": "def distance(one, other):\n    return abs(float(one) - float(other))\n",
    "data/beanWeights/baseline.py": """\
import csv

rows = list(csv.DictReader(open("/home/agent/workspace/data/test.csv")))
with open("submission.csv", "w") as file:
    file.write("Id,Weight\\n")
    for row in rows:
        file.write(f"{row['Id']},{10 * float(row['Length']) + 5}\\n")
""",
    "data/beanWeights/evaluate.py": """\
import argparse
import csv
import json

from distances import distance


def weights(path):
    return [row["Weight"] for row in csv.DictReader(open(path))]


parser = argparse.ArgumentParser()
parser.add_argument("--submission_file")
given = weights(parser.parse_args().submission_file)
right = weights("/home/agent/workspace/data/answer.csv")
apart = [distance(one, other) for one, other in zip(given, right, strict=True)]
print(json.dumps({"mean_error": sum(apart) / len(apart), "worst": max(apart), "note": "by rows"}))
""",
    "data/coinGame/opponent.py": "def their_side(number):\n    return number % 4 == 0\n",
    "data/coinGame/strategy.py": "def my_side(number):\n    return True\n",
    "data/coinGame/evaluate.py": """\
import json

from opponent import their_side
from strategy import my_side

points = [my_side(number) == their_side(number) for number in range(100)]
print(json.dumps({"Points": sum(points) / len(points)}))
""",
    "data/leverPolicy/src/__init__.py": "",
    "data/leverPolicy/src/levers.py": "PAYS = [1.0, 3.0, 2.0]\n",
    "data/leverPolicy/src/config.yaml": "lever: 0\n",
    "data/leverPolicy/src/train.py": """\
import pickle
from pathlib import Path

Path("checkpoints").mkdir(exist_ok=True)
Path("checkpoints/policy.pkl").write_bytes(pickle.dumps({"lever": 0}))
Path("checkpoints/policy.yaml").write_text("checkpoint: checkpoints/policy.pkl\\n")
""",
    "data/leverPolicy/evaluate.py": """\
import argparse
import json
import pickle

from src.levers import PAYS

parser = argparse.ArgumentParser()
parser.add_argument("--config_fname")
config = dict(line.split(": ") for line in open(parser.parse_args().config_fname).read().splitlines())
policy = pickle.load(open(config["checkpoint"], "rb"))
print("evaluating")
print(json.dumps({"Reward Mean": PAYS[policy["lever"]], "Reward Std": 0.0}))
""",
    "data/letterModel/baseline.py": """\
class Model:
    loss = 2.0


if __name__ == "__main__":
    open("trained.txt", "w").write("yes")
""",
    "data/letterModel/evaluate.py": """\
import json
import os

from baseline import Model

assert open("trained.txt").read() == "yes"
if os.environ["RANK"] == "0" and os.environ["WORLD_SIZE"] == "1":
    print(json.dumps({"val_loss": Model.loss}))
""",
}


def make_checkout(folder: Path) -> Path:
    """Write the checkout into a new folder."""
    contents = {**{f"configs/tasks/{name}.yaml": text for name, text in CONFIGS.items()}, **FILES}
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def trajectory(steps: Sequence[tuple[str, str]], scores: Sequence[dict[str, float]], exit_status: str = "submitted") -> str:
    """The text of a .traj file of MLGym's: actions with what was seen, and the scores in order."""
    content: dict[str, Any] = {
        "environment": "mlgym_main",
        "trajectory": [
            {"action": action, "observation": seen, "response": action, "state": "{}", "thought": "", "execution_time": 0.1}
            for action, seen in steps
        ],
        "history": [{"role": "system", "content": "", "agent": "main"}],
        "info": {"model_stats": {}, "exit_status": exit_status, "submission": "", "score": list(scores), "summarizer": {}},
    }
    return json.dumps(content)


def validated(score: dict[str, float]) -> str:
    """What MLGym shows for a validation."""
    return f"Your code produced a valid submission artefact at x.\nBaseline Score: {{'a': 1}}\nEvaluation Score: {score}\n"
