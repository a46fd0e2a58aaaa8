"""Reading a TOML file into a pydantic model, with every mistake told at once: file, key, what was expected.

An unknown key is told with the nearest key that exists at its place.
"""

from __future__ import annotations

import difflib
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mlgym_lite.config.refusal import Refusal
from mlgym_lite.errors import MLGymLiteError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Model = TypeVar("Model", bound=BaseModel)

_EXPECTED = {
    "missing": "this key is required",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "string_type": "expected a text in quotes",
    "bool_type": "expected true or false",
    "list_type": "expected a list: [...]",
    "dict_type": "expected a table",
    "model_type": "expected a table",
    "finite_number": "expected a finite number",
    "too_short": "expected at least one entry",
    "string_too_short": "expected a text that is not empty",
}


class TomlProblems(MLGymLiteError):
    """The mistakes of one file, a line each; callers give it their own name and words."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file; raises TomlProblems with the line where it is ill-formed."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise TomlProblems((f"{path}: is not a regular file",))
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise TomlProblems((f"{path}: cannot be read: {error.strerror or error}",)) from error
    except UnicodeDecodeError as error:
        raise TomlProblems((f"{path}: is not UTF-8 text (byte {error.start})",)) from error
    except tomllib.TOMLDecodeError as error:
        raise TomlProblems((f"{path}: is not TOML: {error}",)) from error
    except RecursionError as error:
        raise TomlProblems((f"{path}: is nested too deep",)) from error


def parse(model: type[Model], content: Mapping[str, Any], where: str) -> Model:
    """Turn content into a model; raises TomlProblems with every mistake. `where` starts each line (the file)."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = tuple(dict.fromkeys(_problem(model, where, details) for details in error.errors()))
        raise TomlProblems(problems) from error


def _problem(model: type[BaseModel], where: str, details: ErrorDetails) -> str:
    place = list(details["loc"])
    if details["type"] == "extra_forbidden":
        return f"{where}: {_dotted(place)}: unknown key{_nearest(model, place)}"
    given = details.get("input")
    says_itself = details["type"] in {"missing", "value_error"}
    shown = "" if says_itself or isinstance(given, (dict, list)) else f", not {given!r}"
    return f"{where}: {_dotted(place)}: {_expected(details)}{shown}"


def _expected(details: ErrorDetails) -> str:
    """What was expected, in our words."""
    kind, context = details["type"], details.get("ctx", {})
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind == "literal_error":
        return f"expected {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    if kind in {"greater_than_equal", "greater_than"}:
        return f"expected at least {context['ge']:g}" if "ge" in context else f"expected more than {context['gt']:g}"
    if kind == "string_pattern_mismatch":
        return f"expected a text that matches {context['pattern']}"
    return f"is not what is expected here ({kind.replace('_', ' ')})"


def _dotted(place: list[int | str]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _nearest(model: type[BaseModel], place: list[int | str]) -> str:
    owner = _model_at(model, place[:-1])
    if owner is None:
        return ""
    names = [name for name, field in owner.model_fields.items() if not _is_refused(field)]
    close = difflib.get_close_matches(str(place[-1]).lower(), names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(sorted(names))}"


def _is_refused(field: FieldInfo) -> bool:
    return any(isinstance(entry, BeforeValidator) and isinstance(entry.func, Refusal) for entry in field.metadata)


def _model_at(model: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel] | None:
    current: type[BaseModel] = model
    for part in place:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(str(part))
        inner = _first_model(field.annotation) if field else None
        if inner is None:
            return None
        current = inner
    return current


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        for argument in typing.get_args(annotation):
            found = _first_model(argument)
            if found is not None:
                return found
    return None
