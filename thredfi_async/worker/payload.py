"""Reads payloads of messages strictly: a JSON object of the one version, with every field checked before it is used.

What a stream holds may come from a stranger who may publish there. A reader that trusts one field (a count beyond 64
bits, a time without a zone, text that no UTF-8 can hold) fails later, in the middle of something else.
"""

import binascii
import datetime as dt
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, cast
from uuid import UUID

import attrs

from thredfi_async import Effect, InvalidRequestError
from thredfi_async._checks.headers import value_problem
from thredfi_async._checks.identifiers import as_uuid
from thredfi_async._checks.json import as_object, text_problem
from thredfi_async._codec.json import UNAMBIGUOUS, RepeatedFieldError
from thredfi_async._outcomes import is_code
from thredfi_async.bulk import ItemState

VERSION: Final = 1
"""The version of every payload; others are refused, since their fields may mean something else."""

_MOST_COUNTED: Final = 2**31 - 1  # sums of these stay below 64 bits, however many events there are
_MOST_MILLISECONDS: Final = 2**53 - 1  # what every JSON reader takes exactly
_TIME: Final = re.compile(
    r"2[0-9]{3}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])",
    re.ASCII,
)
_YEARS: Final = range(2000, 3000)
_WORD: Final = re.compile(r"[!-~]{1,512}", re.ASCII)


def parse(payload: bytes) -> dict[str, Any]:
    """Return the object that a payload holds, whatever its fields are.

    Args:
        payload: JSON in UTF-8.

    Returns:
        The fields.

    Raises:
        InvalidRequestError: It is not JSON, or no object of this version.
    """
    try:
        value = UNAMBIGUOUS.decode(payload.decode())
    except RepeatedFieldError:
        raise InvalidRequestError(["$: an object of the payload has a field twice"]) from None
    except (ValueError, RecursionError):
        raise InvalidRequestError(["$: the payload is not JSON in UTF-8"]) from None
    fields = as_object(value)
    if fields is None:
        raise InvalidRequestError(["$: the payload must be a JSON object"])
    return fields


def version_problems(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the version of a payload."""
    if "version" not in fields:
        return ["version: is missing"]
    if type(fields["version"]) is not int or fields["version"] != VERSION:
        return [f"version: must be {VERSION}, the only one that this release reads"]
    return []


@attrs.frozen
class Rule:
    """What a field of a message may hold.

    Args:
        must: What it must be, as the end of a sentence.
        accepts: Returns whether a value is that.
        read: Makes the value of parsed JSON; returns what it got if that cannot be one.
    """

    must: str
    accepts: Callable[[Any], bool]
    read: Callable[[Any], Any] = lambda value: value

    @property
    def or_null(self) -> "Rule":
        """The same rule, for a field that may be null."""
        return Rule(f"{self.must}, or null", lambda value: value is None or self.accepts(value), self.read)


def broken(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> list[str]:
    """Return a problem for each value that breaks its rule; it does not quote the value."""
    return [problem(name, rules[name]) for name, value in values.items() if not rules[name].accepts(value)]


def problem(name: str, rule: Rule) -> str:
    """Return what is wrong with a field that breaks its rule."""
    return f"{name}: must be {rule.must}"


def read(payload: bytes, rules: Mapping[str, Rule], *, needed: Collection[str], largest: int) -> dict[str, Any]:
    """Read a payload whose unknown fields are ignored.

    Args:
        payload: The bytes of a message.
        rules: What its fields may hold.
        needed: The fields that it must have.
        largest: Its maximum size in bytes.

    Returns:
        The values of the known fields that it has.

    Raises:
        InvalidRequestError: It is invalid; `.problems` names each field that is wrong, and quotes nothing.
    """
    if len(payload) > largest:
        raise InvalidRequestError([f"$: the payload must not be larger than {largest:,} bytes"])
    fields = parse(payload)
    if problems := version_problems(fields):
        raise InvalidRequestError(problems)
    values = {name: rule.read(fields[name]) for name, rule in rules.items() if name in fields}
    problems = [f"{name}: is missing" for name in rules if name in needed and name not in fields]
    problems += broken(values, rules)
    if problems:
        raise InvalidRequestError(problems)
    return values


def identifier(value: UUID | str) -> UUID:
    """Return an id as a UUID; an invalid one is kept, and reported together with all other problems."""
    return as_uuid(value) or cast("UUID", value)


def state(value: object) -> ItemState:
    """Return a state by its name; an invalid one is kept, and reported together with all other problems."""
    return ItemState(value) if isinstance(value, str) and value in _STATES else cast("ItemState", value)


def text(longest: int) -> Rule:
    """Return the rule for text of a length that UTF-8 can hold."""
    return Rule(
        f"text of at most {longest:,} characters, without lone surrogates",
        lambda value: isinstance(value, str) and len(value) <= longest and text_problem(value) is None,
    )


def is_time(value: object) -> bool:
    """Return whether this is a time with a zone, in one of the years that a message may name."""
    return isinstance(value, dt.datetime) and value.utcoffset() is not None and value.year in _YEARS


def _effect(value: object) -> object:
    return Effect[value] if isinstance(value, str) and value in Effect.__members__ else value


def _time(value: object) -> object:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return value
    try:
        return dt.datetime.fromisoformat(value)
    except ValueError:
        return value


def _bytes(value: object) -> object:
    try:
        return binascii.a2b_base64(value, strict_mode=True) if isinstance(value, str) else None
    except ValueError:
        return None


def _whole(most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and 0 <= value <= most


_STATES: Final = frozenset(each.value for each in ItemState)

ID: Final = Rule(
    "a UUID such as 3c90c3cc-0d44-4b50-8888-8dd25736052a", lambda value: isinstance(value, UUID), identifier
)
STATE: Final = Rule(f"one of {', '.join(ItemState)}", lambda value: isinstance(value, ItemState), state)
EFFECT: Final = Rule(f"one of {', '.join(Effect.__members__)}", lambda value: isinstance(value, Effect), _effect)
CODE: Final = Rule("lower-case letters, digits and _.-, at most 64, such as not_found", is_code)
COUNT: Final = Rule(f"a whole number from 0 to {_MOST_COUNTED}", _whole(_MOST_COUNTED))
MILLISECONDS: Final = Rule(f"a whole number from 0 to {_MOST_MILLISECONDS}", _whole(_MOST_MILLISECONDS))
TIME: Final = Rule("a time with its zone, such as 2026-11-26T01:02:03Z, in the years 2000 to 2999", is_time, _time)
WORD: Final = Rule(
    "at most 512 visible ASCII characters, without spaces",
    lambda value: isinstance(value, str) and _WORD.fullmatch(value) is not None,
)
KEY: Final = Rule("visible ASCII characters, and not empty", lambda value: value_problem(value) is None)
FLAG: Final = Rule("true or false", lambda value: type(value) is bool)
BASE64: Final = Rule("bytes, as base64 in JSON", lambda value: isinstance(value, bytes), _bytes)
