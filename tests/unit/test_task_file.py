"""Task folders: what is accepted, what is refused by name, and that every mistake is told at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlgym_lite.config.network_grant import Network
from mlgym_lite.config.task_file import expand, load_task
from mlgym_lite.errors import TaskError
from mlgym_lite.shipped_files import shipped_task_names

BROKEN = Path(__file__).parent.parent / "broken_tasks"

Make = Callable[..., Path]

TOML = """\
schema_version = "1.4"
artifacts = ["answer.txt"]
{root}
[task]
name = "organisation/name"
{task}
[metadata.mlgym_lite]
metric = "Score"
direction = "maximize"
{ours}
[agent]
{agent}
[verifier]
{verifier}
[environment]
{environment}
[solution]
{solution}
{tail}
"""


def toml(**keys: str) -> str:
    """A task file with further keys in its tables."""
    tables = ("root", "task", "ours", "agent", "verifier", "environment", "solution", "tail")
    return TOML.format(**{name: keys.get(name, "") for name in tables})


def told(reference: str | Path) -> tuple[str, ...]:
    """The mistakes of a task that cannot be used, without the folder's own path."""
    with pytest.raises(TaskError) as caught:
        load_task(reference)
    return tuple(problem.replace(f"{Path(reference).resolve()}/", "") for problem in caught.value.problems)


def test_every_shipped_task_is_sound() -> None:
    """The tasks that ship with the project load."""
    for name in shipped_task_names():
        assert load_task(name).name == name


def test_a_task_is_found_by_its_file_its_folder_and_its_name(make_task: Make) -> None:
    """A task.toml, the folder that holds it and a shipped name all lead to the same kind of task."""
    folder = make_task()
    assert load_task(folder) == load_task(str(folder)) == load_task(folder / "task.toml")
    assert load_task("prisoners_dilemma").folder.name == "prisoners_dilemma"


def test_a_folder_comes_before_a_shipped_name(make_task: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of the working directory is meant where it has the name of a shipped task."""
    make_task("prisoners_dilemma")
    monkeypatch.chdir(tmp_path)
    assert load_task("prisoners_dilemma").folder == tmp_path / "prisoners_dilemma"


def test_what_does_not_exist_is_told_with_what_does(tmp_path: Path) -> None:
    """An unknown task is told with what was expected and the names of the shipped tasks."""
    with pytest.raises(TaskError, match=r"nothing: no such task\. Expected a task\.toml, a folder .* prisoners_dilemma"):
        load_task("nothing")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ill_formed", ("line 3",)),
        ("empty_file", ("artifacts: this key is required", "metadata: this key is required")),
        (
            "misspelt_keys",
            (
                "artefacts: unknown key; did you mean 'artifacts'?",
                "metadata.mlgym_lite.metrik: unknown key; did you mean 'metric'?",
                "metadata.mlgym_lite.max_step: unknown key; did you mean 'max_steps'?",
                "metadata.mlgym_lite.player.programm: unknown key; did you mean 'program'?",
                "metadata.mlgym_lite.player.program: this key is required",
                "agent.timeout_seconds: unknown key; did you mean 'timeout_sec'?",
                "enviroment: unknown key; did you mean 'environment'?",
                "environment.memory: not supported: write memory_mb",
            ),
        ),
        (
            "wrong_types",
            (
                "schema_version: expected '1.0'",
                "artifacts: expected a list: [...], not 'answer.txt'",
                "metadata.mlgym_lite.metric: expected a text in quotes, not 3",
                "metadata.mlgym_lite.direction: expected 'maximize' or 'minimize', not 'up'",
                "metadata.mlgym_lite.max_steps: expected a whole number, not 2.5",
                "metadata.mlgym_lite.validations: ",
                "metadata.mlgym_lite.command_timeout_sec: expected a number, not '30'",
                "metadata.mlgym_lite.feedback: expected 'development' or 'test', not True",
                "metadata.mlgym_lite.baseline.Score: expected a finite number",
                "agent.timeout_sec: ",
                "environment.memory_mb: expected a whole number, not '512'",
                "environment.network_mode: expected 'no-network', 'allowlist' or 'public', not 'bridge'",
                "environment.workdir: expected '/workspace', not '/app'",
            ),
        ),
        (
            "leaving_paths",
            (
                "artifacts[0]: '../answer.txt' leaves /workspace",
                "artifacts[1]: '/etc/passwd' leaves /workspace",
                "artifacts[2]: 'a/../../b' leaves /workspace",
                "metadata.mlgym_lite.requirements: '../requirements.txt' leaves the task folder",
                "metadata.mlgym_lite.grader_requirements: '/etc/hostname' leaves the task folder",
                "metadata.mlgym_lite.player.program: 'tests/../../player.py' leaves the task folder",
            ),
        ),
        (
            "missing_paths",
            (
                "instruction.md: missing",
                "tests/test.sh: missing",
                "metadata.mlgym_lite.requirements: 'requirements.txt' does not exist",
                "metadata.mlgym_lite.player.program: 'tests/player.py' does not exist",
                "metadata.mlgym_lite.baseline: lacks the metric 'Score'",
            ),
        ),
        ("dockerfile_only", ("has a Dockerfile but no task.toml",)),
        ("harbor_with_dockerfile", ("by a Dockerfile only. Missing: [metadata.mlgym_lite] with metric, direction",)),
        (
            "several_steps",
            ("steps: only `run`, `resume`, `check` and `prepare` take several",),
        ),
    ],
)
def test_each_broken_task_is_told_with_every_mistake(name: str, expected: tuple[str, ...]) -> None:
    """Every mistake of a broken task is told in one error, a line each, and nothing else is."""
    problems = told(BROKEN / name)
    for words in expected:
        assert any(words in problem for problem in problems), words
    assert len(problems) == len(expected)


def test_every_broken_task_has_its_test() -> None:
    """Each folder of broken tasks is one of the cases above."""
    cases = {
        "ill_formed", "empty_file", "misspelt_keys", "wrong_types", "leaving_paths", "missing_paths", "dockerfile_only",
        "harbor_with_dockerfile", "several_steps",
    }  # fmt: skip
    assert {folder.name for folder in BROKEN.iterdir() if folder.is_dir()} == cases


@pytest.mark.parametrize(
    "keys",
    [
        {"root": 'source = "https://example.org"'},
        {"task": 'version = "1"\ndescription = "d"\nkeywords = ["k"]\nauthors = [{ name = "A", email = "a@example.org" }]'},
        {"task": 'authors = [{ name = "A" }]'},
        {"tail": '[metadata.another]\nanything = { is = "free" }'},
        {"agent": "timeout_sec = 60"},
        {"verifier": 'timeout_sec = 60.0\nenv = { A = "b" }\nnetwork_mode = "no-network"\nenvironment_mode = "separate"'},
        {"environment": 'network_mode = "no-network"\nallow_internet = false\nos = "linux"\nworkdir = "/workspace"'},
        {"environment": 'cpus = 1.5\nmemory_mb = 512\nstorage_mb = 64\ngpus = 0\nenv = { A = "${B:-c}" }'},
        {"environment": "mcp_servers = []\nallowed_hosts = []"},
        {"solution": 'env = { A = "b" }'},
    ],
)
def test_what_harbor_states_and_this_project_keeps_is_accepted(make_task: Make, keys: dict[str, str]) -> None:
    """Keys of Harbor's schema whose meaning holds here are accepted."""
    load_task(make_task(toml=toml(**keys)))


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"root": 'schema_version = "2.0"'}, "schema_version"),
        ({"root": 'multi_step_reward_strategy = "final"'}, "multi_step_reward_strategy"),
        ({"tail": '[[steps]]\nname = "a"'}, "steps"),
        ({"agent": 'user = "root"'}, "user"),
        ({"agent": "user = 0"}, "user"),
        ({"agent": 'network_mode = "bridge"'}, "network_mode"),
        ({"agent": 'allowed_hosts = ["example.org"]'}, "allowed_hosts"),
        ({"verifier": 'user = "root"'}, "user"),
        ({"verifier": 'network_mode = "public"'}, "network_mode"),
        ({"verifier": 'allowed_hosts = ["example.org"]'}, "allowed_hosts"),
        ({"verifier": 'environment_mode = "shared"'}, "environment_mode"),
        ({"verifier": "environment = { cpus = 1 }"}, "environment"),
        ({"verifier": 'collect = [{ command = "true" }]'}, "collect"),
        ({"environment": "network_mode = true"}, "network_mode"),
        ({"environment": 'network_mode = "allowlist"'}, "network_mode"),
        ({"environment": 'allowed_hosts = ["example.org"]'}, "allowed_hosts"),
        ({"environment": 'docker_image = "python:3.11"'}, "docker_image"),
        ({"environment": 'os = "windows"'}, "os"),
        ({"environment": 'gpu_types = ["A100"]'}, "gpu_types"),
        ({"environment": 'tpu = { type = "v4", topology = "2x2" }'}, "tpu"),
        ({"environment": 'mcp_servers = [{ name = "a", transport = "sse" }]'}, "mcp_servers"),
        ({"environment": 'skills_dir = "skills"'}, "skills_dir"),
        ({"environment": 'healthcheck = { command = "true" }'}, "healthcheck"),
        ({"environment": 'workdir = "/app"'}, "workdir"),
        ({"environment": "allow_internet = true"}, "allow_internet"),
        ({"environment": 'memory = "2G"'}, "memory"),
        ({"environment": 'storage = "10G"'}, "storage"),
        ({"environment": "cpus = 0"}, "cpus"),
        ({"environment": "env = { A = 1 }"}, "env"),
        ({"tail": "[mlgym_lite]\nmetric = 'x'"}, "mlgym_lite"),
    ],
)
def test_what_harbor_states_and_this_project_cannot_keep_is_refused_by_name(
    make_task: Make, keys: dict[str, str], name: str
) -> None:
    """A task never runs under weaker promises than its file states: the key is named."""
    text = toml(**keys)
    if "schema_version" in keys.get("root", ""):
        text = text.replace('schema_version = "1.4"\n', "", 1)
    (problem,) = told(make_task(toml=text))
    assert name in problem.partition(": ")[2]


def test_the_old_name_of_the_version_is_not_ignored(make_task: Make) -> None:
    """A version stated by Harbor's older key is held to the same versions."""
    assert any("version" in problem for problem in told(make_task(toml=toml(root='version = "9.9"'))))


def test_a_grader_that_asks_for_network_is_told_why_it_cannot_have_it(make_task: Make) -> None:
    """The refusal of a public network for the verifier says that graders have none."""
    (problem,) = told(make_task(toml=toml(verifier='network_mode = "public"')))
    assert "a grader has no network" in problem


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, None),
        ({"environment": 'network_mode = "public"'}, Network(mode="public")),
        (
            {"environment": 'network_mode = "allowlist"\nallowed_hosts = ["pypi.org"]'},
            Network(mode="allowlist", allowed_hosts=("pypi.org",)),
        ),
        (
            {"environment": 'network_mode = "allowlist"\nallowed_hosts = ["a.org"]', "agent": 'allowed_hosts = ["b.org"]'},
            Network(mode="allowlist", allowed_hosts=("b.org",)),
        ),
        (
            {"environment": 'network_mode = "allowlist"\nallowed_hosts = ["a.org"]', "agent": 'network_mode = "no-network"'},
            Network(),
        ),
    ],
)
def test_the_network_a_task_asks_for(make_task: Make, keys: dict[str, str], expected: Network | None) -> None:
    """[environment] states what the agent is to reach, and [agent] wins over it."""
    assert load_task(make_task(toml=toml(**keys))).asked_network == expected


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"environment": 'network_mode = "allowlist"'}, 'environment.network_mode: "allowlist" needs allowed_hosts'),
        ({"agent": 'network_mode = "allowlist"'}, 'agent.network_mode: "allowlist" needs allowed_hosts'),
        ({"environment": 'allowed_hosts = ["pypi.org"]'}, "environment.allowed_hosts: goes with network_mode"),
        (
            {"environment": 'network_mode = "allowlist"\nallowed_hosts = ["http://pypi.org"]'},
            "environment.allowed_hosts[0]: 'http://pypi.org': is no host",
        ),
    ],
)
def test_an_allow_list_that_cannot_be_meant_is_refused(make_task: Make, keys: dict[str, str], words: str) -> None:
    """An allow-list without hosts, hosts without the mode, and what is no host are mistakes of the file."""
    (problem,) = told(make_task(toml=toml(**keys)))
    assert words in problem


@pytest.mark.parametrize("artifacts", ['["answer.txt", "answer.txt"]', '["folder", "folder/file"]', '["./a", "a"]'])
def test_an_artifact_named_twice_is_refused(make_task: Make, artifacts: str) -> None:
    """Two artifacts that overlap are a mistake of the file, found before anything starts."""
    assert told(make_task(toml=toml().replace('["answer.txt"]', artifacts)))


@pytest.mark.parametrize("name", ['"a\\u0000b"', '""', '".."', '"/elsewhere"'])
def test_an_artifact_is_a_path_below_the_workspace(make_task: Make, name: str) -> None:
    """What lies elsewhere, and what is no path, is no artifact."""
    assert told(make_task(toml=toml().replace('"answer.txt"', name)))


@pytest.mark.parametrize("name", ['"/workspace/answer.txt"', '"answer.txt/"', '"./answer.txt"', '{ source = "answer.txt" }'])
def test_an_artifact_may_be_written_in_several_ways(make_task: Make, name: str) -> None:
    """Absolute names below /workspace and Harbor's table mean the same artifact."""
    assert load_task(make_task(toml=toml().replace('"answer.txt"', name))).artifacts == ("answer.txt",)


@pytest.mark.parametrize("value", ["tests", ".", ""])
def test_a_requirements_file_is_a_file(make_task: Make, value: str) -> None:
    """A folder in the place of a file is told before anything starts."""
    assert told(make_task(toml=toml(ours=f'requirements = "{value}"')))


def test_a_path_with_a_nul_character_is_refused(make_task: Make) -> None:
    """What no path can hold is a mistake of the file."""
    assert told(make_task(toml=toml(ours='requirements = "a\\u0000b"')))


@pytest.mark.parametrize("place", ["environment", "tests", "solution", "cheats"])
def test_a_link_that_leaves_the_task_folder_is_refused(make_task: Make, place: str) -> None:
    """No file of a task may lead to a file outside it."""
    folder = make_task()
    (folder / place / "link").symlink_to("/etc/passwd")
    assert told(folder) == (f"{place}/link: a link that leaves the task folder",)


def test_a_link_within_the_task_folder_is_accepted(make_task: Make) -> None:
    """Links inside a task are its own business."""
    folder = make_task()
    (folder / "environment" / "link").symlink_to("answer.txt")
    load_task(folder)


@pytest.mark.parametrize("place", ["environment", "tests", "solution"])
def test_a_folder_that_is_itself_a_link_out_is_refused(make_task: Make, place: str) -> None:
    """A task's folders are its own."""
    folder, other = make_task(), make_task("other")
    for path in sorted((folder / place).rglob("*"), reverse=True):
        path.unlink()
    (folder / place).rmdir()
    (folder / place).symlink_to(other / place)
    assert told(folder)


def test_a_link_to_itself_is_refused_or_accepted(make_task: Make) -> None:
    """A link that leads nowhere raises nothing but TaskError."""
    folder = make_task()
    (folder / "environment" / "loop").symlink_to("loop")
    try:
        load_task(folder)
    except TaskError as error:
        assert error.problems


def test_an_instruction_that_is_not_text_is_refused(make_task: Make) -> None:
    """The instruction is UTF-8 text, and this is found before anything starts."""
    folder = make_task()
    (folder / "instruction.md").write_bytes(b"\xff")
    assert told(folder)


def test_wrong_keys_and_wrong_paths_are_told_together(make_task: Make) -> None:
    """A misspelt key does not hide a path that leaves the folder."""
    problems = "\n".join(told(make_task(toml=toml(ours='requirements = "../x"\nmetrik = "a"'))))
    assert "metrik" in problems
    assert "leaves the task folder" in problems


def test_the_digest_tells_apart_what_a_task_says(make_task: Make) -> None:
    """Any change of any file changes the digest; caches of Python do not."""
    folder = make_task()
    before = load_task(folder).digest
    (folder / "tests" / "__pycache__").mkdir()
    (folder / "tests" / "__pycache__" / "a.pyc").write_bytes(b"x")
    assert load_task(folder).digest == before
    (folder / "instruction.md").write_text("Something else.\n", encoding="utf-8")
    assert load_task(folder).digest != before


def test_variables_are_filled_from_the_environment() -> None:
    """${NAME} and ${NAME:-default} are filled as Harbor fills them; other dollars stay."""
    values = {"A": "${HERE}/x", "B": "${NOT_HERE:-default}", "C": "${NOT_HERE:-}", "D": "$HERE 5$", "E": "${HERE:-d}"}
    filled = expand(values, {"HERE": "h"}, "t")
    assert filled == {"A": "h/x", "B": "default", "C": "", "D": "$HERE 5$", "E": "h"}


def test_variables_that_are_not_set_are_all_told() -> None:
    """Every variable a task needs and does not find is named at once."""
    with pytest.raises(TaskError, match=r"needs the environment variables ONE, TWO"):
        expand({"A": "${ONE}", "B": "${TWO}"}, {}, "t")


def test_the_whole_workspace_may_be_an_artifact(make_task: Make) -> None:
    """It is named "." or by its path, and names right in it can be left out."""
    task = load_task(make_task(toml=toml().replace('["answer.txt"]', '[{ source = ".", exclude = ["data"] }]')))
    assert (task.artifacts, task.left_out) == ((".",), {"data"})
    whole = load_task(make_task("whole", toml=toml().replace('["answer.txt"]', '["/workspace"]')))
    assert (whole.artifacts, whole.left_out) == ((".",), frozenset())


@pytest.mark.parametrize(
    ("artifacts", "words"),
    [
        ('[{ source = "a", exclude = ["b"] }]', 'artifacts[0].exclude: goes with the source "." only'),
        ('[{ source = ".", exclude = ["a/b"] }]', "artifacts[0].exclude: expected names right in the workspace, not 'a/b'"),
        ('[".", "a"]', "artifacts[1]: 'a' is named twice, or lies in a folder that is named too"),
    ],
)
def test_what_cannot_be_left_out_of_an_artifact_is_told(make_task: Make, artifacts: str, words: str) -> None:
    """Leaving out is for the whole workspace, and for names right in it."""
    (line,) = told(make_task(toml=toml().replace('["answer.txt"]', artifacts)))
    assert words in line
