"""Checks whether a file's columns fit a run."""

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

import attrs

from thredfi_async._checks.json import is_plain_name
from thredfi_async.bulk.readers.invalid_line import RecordError
from thredfi_async.models import CustomerRequest

BUSINESS: Final = "business_id"
CUSTOMER: Final = "customer_id"
INVALID_PREFIX: Final = "invalid_"
INVALID_COLUMNS: Final = ("invalid_line", "invalid_column", "invalid_reason")
"""What the file of invalid lines adds in front of a record; ignored when that is read again."""
NAMES: Final = frozenset({"individual_name", "company_name"})
"""One of the two may be missing."""
_FIELDS: Final = frozenset(CustomerRequest.FIELD_NAMES)
_KNOWN: Final = frozenset({BUSINESS, CUSTOMER, *CustomerRequest.FIELD_NAMES, *INVALID_COLUMNS})
_DROP_OR_ADD: Final = (
    "add it (an empty value leaves the field out), or allow missing fields, "
    "or drop all columns of the body to send the server's own record"
)


@attrs.frozen
class Rules:
    """What the caller said about the file's columns.

    Args:
        business_id_given: Whether one business id was given for all records.
        allow_missing_fields: Whether columns of the body may be missing.
    """

    business_id_given: bool = False
    allow_missing_fields: bool = False


def columns_problem(names: Sequence[str], rules: Rules) -> RecordError | None:
    """Return what keeps columns from being used, if anything.

    Args:
        names: The columns, as the file has them.
        rules: What the caller said about them.

    Returns:
        The first problem, which makes the whole file unusable; None without any.
    """
    return (
        _unknown(names)
        or _repeated(names)
        or _ids(frozenset(names), rules)
        or missing_fields(_FIELDS.intersection(names), rules)
    )


def has_body(names: Sequence[str]) -> bool:
    """Return whether one of the columns is a field of the body."""
    return not _FIELDS.isdisjoint(names)


def missing_fields(given: frozenset[str], rules: Rules) -> RecordError | None:
    """Return which field of the body is missing, if there is a body at all."""
    if rules.allow_missing_fields or not given:
        return None
    missing = [name for name in CustomerRequest.FIELD_NAMES if name not in given and name not in NAMES]
    if NAMES.isdisjoint(given):
        missing.append("individual_name or company_name")
    if not missing:
        return None
    others = f" (and so are {len(missing) - 1} others: {', '.join(missing[1:])})" if missing[1:] else ""
    return RecordError(missing[0], f"is missing{others}: {_DROP_OR_ADD}")


def unknown_problem(name: object) -> RecordError:
    """Return the error for an unknown column, with a similar name; hide a name that may be data."""
    if not is_plain_name(name):
        return RecordError(None, "a column whose name is not shown is not one of ours; is the first line a header?")
    known = [BUSINESS, CUSTOMER, *CustomerRequest.FIELD_NAMES]
    meant = get_close_matches(str(name).lower(), known, n=1)
    return RecordError(str(name), "is not a column of ours" + (f"; did you mean {meant[0]}?" if meant else ""))


def _unknown(names: Sequence[str]) -> RecordError | None:
    for position, name in enumerate(names, 1):
        if name in _KNOWN:
            continue
        if not is_plain_name(name):
            return RecordError(
                str(position), f"{_foreign(name)}; the first line must name the columns, separated by commas"
            )
        return unknown_problem(name)
    return None


def _foreign(name: str) -> str:
    if not name:
        return "has no name"
    separator = next((each for each in (";", "\t", "|") if each in name and CUSTOMER in name), None)
    if separator is not None:
        return "the columns are separated by " + ("tabs" if separator == "\t" else f"'{separator}'")
    return "its name, which is not shown, is not a column of ours"


def _repeated(names: Sequence[str]) -> RecordError | None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    return None if twice is None else RecordError(twice, "stands there more than once")


def _ids(names: frozenset[str], rules: Rules) -> RecordError | None:
    if CUSTOMER not in names:
        return RecordError(CUSTOMER, "is missing: every record needs the id of the customer to archive")
    if BUSINESS in names and rules.business_id_given:
        return RecordError(BUSINESS, "is there, and one business id was given for all: drop one of the two")
    if BUSINESS not in names and not rules.business_id_given:
        return RecordError(BUSINESS, "is missing: add it, or give one business id for all")
    return None
