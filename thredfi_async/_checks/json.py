"""Checks of JSON values, with problems reported by path."""

import math
from typing import Any, TypeGuard, cast


def snapshot(value: object, path: str, problems: list[str]) -> object:
    """Copy a JSON value, so that the value that was checked is the one that is sent.

    Args:
        value: Null, a boolean, a number, text, or lists and string-keyed dicts of these.
        path: The path of the value, such as `metadata`.
        problems: Receives a message for each part that is not JSON, without the part's value.

    Returns:
        The copy; lists and tuples become lists.
    """
    try:
        return _copy(value, path, problems)
    except RecursionError:
        problems.append(f"{path}: contains itself, or is nested too deeply to be encoded")
        return None


def as_object(value: object) -> dict[str, Any] | None:
    """Return parsed JSON if it is an object (its keys are strings), and None otherwise."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def as_array(value: object) -> list[Any] | None:
    """Return parsed JSON if it is an array, and None otherwise."""
    return value if _is_array(value) else None


def _is_array(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def text_problem(value: str) -> str | None:
    """Return why the text cannot be sent, or None: UTF-8 has no lone surrogates."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "holds a lone surrogate, which no UTF-8 text can"
    return None


_Path = str | tuple["_Path", str | int, int]
"""The path of a value: a name, or a parent path, the key or index in it, and the position among its siblings.

It becomes text only if there is a problem, which is rare.
"""


def _copy(value: object, path: _Path, problems: list[str]) -> object:
    if isinstance(value, dict):
        return _copied_object(cast("dict[object, object]", value), path, problems)
    if isinstance(value, list | tuple):
        items = cast("list[object]", value)
        return [
            part if _is_plain(part) else _copy(part, (path, index, index), problems) for index, part in enumerate(items)
        ]
    if (problem := _scalar_problem(value)) is not None:
        problems.append(f"{_written(path)}: {problem}")
    return value


def _copied_object(value: dict[object, object], path: _Path, problems: list[str]) -> dict[str, object]:
    copy: dict[str, object] = {}
    for position, (key, part) in enumerate(value.items()):
        if not isinstance(key, str):
            problems.append(f"{_written(path)}[key {position}]: keys must be strings, not {type(key).__name__}")
        elif (problem := text_problem(key)) is not None:
            problems.append(f"{_written((path, key, position))}: the key {problem}")
        else:
            copy[key] = part if _is_plain(part) else _copy(part, (path, key, position), problems)
    return copy


def _is_plain(value: object) -> bool:
    """Return quickly whether a value, as nearly all are, needs neither a check nor a copy."""
    return (type(value) is str and value.isascii()) or type(value) is int


def _scalar_problem(value: object) -> str | None:
    if isinstance(value, str):
        return text_problem(value)
    if value is None or isinstance(value, int):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else "NaN and infinities are not JSON"
    return f"{type(value).__name__} is not a JSON value"


def _written(path: _Path) -> str:
    if isinstance(path, str):
        return path
    before, step, position = path
    if isinstance(step, int):
        return f"{_written(before)}[{step}]"
    # A key may be personal data, such as a name: only a key that looks like a field's name is shown.
    return f"{_written(before)}.{step}" if is_plain_name(step) else f"{_written(before)}[key {position}]"


def is_plain_name(key: object) -> bool:
    """Return whether a key can be shown in an error: short, and like a field's name."""
    return isinstance(key, str) and len(key) <= _LONGEST_NAME and key.isascii() and key.isidentifier()


_LONGEST_NAME = 40
