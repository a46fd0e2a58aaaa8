"""Tasks of a MLGym checkout become task folders: what lies where, what is decided, which holes are named, what is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from grading_harness import Verdict, graded, grading_interpreter
from mlgym_checkout import CONFIGS, make_checkout, trajectory, validated

from mlgym_lite import load_task
from mlgym_lite.authoring.mlgym_checkout import read_task
from mlgym_lite.authoring.mlgym_import import ImportChoices, Imported, import_task
from mlgym_lite.authoring.mlgym_packages import lines_for
from mlgym_lite.config.actions_file import read_recording
from mlgym_lite.config.task_file import Task
from mlgym_lite.errors import OutputError, TaskError

Grade = Callable[..., Verdict]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one task of each kind."""
    return make_checkout(tmp_path / "checkout")


@pytest.fixture
def imported(checkout: Path, tmp_path: Path) -> Callable[..., Imported]:
    """Imports a task of the checkout."""

    def run(name: str, **choices: Any) -> Imported:
        return import_task(checkout, name, tmp_path / "tasks" / name, ImportChoices(**choices))

    return run


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that can import the grading files."""
    return grading_interpreter(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def grade(interpreter: Path, tmp_path: Path) -> Grade:
    """Grades files, given by their texts, with the grader of a task folder."""

    def run(task: Path, **files: str | bytes) -> Verdict:
        submission = tmp_path / f"submission-{len(list(tmp_path.iterdir()))}"
        submission.mkdir()
        for name, content in files.items():
            path = submission / name.replace("__", "/").replace("_csv", ".csv").replace("_py", ".py").replace("_yaml", ".yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return graded(interpreter, submission.with_name(f"{submission.name}-grading"), task, submission)

    return run


def names(found: Imported, *, closed: bool) -> set[str]:
    """The names of a task's holes."""
    return {hole.name for hole in found.holes if hole.closed is closed}


def problems(checkout: Path, name: str, **choices: Any) -> str:
    """What an import that must be refused says."""
    with pytest.raises(TaskError) as refused:
        import_task(checkout, name, checkout.with_name("out"), ImportChoices(**choices))
    assert not checkout.with_name("out").exists()
    return str(refused.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_kind_of_task_becomes_a_sound_folder(imported: Callable[..., Imported], name: str) -> None:
    """What is written loads as a task, states its baseline, and is told to have one split."""
    task: Task = load_task(imported(name).folder)
    ours = task.file.metadata.mlgym_lite
    assert task.stated_baseline("full") == task.stated_baseline("mini")
    assert task.metric in (task.stated_baseline("full") or {})
    assert (ours.feedback, ours.home_workspace, ours.requirements, ours.command_timeout_sec) == ("test", True, None, 60.0)
    assert task.in_parity().stated_baseline("full") == task.stated_baseline("full")
    assert "known holes are open, see HOLES.md" in (task.file.task.description if task.file.task else "")
    assert (task.folder / "solution" / "solve.sh").is_file()


def test_the_workspace_is_as_mlgym_lays_it(imported: Callable[..., Imported]) -> None:
    """A local data set lies in data/, starter files at the top, and what MLGym makes read-only is."""
    folder = imported("beanWeights").folder / "environment"
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {
        "baseline.py", "evaluate.py", "distances.py", "data/train.csv", "data/test.csv", "data/answer.csv", "data/more/notes.txt",
    }  # fmt: skip
    read_only = {name for name in there if not (folder / name).stat().st_mode & 0o222}
    assert read_only == {"evaluate.py", *(name for name in there if name.startswith("data/"))}


def test_a_folder_of_starter_files_keeps_its_name(imported: Callable[..., Imported]) -> None:
    """`src/` in starter_code is src/ in the workspace."""
    folder = imported("leverPolicy").folder
    assert (folder / "environment" / "src" / "levers.py").is_file()
    assert load_task(folder).left_out == {"evaluate.py"}


def test_a_second_data_set_lies_within_the_first(checkout: Path) -> None:
    """MLGym copies it into the data folder that is there by then."""
    other = checkout / "data" / "peas"
    other.mkdir()
    (other / "peas.csv").write_text("a\n", encoding="utf-8")
    (checkout / "configs/datasets/peas.yaml").write_text(
        "name: peas\ndescription: Peas.\ndata_path: data/peas\nis_local: true\n", encoding="utf-8"
    )
    text = CONFIGS["beanWeights"].replace("  - datasets/beans.yaml", "  - datasets/beans.yaml\n  - datasets/peas.yaml")
    (checkout / "configs/tasks/beanWeights.yaml").write_text(text, encoding="utf-8")
    task = read_task(checkout, "beanWeights")
    assert "data/peas/peas.csv" in task.data
    assert "BEANS:\nLengths and weights of beans.\n\nPEAS:\nPeas." in task.description


@pytest.mark.parametrize(
    "name", ["coinGame", "tasks/coinGame.yaml", "configs/tasks/coinGame.yaml", "{}/configs/tasks/coinGame.yaml"]
)
def test_a_task_is_named_in_any_way_that_leads_to_it(checkout: Path, name: str) -> None:
    """Its name, its path below configs/ or below the checkout, and its whole path do."""
    assert read_task(checkout, name.format(checkout)).id == "coinGame"


def test_the_metric_is_named_as_the_evaluator_prints_it(imported: Callable[..., Imported]) -> None:
    """Where the configuration writes another case than the evaluator, the evaluator is right and the baseline follows it."""
    found = imported("beanWeights")
    assert (found.metric, found.direction) == ("mean_error", "minimize")
    assert load_task(found.folder).stated_baseline("full") == {"mean_error": 5.0, "worst": 5.0}
    assert any("Mean_Error" in note for note in found.notes) and any("guessed" in note for note in found.notes)


def test_a_person_s_choices_win(imported: Callable[..., Imported]) -> None:
    """Metric, direction and noise can be stated, and then nothing is guessed."""
    found = imported("beanWeights", metric="worst", direction="minimize", score_noise=0.5)
    task = load_task(found.folder)
    assert (task.metric, task.maximize, task.score_noise("full")) == ("worst", False, 0.5)
    (note,) = found.notes
    assert note.startswith("/home/agent/workspace: named by baseline.py")


def test_an_evaluator_that_meets_no_code_runs_in_the_judge(imported: Callable[..., Imported]) -> None:
    """A submission of one file has no player, and labels that lie in the workspace are named."""
    found = imported("beanWeights")
    task = load_task(found.folder)
    assert found.trusted and task.file.metadata.mlgym_lite.player is None
    assert task.artifacts == ("submission.csv",)
    assert names(found, closed=False) == {"labels-in-the-workspace", "validate-scores-the-test-split"} | {
        "task-code-in-the-workspace"
    }
    (labels,) = [hole for hole in found.holes if hole.name == "labels-in-the-workspace"]
    assert labels.files == ("data/answer.csv",)
    assert names(found, closed=True) == {"evaluator-owned-by-the-agent", "task-code-can-be-changed"}


def test_labels_are_known_by_their_column_too(checkout: Path, imported: Callable[..., Imported]) -> None:
    """A table with the rows of another and the column that is asked for is found, whatever it is called."""
    (checkout / "data/beanWeights/data/more/x.csv").write_text("Id,Length,Weight\n4,3,30\n5,5,50\n", encoding="utf-8")
    files = {name for hole in imported("beanWeights").holes if hole.name == "labels-in-the-workspace" for name in hole.files}
    assert files == {"data/answer.csv", "data/more/x.csv"}


def test_labels_can_be_hidden(imported: Callable[..., Imported], grade: Grade) -> None:
    """What --hide names is not in the workspace, and the grader has it."""
    found = imported("beanWeights", hide=("data/answer.csv",))
    assert not (found.folder / "environment" / "data" / "answer.csv").exists()
    assert "labels-in-the-workspace" in names(found, closed=True)
    assert grade(found.folder, submission_csv="Id,Weight\n4,31\n5,50\n").reward == {"mean_error": 0.5, "worst": 1.0}


def test_an_evaluator_that_imports_the_submission_runs_in_the_player(imported: Callable[..., Imported]) -> None:
    """The strategy is the submission's, what the configuration calls secret is the task's, and both are named."""
    found = imported("coinGame")
    task = load_task(found.folder)
    assert not found.trusted and task.file.metadata.mlgym_lite.player is not None
    assert (task.artifacts, task.left_out) == ((".",), {"evaluate.py", "opponent.py"})
    assert names(found, closed=False) == {
        "submission-runs-in-the-evaluator", "task-code-in-the-workspace", "secret-files-shown", "validate-scores-the-test-split",
    }  # fmt: skip
    (forged,) = [hole for hole in found.holes if hole.name == "submission-runs-in-the-evaluator"]
    assert forged.files == ("strategy.py",)


def test_the_task_s_own_code_can_be_named(checkout: Path, imported: Callable[..., Imported]) -> None:
    """Without a word of the configuration all imported code is the submission's, which is named, until --pristine says more."""
    path = checkout / "configs/tasks/coinGame.yaml"
    path.write_text(path.read_text(encoding="utf-8").split("secret_files")[0], encoding="utf-8")
    (hole,) = [hole for hole in imported("coinGame").holes if hole.name == "task-code-not-told-apart"]
    assert hole.files == ("opponent.py", "strategy.py")
    told = import_task(checkout, "coinGame", checkout.with_name("told"), ImportChoices(pristine=("opponent.py",)))
    assert (told.folder / "tests" / "pristine" / "opponent.py").is_file()
    assert "task-code-not-told-apart" not in names(told, closed=False)


def test_the_holes_are_there_for_machines(imported: Callable[..., Imported]) -> None:
    """holes.json holds what HOLES.md tells."""
    found = imported("leverPolicy")
    content = json.loads((found.folder / "holes.json").read_text(encoding="utf-8"))
    assert content == [hole.record() for hole in found.holes]
    page = (found.folder / "HOLES.md").read_text(encoding="utf-8")
    assert all(entry["name"] in page for entry in content)
    assert {"evaluator-runs-what-it-reads", "submission-runs-in-the-evaluator"} <= {entry["name"] for entry in content}


def test_other_weaknesses_of_an_evaluator_are_found(checkout: Path, imported: Callable[..., Imported]) -> None:
    """A clock, a known seed, draws without one, and a score that the submission states itself are named with their lines."""
    evaluator = checkout / "data/coinGame/evaluate.py"
    evaluator.write_text("import time, random\nrandom.random()\ntime.time()\nimport strategy\n", encoding="utf-8")
    assert {"score-depends-on-the-clock", "score-is-drawn"} <= names(imported("coinGame", metric="Points"), closed=False)
    lines = "import random, sys, json\nrandom.seed(3)\nprint(json.dumps({'mean_error': float(open(sys.argv[2]).read())}))\n"
    (checkout / "data/beanWeights/evaluate.py").write_text(lines, encoding="utf-8")
    assert {"seeds-are-known", "evaluator-reads-only-the-submission"} <= names(imported("beanWeights"), closed=False)


def test_a_file_is_scored_as_the_evaluator_scores_it(imported: Callable[..., Imported], grade: Grade) -> None:
    """Its numbers are the score, what is no number is left out, and a file it cannot read is the submission's fault."""
    folder = imported("beanWeights").folder
    assert grade(folder, submission_csv="Id,Weight\n4,31\n5,50\n").reward == {"mean_error": 0.5, "worst": 1.0}
    refused = grade(folder, submission_csv="Id,Mass\n")
    assert refused.status == 65 and "printed no scores (exit status 1)" in (refused.rejection or "")
    nothing = grade(folder, submission_csv="Id,Weight\n4,nan\n5,nan\n")
    assert nothing.status == 65 and "'mean_error'" in (nothing.rejection or "")


def test_code_is_scored_against_the_checkout_s_opponent(imported: Callable[..., Imported], grade: Grade) -> None:
    """A changed opponent and a changed evaluator in the submission change nothing; modules beside the strategy work."""
    folder = imported("coinGame").folder
    assert grade(folder, strategy_py="def my_side(number):\n    return False\n").reward == {"Points": 0.75}
    changed = grade(
        folder, strategy_py="from sides import my_side\n", sides_py="my_side = lambda number: True\n",
        opponent_py="their_side = lambda number: True\n", evaluate_py="print(3)\n",
    )  # fmt: skip
    assert changed.reward == {"Points": 0.25}
    printing = grade(folder, strategy_py="print('hello')\nmy_side = lambda number: True\n")
    assert printing.status == 65 and "hello" in (printing.rejection or "")


def test_code_that_breaks_off_is_the_submission_s_fault(imported: Callable[..., Imported], grade: Grade) -> None:
    """Nothing that the strategy does to its process breaks the grader."""
    folder = imported("coinGame").folder
    for text in ("raise SystemExit(3)", "import os, signal; os.kill(os.getppid(), signal.SIGKILL)", "print('{\"Points\": NaN}')"):
        assert grade(folder, strategy_py=text).status == 65, text


def test_the_named_hole_is_there(imported: Callable[..., Imported], grade: Grade) -> None:
    """What is called open is open: a strategy that prints a score and ends has it."""
    text = "import os\nprint('{\"Points\": 99}', flush=True)\nos._exit(0)\n"
    assert grade(imported("coinGame").folder, strategy_py=text).reward == {"Points": 99.0}


def test_a_model_is_scored_by_the_file_that_describes_it(imported: Callable[..., Imported], grade: Grade) -> None:
    """The .yaml that the agent wrote comes before the starter's; without any the submission is refused."""
    folder = imported("leverPolicy").folder
    model = {
        "checkpoints__policy_yaml": "checkpoint: checkpoints/policy.pkl\n",
        "checkpoints__policy.pkl": pickle.dumps({"lever": 1}),
        "src__config_yaml": "lever: 0\n",
        "src__levers_py": "PAYS = [1.0, 3.0]\n",
    }
    assert grade(folder, **model).reward == {"Reward Mean": 3.0, "Reward Std": 0.0}
    del model["checkpoints__policy_yaml"], model["src__config_yaml"]
    assert "there is no .yaml file" in (grade(folder, **model).rejection or "")


def test_a_language_model_is_evaluated_by_one_process_without_gpus(imported: Callable[..., Imported], grade: Grade) -> None:
    """The evaluator is told its rank as torchrun would tell it."""
    files = {"baseline_py": "class Model:\n    loss = 1.5\n", "trained.txt": "yes"}
    assert grade(imported("letterModel").folder, **files).reward == {"val_loss": 1.5}


def test_every_mistake_is_told_with_its_file_and_key(checkout: Path) -> None:
    """Unknown keys, wrong types, and missing values of a configuration come together."""
    path = checkout / "configs/tasks/coinGame.yaml"
    path.write_text("id: x\ntraining_timout: 3\ndescription: x\nstarter_code: evaluate.py\n", encoding="utf-8")
    told = problems(checkout, "coinGame")
    for words in (
        "training_timout: unknown key; did you mean 'training_timeout'?",
        "name: this key is required",
        "starter_code: expected a list",
    ):
        assert f"{path}: {words}" in told


def test_what_the_files_name_must_be_there(checkout: Path) -> None:
    """Missing starter files, data, data set files, evaluators, samples and packages are told together, with their keys."""
    path = checkout / "configs/tasks/beanWeights.yaml"
    text = CONFIGS["beanWeights"].replace("data/beanWeights/baseline.py", "data/gone.py").replace("/sample_", "/gone_")
    text = text.replace("- evaluate.py", "- score.py").replace("use_generic_conda: true", "use_generic_conda: false")
    path.write_text(text.replace("- datasets/beans.yaml", "- datasets/beans.yaml\n  - datasets/gone.yaml"), encoding="utf-8")
    (checkout / "data/beanWeights/data").rename(checkout / "data/elsewhere")
    told = problems(checkout, "beanWeights")
    for words in (
        "starter_code[0]: 'data/gone.py' does not exist", "dataset_configs[1]: 'datasets/gone.yaml' does not exist",
        "data_path: 'data/beanWeights/data' does not exist", "not part of MLGym's repository", "sample_submission:",
        "evaluation_paths[0]: 'score.py' is not in the workspace", "baseline_paths[0]: 'baseline.py' is not in the workspace",
        "requirements_path: this key is required",
    ):  # fmt: skip
        assert words in told


def test_data_of_a_hub_is_told_with_what_to_do(checkout: Path) -> None:
    """A data set that would be downloaded is not imported, and the way to bring it is named."""
    path = checkout / "configs/datasets/beans.yaml"
    path.write_text("name: beans\ndescription: x\ndata_path: uoft/beans\n", encoding="utf-8")
    told = problems(checkout, "beanWeights")
    assert f"{path}: data_path: 'uoft/beans' is downloaded from a hub" in told and "is_local: true" in told


def test_an_evaluator_that_downloads_is_refused(checkout: Path) -> None:
    """A grader has no network, so the call is named with its line."""
    evaluator = checkout / "data/beanWeights/evaluate.py"
    evaluator.write_text("from datasets import load_dataset\nload_dataset('uoft/beans')\n'mean_error'\n", encoding="utf-8")
    assert "load_dataset (evaluate.py:2), which needs a network" in problems(checkout, "beanWeights")
    evaluator.write_text(
        "from datasets import load_dataset\nload_dataset('csv', data_files='x')\n'mean_error'\n", encoding="utf-8"
    )
    found = import_task(checkout, "beanWeights", checkout.with_name("local"), ImportChoices())
    assert (found.folder / "requirements.txt").read_text(encoding="utf-8") == "datasets\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "line 1: is not YAML"), ("- a\n", "expected keys with values, not list"), ("", "expected keys with values")],
)
def test_what_is_no_configuration_is_told(checkout: Path, text: str, words: str) -> None:
    """An ill-formed file is told with its line."""
    (checkout / "configs/tasks/coinGame.yaml").write_text(text, encoding="utf-8")
    assert words in problems(checkout, "coinGame")


def test_what_is_no_checkout_or_task_is_told(checkout: Path, tmp_path: Path) -> None:
    """The folder that is expected and the tasks that there are get named."""
    assert "has no configs/tasks" in problems(tmp_path, "coinGame")
    assert "there are: beanWeights, coinGame, letterModel, leverPolicy" in problems(checkout, "coin")


def test_choices_that_fit_no_file_are_told(checkout: Path) -> None:
    """Files that --pristine and --hide name must be in the workspace."""
    told = problems(checkout, "coinGame", pristine=("a.py",), hide=("b",))
    assert "--pristine a.py: no such file" in told and "--hide b: no such file" in told


def test_paths_stay_in_the_checkout(checkout: Path) -> None:
    """A starter file elsewhere on the host is refused."""
    path = checkout / "configs/tasks/coinGame.yaml"
    path.write_text(CONFIGS["coinGame"].replace("data/coinGame/opponent.py", "../opponent.py"), encoding="utf-8")
    assert "starter_code[0]: '../opponent.py' leaves the checkout" in problems(checkout, "coinGame")


def test_a_task_without_a_number_needs_a_metric(checkout: Path) -> None:
    """Where no score is stated the option that states one is named."""
    path = checkout / "configs/tasks/coinGame.yaml"
    path.write_text(CONFIGS["coinGame"].replace("baseline_scores:\n  - Points: 0.25\n", ""), encoding="utf-8")
    assert "--metric" in problems(checkout, "coinGame")


def test_a_folder_that_is_there_is_left_alone(checkout: Path, tmp_path: Path) -> None:
    """Nothing is written over, and an empty folder is filled."""
    folder = tmp_path / "there"
    folder.mkdir()
    import_task(checkout, "coinGame", folder, ImportChoices())
    with pytest.raises(OutputError, match="is there already"):
        import_task(checkout, "coinGame", folder, ImportChoices())
    assert [path.name for path in tmp_path.iterdir() if ".part-" in path.name] == []


def test_known_tasks_need_no_guess(checkout: Path) -> None:
    """MLGym's own tasks are known by their ids: how they rank, their noise, and which code is not the agent's."""
    path = checkout / "configs/tasks/coinGame.yaml"
    text = CONFIGS["coinGame"].split("secret_files")[0].replace("id: coinGame", "id: blotto").replace("Points", "Score")
    path.write_text(text.replace("opponent.py", "target.py"), encoding="utf-8")
    folder = checkout / "data/coinGame"
    (folder / "opponent.py").rename(folder / "target.py")
    evaluator = (folder / "evaluate.py").read_text(encoding="utf-8")
    (folder / "evaluate.py").write_text(evaluator.replace("opponent", "target").replace("Points", "Score"), encoding="utf-8")
    found = import_task(checkout, "coinGame", checkout.with_name("out"), ImportChoices())
    assert (found.metric, found.direction, found.notes) == ("Score", "maximize", ())
    assert (found.folder / "tests" / "pristine" / "target.py").is_file()
    assert load_task(found.folder).score_noise("full") > 0


def test_packages_are_those_the_code_imports() -> None:
    """Modules are named as their packages are, pinned where the shipped tasks pin them."""
    assert lines_for({"sklearn", "numpy", "yaml", "gymnax"}) == "gymnax\nnumpy==2.2.6\npyyaml\nscikit-learn==1.7.2\n"


def test_scores_of_a_recording_belong_to_its_steps(tmp_path: Path) -> None:
    """Each score stands with the step that shows it, and the last with the submission."""
    path = tmp_path / "run.traj"
    steps = [("validate", "No submission file found"), ("validate", validated({"a": 1.0})), ("submit", "Exited (submit)")]
    path.write_text(trajectory(steps, [{"a": 1.0}, {"a": 2.0}]), encoding="utf-8")
    recording = read_recording(path)
    assert [step.scores for step in recording.steps] == [(), ({"a": 1.0},), ({"a": 2.0},)]
    assert recording.is_of_mlgym and not recording.autosubmitted


def test_endings_of_mlgym_are_no_actions(tmp_path: Path) -> None:
    """What MLGym records where it ended an episode itself is left out, and the score it took then is known."""
    path = tmp_path / "run.traj"
    path.write_text(trajectory([("ls", "a\n"), ("exit_cost", "")], [{"a": 2.0}], "autosubmission (exit_cost)"), encoding="utf-8")
    recording = read_recording(path)
    assert [(step.action, step.scores) for step in recording.steps] == [("ls", ({"a": 2.0},))]
    assert recording.autosubmitted


def test_scores_that_fit_no_step_stay_loose(tmp_path: Path) -> None:
    """Where there are more scores than steps that show one, they are paired in their order."""
    path = tmp_path / "run.traj"
    path.write_text(trajectory([("x", ""), ("submit", "")], [{"a": 1.0}, {"a": 2.0}, {"a": 3.0}]), encoding="utf-8")
    assert len(read_recording(path).loose_scores) == 3
