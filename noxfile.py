"""Every check of the project, each in an environment of its own: `nox` runs the default ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "types", "tests", "installed"]
nox.options.error_on_missing_interpreters = True


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format and import directions."""
    session.install("-e", ".", "ruff>=0.5", "import-linter>=2.0")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", "mlgym_lite", "tests", "benchmarks", "noxfile.py")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The whole suite; arguments go to pytest."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session
def kernel(session: nox.Session) -> None:
    """The tests that need a sandbox, which must be there."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-m", "kernel", *session.posargs, env={"MLGYM_LITE_REQUIRE": "kernel"})


@nox.session
def installed(session: nox.Session) -> None:
    """The built wheel, away from the checkout: its tasks and profiles are inside, an episode runs and its page is made."""
    wheels = Path(session.create_tmp()).resolve() / "wheels"
    session.run("uv", "build", "--wheel", "--out-dir", str(wheels), external=True)
    wheel = max(wheels.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    session.install(str(wheel))
    elsewhere = Path(session.create_tmp()).resolve() / "else where"
    elsewhere.mkdir(exist_ok=True)
    os.chdir(elsewhere)
    listed = json.loads(str(session.run("mlgym-lite", "tasks", "--json", silent=True)))
    assert {"prisoners_dilemma", "house_price"} <= {task["name"] for task in listed}, listed
    origin = session.run("python", "-c", "import mlgym_lite; print(mlgym_lite.__file__)", silent=True)
    assert "site-packages" in str(origin), origin
    command = ["mlgym-lite", "run", "battle_of_sexes", "--agent", "baseline", "--variant", "mini", "--json", "--quiet"]
    result = json.loads(str(session.run(*command, silent=True, stderr=None)))
    assert result["score"]["value"] > 0.9, result
    session.run("mlgym-lite", "view", result["run_directory"], "--output", "page.html")


@nox.session
def bench(session: nox.Session) -> None:
    """Timings as ratios; arguments go to the benchmarks."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Thousands of episodes with faults at random; arguments go to the soak (--episodes, --minutes, --seed, --workers)."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/soak/soak.py", *session.posargs)


@nox.session
def reference(session: nox.Session) -> None:
    """The simulators against gymnasium, MinAtar and gymnax, step by step."""
    session.install("-e", ".[reference]", "pytest", "pytest-timeout")
    required = {"MLGYM_LITE_REQUIRE": "reference"}
    session.run("pytest", "-m", "reference", "tests/unit/test_simulators_reference.py", *session.posargs, env=required)


@nox.session
def trainers(session: nox.Session) -> None:
    """The trainer, and TRL, verifiers and SkyRL with what the gym gives them. A build of torch in pip's `find-links` is taken."""
    links = {"UV_FIND_LINKS": os.environ["PIP_FIND_LINKS"]} if os.environ.get("PIP_FIND_LINKS") else {}
    session.install("-e", ".[plots,trainers]", "pip", "pytest", "pytest-timeout", env=links)
    folder = session.create_tmp()
    # no Python before 3.12 installs SkyRL, whose files the tests read
    download = ["download", "--no-deps", "--only-binary=:all:", "--python-version=3.12", "--dest", folder, "skyrl==0.4.0"]
    session.run("python", "-m", "pip", "--quiet", *download)
    (wheel,) = Path(folder).resolve().glob("skyrl-*.whl")
    required = {"MLGYM_LITE_REQUIRE": "kernel,trainers", "MLGYM_LITE_SKYRL": str(wheel)}
    session.run("pytest", "tests/trainers", *session.posargs, env=required)


@nox.session
def openenv(session: nox.Session) -> None:
    """The real client of OpenEnv; apart from the trainers, since verifiers and it need different versions of one package."""
    session.install("-e", ".[openenv]", "openenv==0.10.0", "pytest", "pytest-timeout")
    session.run("pytest", "tests/openenv_client", *session.posargs, env={"MLGYM_LITE_REQUIRE": "kernel,openenv"})


@nox.session
def check_tasks(session: nox.Session) -> None:
    """Every shipped task in the mini variant: baseline, empty submission, cheats."""
    session.install("-e", ".")
    session.run("mlgym-lite", "check", "--all", *session.posargs)
