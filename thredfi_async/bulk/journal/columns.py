"""Checks the values of a journal's columns: a damaged or handmade file may hold anything anywhere."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.errors import JournalError
from thredfi_async.bulk.journal.files import NOT_OURS
from thredfi_async.bulk.journal.schema import PENDING

Check = Callable[[object], bool]

_STATES: Final = frozenset({*(state.value for state in ItemState), PENDING})
_MOST: Final = 2**53
"""Beyond it, JSON's readers no longer tell integers apart."""
_YEAR_9998: Final = 253_370_764_800
_ID_BYTES: Final = 16


def is_text(value: object) -> bool:
    """Return whether it is text."""
    return isinstance(value, str)


def is_number(value: object) -> bool:
    """Return whether it is a whole number."""
    return isinstance(value, int) and -_MOST < value < _MOST


def is_count(value: object) -> bool:
    """Return whether it is a whole number that counts something."""
    return isinstance(value, int) and 0 <= value < _MOST


def is_time(value: object) -> bool:
    """Return whether it is a time in unix seconds, of which a date can be made."""
    return isinstance(value, int | float) and 0 <= value < _YEAR_9998


def is_seconds(value: object) -> bool:
    """Return whether it is a number of seconds."""
    return is_time(value)


def is_id(value: object) -> bool:
    """Return whether it is the bytes of a UUID."""
    return isinstance(value, bytes) and len(value) == _ID_BYTES


def is_state(value: object) -> bool:
    """Return whether it is an item's state."""
    return value in _STATES


def or_none(check: Check) -> Check:
    """Return a check that lets NULL pass, too."""
    return lambda value: value is None or check(value)


def checked(rows: Iterable[tuple[Any, ...]], checks: tuple[Check, ...], path: str) -> Iterator[tuple[Any, ...]]:
    """Yield rows whose values are what a run writes.

    Args:
        rows: The rows.
        checks: One for each column.
        path: The journal, for messages.

    Yields:
        The same rows.

    Raises:
        JournalError: One is not.
    """
    for row in rows:
        for value, check in zip(row, checks, strict=True):
            if not check(value):
                raise JournalError(f"the journal {path} cannot be read: a value in it is wrong; {NOT_OURS}")
        yield row
