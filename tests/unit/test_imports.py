"""What an import and a help text cost: heavy libraries load where they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mlgym_lite


def _modules_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_no_library() -> None:
    """`import mlgym_lite` loads neither pydantic nor numpy nor click, and starts nothing."""
    loaded = _modules_after("import mlgym_lite")
    assert loaded.isdisjoint({"pydantic", "numpy", "click", "psutil", "rich", "subprocess", "threading"})


def test_help_loads_no_pydantic() -> None:
    """`mlgym-lite --help` is quick: it loads neither pydantic nor numpy nor any command."""
    code = (
        "import sys\nfrom mlgym_lite.cli.main import main\nsys.argv = ['mlgym-lite', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )
    loaded = _modules_after(code)
    assert loaded.isdisjoint(
        {"pydantic", "numpy", "psutil", "matplotlib", "mlgym_lite.episode.engine", "mlgym_lite.cli.run_command"}
    )


@pytest.mark.parametrize("command", ["run", "tasks", "check", "prepare", "doctor", "shell", "replay", "report"])
def test_help_of_a_command_loads_no_engine(command: str) -> None:
    """The help text of a command loads neither pydantic nor the engine."""
    code = (
        f"import sys\nfrom mlgym_lite.cli.main import main\nsys.argv = ['mlgym-lite', {command!r}, '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert _modules_after(code).isdisjoint({"pydantic", "numpy", "mlgym_lite.episode.engine"})


def test_every_public_name_loads() -> None:
    """Each name in __all__ is there, is documented and is listed by dir()."""
    for name in mlgym_lite.__all__:
        assert getattr(mlgym_lite, name).__doc__
        assert name in dir(mlgym_lite)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name the package does not have raises AttributeError with that name."""
    with pytest.raises(AttributeError, match="'Epsiode'"):
        _ = mlgym_lite.Epsiode
