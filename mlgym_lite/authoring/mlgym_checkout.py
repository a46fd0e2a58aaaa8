"""Reading one task of a MLGym checkout: its configuration, its data sets and the files MLGym would put into the workspace.

A task is a YAML file below the checkout's configs/; it names data sets (YAML files as well) and, relative to the checkout,
starter files. MLGym copies a local data set to `data` in the workspace, a second one into it, and then each starter file or
folder beside it. Nothing of the checkout is imported or run here. Every mistake is told in one TaskError, with file and key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field

from mlgym_lite.config.harbor import Table
from mlgym_lite.config.toml_errors import TomlProblems, parse
from mlgym_lite.errors import TaskError

Kind = Literal["csv", "model", "lm", "python"]

KINDS: Mapping[str, Kind] = {
    "CSVSubmissionTasks": "csv",
    "ModelSubmissionTasks": "model",
    "LMSubmissionTasks": "lm",
    "PythonSubmissionTasks": "python",
}
_USUAL_TIMEOUT_SECONDS = 3600
_SHOWN_FILES = 20

Model = TypeVar("Model", bound=Table)
Text = Annotated[str, Field(min_length=1)]


class SplitFile(Table):
    """A split of a data set; MLGym reads it and uses it for nothing."""

    name: str
    file_regex: str


class DatasetFile(Table):
    """A file below configs/datasets."""

    name: str
    description: str
    data_path: Text
    is_local: bool = False
    train_split: SplitFile | None = None
    valid_split: SplitFile | None = None
    test_split: SplitFile | None = None


class TaskFile(Table):
    """A file below configs/tasks."""

    id: Text
    name: str
    description: str
    dataset_configs: list[Text] = Field(default=[])
    task_entrypoint: Literal["CSVSubmissionTasks", "ModelSubmissionTasks", "LMSubmissionTasks", "PythonSubmissionTasks"] = (
        "CSVSubmissionTasks"
    )
    training_timeout: Annotated[int, Field(ge=1)] | None = None
    requirements_path: str | None = None
    benchmark_name: str | None = None
    use_generic_conda: bool = True
    starter_code: list[Text] = Field(default=[])
    baseline_paths: list[Text] = Field(default=[])
    baseline_scores: list[dict[str, Any]] = Field(default=[])
    sample_submission: str | None = None
    evaluation_paths: list[Text] = Field(default=[])
    evaluation_read_only: bool = False
    secret_files: list[Text] = Field(default=[])
    memory_path: str | None = None


@dataclass(frozen=True, kw_only=True)
class MLGymTask:
    """One task of a checkout, complete."""

    id: str
    name: str
    description: str
    """With the data sets' texts in their place."""
    config: Path
    kind: Kind
    timeout_seconds: int
    requirements: Path | None
    """The task's own list of packages, where it has one."""
    files: Mapping[str, Path]
    """What MLGym puts into the workspace: path there to the file in the checkout."""
    data: frozenset[str]
    """Those of the files that belong to a data set."""
    baseline_program: str | None
    baseline: Mapping[str, float]
    """Its numbers; empty where the configuration states none."""
    evaluator: str
    read_only_evaluator: bool
    memory_path: str | None
    secret_files: tuple[str, ...]
    """Files the configuration calls secret, by their names in the workspace; MLGym shows them all the same."""


def read_task(checkout: Path, config: str) -> MLGymTask:
    """Read a task by its YAML file (its path, its path below configs/, or its name); raises TaskError with every mistake."""
    path = _find_config(checkout, config)
    problems: list[str] = []
    content = _read(TaskFile, path, problems)
    if content is None:
        raise TaskError(f"{path}: is no task of MLGym that can be imported:", tuple(problems))
    reader = _Reader(checkout, path, content, problems)
    task = reader.task()
    if problems:
        raise TaskError(f"{path}: is no task of MLGym that can be imported:", tuple(dict.fromkeys(problems)))
    assert task is not None
    return task


def _find_config(checkout: Path, config: str) -> Path:
    configs = checkout / "configs"
    if not (configs / "tasks").is_dir():
        raise TaskError(f"{checkout}: is no checkout of MLGym: it has no configs/tasks")
    for path in (
        Path(config),
        checkout / config,
        configs / config,
        configs / "tasks" / config,
        configs / "tasks" / f"{config}.yaml",
    ):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in (configs / "tasks").glob("*.yaml"))) or "none"
    raise TaskError(f"{config}: no such file, nor a task of {configs / 'tasks'} (there are: {known})")


def _read(model: type[Model], path: Path, problems: list[str]) -> Model | None:
    """A YAML file as a model; None with its mistakes noted."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TomlProblems((f"{path}: expected keys with values, not {type(content).__name__}",))
        return parse(model, {str(key): value for key, value in content.items()}, str(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problems.append(f"{path}: {line}is not YAML ({getattr(error, 'problem', None) or error})")
    except UnicodeDecodeError as error:
        problems.append(f"{path}: is not UTF-8 text (byte {error.start})")
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror or error}")
    except TomlProblems as error:
        problems += error.problems
    return None


class _Reader:
    """Resolves what a task's file names; lives for one reading."""

    def __init__(self, checkout: Path, path: Path, content: TaskFile, problems: list[str]) -> None:
        self._checkout = checkout
        self._path = path
        self._content = content
        self._problems = problems
        self._files: dict[str, Path] = {}

    def task(self) -> MLGymTask | None:
        """The task, or None where a mistake is too grave to have one."""
        content = self._content
        docs = self._add_datasets()
        data = frozenset(self._files)
        for number, entry in enumerate(content.starter_code):
            self._add(entry, "", f"starter_code[{number}]")
        if content.sample_submission is not None and not (self._checkout / content.sample_submission).is_file():
            self._wrong("sample_submission", f"{content.sample_submission!r} does not exist in {self._checkout}")
        requirements = self._requirements()
        evaluator = self._named(content.evaluation_paths, "evaluation_paths")
        baseline_program = self._named(content.baseline_paths, "baseline_paths")
        if not content.evaluation_paths:
            self._wrong("evaluation_paths", "is empty; expected the program that scores, as it is named in the workspace")
        if evaluator is None:
            return None
        return MLGymTask(
            id=content.id, name=content.name, description=_formatted(content.description, docs), config=self._path,
            kind=KINDS[content.task_entrypoint], timeout_seconds=content.training_timeout or _USUAL_TIMEOUT_SECONDS,
            requirements=requirements, files=dict(sorted(self._files.items())), data=data,
            baseline_program=baseline_program, baseline=self._baseline(),
            evaluator=evaluator, read_only_evaluator=content.evaluation_read_only, memory_path=content.memory_path,
            secret_files=tuple(self._secret(name) for name in content.secret_files),
        )  # fmt: skip

    def _wrong(self, key: str, text: str) -> None:
        self._problems.append(f"{self._path}: {key}: {text}")

    def _add_datasets(self) -> str:
        docs = ""
        for number, name in enumerate(self._content.dataset_configs):
            path = self._checkout / "configs" / name
            if not path.is_file():
                self._wrong(f"dataset_configs[{number}]", f"{name!r} does not exist in {self._checkout / 'configs'}")
                continue
            dataset = _read(DatasetFile, path, self._problems)
            if dataset is None:
                continue
            docs += f"{dataset.name.upper()}:\n{dataset.description}\n\n"
            if dataset.is_local:
                self._add(dataset.data_path, "data", "data_path", path)
            else:
                self._problems.append(f"{path}: data_path: {_from_a_hub(dataset)}")
        return docs

    def _add(self, entry: str, place: str, key: str, path: Path | None = None) -> None:
        """Note what MLGym copies for one entry: into a folder that is there, or as one that is not yet."""
        file = path or self._path
        source = self._checkout / entry
        if ".." in PurePosixPath(entry).parts:
            self._problems.append(f"{file}: {key}: {entry!r} leaves the checkout")
        elif not source.exists():
            where = "; it is not part of MLGym's repository, put it there" if key == "data_path" else ""
            self._problems.append(f"{file}: {key}: {entry!r} does not exist in {self._checkout}{where}")
        elif source.is_file():
            self._files[str(PurePosixPath(place or ".") / source.name)] = source
        else:
            is_there = not place or any(name.startswith(f"{place}/") for name in self._files)
            top = PurePosixPath(place or ".") / source.name if is_there else PurePosixPath(place)
            found = {str(top / name): inner for name, inner in _files_below(source)}
            self._problems += [
                f"{file}: {key}: {inner}: a link that leads nowhere" for inner in found.values() if not inner.exists()
            ]
            if not found:
                self._problems.append(f"{file}: {key}: {entry!r} is an empty folder")
            self._files.update(found)

    def _named(self, paths: list[str], key: str) -> str | None:
        """The first of the programs, as MLGym runs no other; it must be among the files."""
        if not paths:
            return None
        name = str(PurePosixPath(paths[0]))
        if name in self._files:
            return name
        there = ", ".join([name for name in sorted(self._files) if name.endswith(".py")][:_SHOWN_FILES]) or "nothing"
        self._wrong(f"{key}[0]", f"{paths[0]!r} is not in the workspace, where the starter files put these programs: {there}")
        return None

    def _requirements(self) -> Path | None:
        content = self._content
        if content.requirements_path is None:
            if not content.use_generic_conda:
                self._wrong("requirements_path", "this key is required, as use_generic_conda is false")
            return None
        path = self._checkout / content.requirements_path
        if not path.is_file():
            self._wrong("requirements_path", f"{content.requirements_path!r} does not exist in {self._checkout}")
            return None
        return path

    def _baseline(self) -> dict[str, float]:
        scores = self._content.baseline_scores
        return {name: float(value) for name, value in scores[0].items() if _is_number(value)} if scores else {}

    def _secret(self, name: str) -> str:
        plain = PurePosixPath(name)
        return str(plain) if str(plain) in self._files else plain.name


def _files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if (path.is_file() or (path.is_symlink() and not path.exists())) and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _formatted(description: str, docs: str) -> str:
    """The description as MLGym shows it; where a brace of the text would have stopped MLGym, it stays as it is."""
    try:
        return description.format(dataset_docs=docs)
    except (KeyError, IndexError, ValueError, AttributeError):
        return description.replace("{dataset_docs}", docs)


def _from_a_hub(dataset: DatasetFile) -> str:
    return (
        f"{dataset.data_path!r} is downloaded from a hub while the agent works, and a sandbox has no network: not imported. "
        "Download it to a folder of the checkout, name that folder in data_path, set is_local: true, and let baseline and "
        "evaluator read it from data/; or use the shipped task of this kind (`mlgym-lite tasks`)"
    )
