"""The headers of a call: those that its caller gave, and those that all calls have."""

from collections.abc import Mapping
from typing import Any, cast

from thredfi_async._checks.headers import NO_HEADERS, headers_problems, plain
from thredfi_async._interfaces import Hidden


def checked_headers(headers: Hidden[Any], problems: list[str]) -> Hidden[Mapping[str, str]]:
    """Copy a caller's headers and check the copy, so that every attempt sends exactly what was checked.

    Args:
        headers: What the caller gave.
        problems: Takes what is wrong with them.

    Returns:
        The copy; none if something is wrong.
    """
    copy: object = headers.reveal()
    try:
        copy = dict(cast("Mapping[str, Any]", copy)) if isinstance(copy, Mapping) else copy
    except Exception as error:  # noqa: BLE001 - whatever a caller's mapping raises
        problems.append(f"headers: reading them raised {type(error).__name__}")
        return Hidden(NO_HEADERS)
    found = headers_problems(copy)
    problems.extend(found)
    pairs = cast("dict[str, str]", copy)
    return Hidden(NO_HEADERS if found else {plain(name): plain(value) for name, value in pairs.items()})


def merged(headers: Mapping[str, str], own: Mapping[str, str]) -> Mapping[str, str]:
    """Return both; of two with one name, whatever its case, the second."""
    names = {name.lower() for name in own}
    return {**{name: value for name, value in headers.items() if name.lower() not in names}, **own}
