"""Where things lie on a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlgym_lite.config.places import places


@pytest.mark.parametrize(
    ("environment", "cache"),
    [
        ({"MLGYM_LITE_CACHE": "/c", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/c"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/mlgym-lite"),
        ({"HOME": "/h"}, "/h/.cache/mlgym-lite"),
        ({"MLGYM_LITE_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/mlgym-lite"),
    ],
)
def test_the_cache_is_the_first_that_is_named(environment: dict[str, str], cache: str) -> None:
    """MLGYM_LITE_CACHE comes before XDG_CACHE_HOME before the home folder; empty counts as not set."""
    assert places(environment).cache == Path(cache)


@pytest.mark.parametrize(
    ("environment", "data"),
    [
        ({"MLGYM_LITE_CACHE": "/c"}, "/c/data"),
        ({"MLGYM_LITE_CACHE": "/c", "MLGYM_LITE_DATA": "/d"}, "/d"),
        ({"MLGYM_LITE_CACHE": "/c", "MLGYM_LITE_DATA": ""}, "/c/data"),
    ],
)
def test_the_data_folder_is_named_or_in_the_cache(environment: dict[str, str], data: str) -> None:
    """MLGYM_LITE_DATA names the data folder; without it, it is in the cache."""
    assert places(environment).data == Path(data)


def test_the_option_comes_before_the_environment() -> None:
    """A folder given on the command line overrides MLGYM_LITE_DATA."""
    assert places({"MLGYM_LITE_CACHE": "/c", "MLGYM_LITE_DATA": "/d"}, data=Path("/e")).data == Path("/e")


def test_relative_places_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Relative names are relative to the working directory at the time of asking."""
    monkeypatch.chdir(tmp_path)
    found = places({"MLGYM_LITE_CACHE": "c", "MLGYM_LITE_DATA": "d"})
    assert (found.cache, found.data) == (tmp_path / "c", tmp_path / "d")


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`~` in a named folder is the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places({"MLGYM_LITE_CACHE": "~/c"}).cache == tmp_path / "c"


def test_a_user_without_home_variable_has_a_cache() -> None:
    """Without HOME, the password file's home folder holds the cache."""
    assert places({}).cache == Path.home() / ".cache" / "mlgym-lite"
