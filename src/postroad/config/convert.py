"""Values of TOML and of the environment into the types that the schema declares."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from pathlib import Path
from typing import Any

_WORDS: dict[Any, str] = {
    str: "text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path in quotes",
}
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Misfit(ValueError):  # noqa: N818 - it is the value that does not fit
    """A value is of the wrong type; the text says which type is wanted."""

    def __init__(self, text: str, suggestion: str = "") -> None:
        super().__init__(text)
        self.suggestion = suggestion


def from_toml(value: object, hint: Any, *, secret: bool = False) -> Any:
    """A value as TOML gives it, fitted to `hint`. Raises Misfit."""
    hint = _without_none(hint)
    if typing.get_origin(hint) is tuple:
        return _tuple_from_toml(value, typing.get_args(hint)[0])
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str) and value:
        return Path(value)
    if type(value) is hint:
        return value
    shown = "" if secret else f", not {value!r}"
    raise Misfit(f"must be {_WORDS[hint]}{shown}", _unquote(value, hint))


def from_text(text: str, hint: Any) -> Any:
    """A value as the environment gives it; lists are separated by commas. Raises Misfit."""
    hint = _without_none(hint)
    if typing.get_origin(hint) is tuple:
        element = typing.get_args(hint)[0]
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if dataclasses.is_dataclass(element):
            return tuple(_table_from_text(part, element) for part in parts)
        return tuple(from_text(part, element) for part in parts)
    if hint is Path and not text:
        raise Misfit("must be a path, not empty")
    try:
        return _TRUTH[text.lower()] if hint is bool else hint(text)
    except (ValueError, KeyError):
        raise Misfit(f"must be {_WORDS[hint]}, not `{text}`") from None


def _tuple_from_toml(value: object, element: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        many = "list of tables" if dataclasses.is_dataclass(element) else "list"
        raise Misfit(f"must be a {many}, not {value!r}", _as_list(value, element))
    if dataclasses.is_dataclass(element):
        if not all(isinstance(part, dict) for part in value):
            raise Misfit("must be a list of tables", _as_list(value, element))
        return tuple(value)
    return tuple(from_toml(part, element) for part in value)


def _table_from_text(text: str, kind: Any) -> dict[str, Any]:
    """`mx=0.0.0.0:25`: the first field, then the second."""
    first, second, *_ = (field.name for field in dataclasses.fields(kind))
    left, equals, right = text.partition("=")
    if not equals:
        raise Misfit(f"`{text}` must look like {first.upper()}={second.upper()}, as in mx=0.0.0.0:25")
    return {first: left.strip(), second: from_text(right.strip(), typing.get_type_hints(kind)[second])}


def _as_list(value: object, element: Any) -> str:
    if dataclasses.is_dataclass(element):
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", typing.cast(type[Any], element).__name__).lower()
        return f"write each as [[{name}]] with its keys below"
    return f"write it as [{value!r}]".replace("'", '"') if isinstance(value, str | int | float) else ""


def _unquote(value: object, hint: Any) -> str:
    if hint in (int, float) and isinstance(value, str) and value.replace(".", "", 1).isdigit():
        return f"write it without quotes: {value}"
    if hint is bool and isinstance(value, str) and value.lower() in _TRUTH:
        return f"write it without quotes: {str(_TRUTH[value.lower()]).lower()}"
    return ""


def _without_none(hint: Any) -> Any:
    if isinstance(hint, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint
