"""The rules for headers, so that invalid ones fail before anything is sent."""

import re
from collections.abc import Mapping
from typing import Final, cast

NO_HEADERS: Final[Mapping[str, str]] = {}
LONGEST: Final = 8190
"""Maximum number of characters in a header's value: common servers refuse longer ones."""

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE: Final = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?", re.ASCII)
_TOKEN: Final = re.compile(r"[!-~]{1,16384}", re.ASCII)
_OURS: Final = frozenset(
    {
        "authorization",
        "content-type",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "host",
        "idempotency-key",
        "accept",
        "accept-encoding",
        "connection",
        "expect",
    }
)


def value_problem(value: object) -> str | None:
    """Return why this cannot be a header's value, without quoting it, or None."""
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}"
    if len(value) > LONGEST:
        return f"must not be longer than {LONGEST} characters"
    return None if _VALUE.fullmatch(value) else "must be visible ASCII characters, and not empty"


def plain(text: str) -> str:
    """Return a string itself, of which a subclass (such as an Enum with texts) may be formatted as another."""
    return str.__str__(text)


def is_token(value: object) -> bool:
    """Return whether this can be a bearer token or a key: visible ASCII without spaces, and not empty."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def headers_problems(headers: object) -> list[str]:
    """Return what is wrong with a call's own headers, each as `headers[NAME]: what`."""
    if not isinstance(headers, Mapping):
        return [f"headers: must be a mapping, not {type(headers).__name__}"]
    problems: list[str] = []
    for position, (name, value) in enumerate(cast("Mapping[object, object]", headers).items()):
        if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > LONGEST:
            problems.append(f"headers[{position}]: the name must be letters, digits and hyphens")
        elif name.lower() in _OURS:
            problems.append(f"headers[{name}]: is set by the client itself")
        elif (problem := value_problem(value)) is not None:
            problems.append(f"headers[{name}]: {problem}")
    return problems
