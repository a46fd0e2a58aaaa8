"""What an evaluator's code says about itself, read and never run: what it imports, names, loads and draws.

The code of the evaluator and of every file of the workspace that it imports, directly or through others, is looked at as a
syntax tree. What cannot be seen this way (a name put together at run time) is not found; so what is found is a lower bound.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mlgym_lite.config.actions_file import MLGYM_WORKSPACE

_RUNS_WHAT_IT_READS = {
    "pickle.load", "pickle.loads", "cPickle.load", "dill.load", "joblib.load", "cloudpickle.load", "torch.load",
    "pd.read_pickle", "pandas.read_pickle", "eval", "exec", "os.system", "os.popen", "importlib.import_module", "__import__",
    "runpy.run_path",
}  # fmt: skip
_DOWNLOADS = {"load_dataset", "hf_hub_download", "snapshot_download", "urlopen", "urlretrieve"}
_MAY_DOWNLOAD = {"from_pretrained", "pipeline"}
_CLOCKS = {"time.time", "time.perf_counter", "time.monotonic", "timeit.default_timer"}
_DRAWS = ("random.", "np.random.", "numpy.random.")
_SEEDS = {"seed", "manual_seed", "PRNGKey", "default_rng", "RandomState", "set_seed"}


@dataclass(kw_only=True)
class Facts:
    """What was seen in one program and the workspace's files that it imports."""

    imported: dict[str, str] = field(default_factory=dict)
    """Files of the workspace that are imported, each with the file that imports it."""
    packages: set[str] = field(default_factory=set)
    """Top-level modules from elsewhere, without the standard library."""
    texts: set[str] = field(default_factory=set)
    runs_what_it_reads: set[str] = field(default_factory=set)
    """Calls that run code found in data, with their line: `torch.load (evaluate.py:3)`."""
    downloads: set[str] = field(default_factory=set)
    may_download: set[str] = field(default_factory=set)
    """Calls that take a place on this host or a name on a hub."""
    clocks: set[str] = field(default_factory=set)
    fixed_seeds: set[str] = field(default_factory=set)
    seeds: set[str] = field(default_factory=set)
    draws: set[str] = field(default_factory=set)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Files that are not Python, with the reason."""


def look_at(program: str, files: Mapping[str, Path]) -> Facts:
    """Look at a program of the workspace and at what it imports from there."""
    facts = Facts()
    waiting, seen = [program], {program}
    while waiting:
        name = waiting.pop(0)
        try:
            tree = ast.parse(files[name].read_bytes())
        except (SyntaxError, ValueError) as error:
            facts.unreadable[name] = str(error)
            continue
        _Look(name, facts).visit(tree)
        for module in _imports(tree, name):
            found = list(_workspace_files(module, name, files))
            for other in found:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
                    facts.imported[other] = name
            top = module.split(".")[0]
            if not found and top and top not in sys.stdlib_module_names:
                facts.packages.add(top)
    return facts


def named_files(facts: Facts, files: Set[str]) -> set[str]:
    """The files of the workspace that a program names in its texts, or whose folder it names."""
    named = set()
    for text in facts.texts:
        if not text or len(text) > 300 or "\n" in text:
            continue
        plain = text.removeprefix(f"{MLGYM_WORKSPACE}/").removeprefix("./").rstrip("/")
        named |= {name for name in files if name == plain or ("/" in text and name.startswith(f"{plain}/"))}
        if "/" not in plain and "." in plain:  # joined to a folder elsewhere in the code
            named |= {name for name in files if PurePosixPath(name).name == plain}
    return named


def _imports(tree: ast.AST, name: str) -> Iterator[str]:
    package = PurePosixPath(name).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names if module and alias.name != "*")


def _workspace_files(module: str, importer: str, files: Mapping[str, Path]) -> Iterator[str]:
    """The files a module's name stands for, seen from the workspace and from the folder of the program."""
    for top in (PurePosixPath(), PurePosixPath(importer).parent):
        parts = module.split(".")
        for length in range(1, len(parts) + 1):
            plain = top.joinpath(*parts[:length])
            yield from (name for name in (f"{plain}.py", f"{plain}/__init__.py") if name in files and name != importer)


class _Look(ast.NodeVisitor):
    """Notes what one file says."""

    def __init__(self, name: str, facts: Facts) -> None:
        self._name = name
        self._facts = facts
        self._aliases: dict[str, str] = {}

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.asname:
                self._aliases[alias.asname] = alias.name

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self._aliases[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._facts.texts.add(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        called = self._dotted(node.func)
        last = called.rpartition(".")[2]
        place = f"{called} ({self._name}:{node.lineno})"
        if called in _RUNS_WHAT_IT_READS and not _is_weights_only(node):
            self._facts.runs_what_it_reads.add(place)
        if called.startswith("subprocess.") or (last == "load" and _has(node, "allow_pickle", value=True)):
            self._facts.runs_what_it_reads.add(place)
        if last in _DOWNLOADS and not _names_a_place(node):
            self._facts.downloads.add(place)
        if last in _MAY_DOWNLOAD and not _names_a_place(node):
            self._facts.may_download.add(place)
        if called in _CLOCKS:
            self._facts.clocks.add(place)
        if last in _SEEDS:
            self._facts.seeds.add(place)
            if node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value is not None:
                self._facts.fixed_seeds.add(place)
        elif called.startswith(_DRAWS):
            self._facts.draws.add(place)
        self.generic_visit(node)

    def _dotted(self, node: ast.AST) -> str:
        if isinstance(node, ast.Attribute):
            return f"{self._dotted(node.value)}.{node.attr}"
        if isinstance(node, ast.Name):
            return self._aliases.get(node.id, node.id)
        return ""


def _has(node: ast.Call, name: str, *, value: bool) -> bool:
    return any(word.arg == name and isinstance(word.value, ast.Constant) and word.value.value is value for word in node.keywords)


def _is_weights_only(node: ast.Call) -> bool:
    return _has(node, "weights_only", value=True)


def _names_a_place(node: ast.Call) -> bool:
    """Whether what is loaded is a path of the workspace, as local models and data are."""
    if any(word.arg in ("data_files", "data_dir") for word in node.keywords):
        return True
    first = node.args[0] if node.args else None
    return isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value.startswith(("/", "./", "data/"))
