"""Reads the cells of a CSV file as values of the contract, strictly."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from thredfi_async import UNSET
from thredfi_async._checks.json import as_array
from thredfi_async._codec.json import LENIENT
from thredfi_async.bulk.readers.invalid_line import RecordError

_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_BOOLEANS: Final[Mapping[str, bool]] = {
    spelling: value for value in (True, False) for spelling in (str(value).lower(), str(value), str(value).upper())
}


def whole(cell: str) -> int:
    """Read an integer as JSON writes one: no plus, no leading zeros, no separators, no point."""
    if not _WHOLE.fullmatch(cell):
        raise ValueError("must be a whole number in plain digits, such as 30")
    try:
        return int(cell)
    except ValueError:
        # Python refuses to read more than a few thousand digits, and none of it could be sent.
        raise ValueError("has too many digits") from None


def boolean(cell: str) -> bool:
    """Read `true` or `false`; spreadsheets write them in capitals."""
    value = _BOOLEANS.get(cell)
    if value is None:
        raise ValueError("must be true or false")
    return value


def json_value(cell: str) -> Any:  # noqa: ANN401 - JSON is anything
    """Read JSON."""
    try:
        return LENIENT.decode(cell)
    except json.JSONDecodeError as error:
        raise ValueError(f"must be JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError):
        raise ValueError("must be JSON; NaN, numbers and nestings that are too large are not") from None


def json_array(cell: str) -> list[Any]:
    """Read a JSON array."""
    value = as_array(json_value(cell))
    if value is None:
        raise ValueError('must be a JSON array, such as ["vip"]')
    return value


READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "tax_exempt": boolean,
    "payment_terms_days": whole,
    "credit_limit_cents": whole,
    "transaction_tags": json_array,
    "metadata": json_value,
}
"""How cells are read that are not plain text."""


def body_of(row: Mapping[str, str]) -> dict[str, Any] | RecordError:
    """Read the cells of a body.

    Args:
        row: Field names with their cells.

    Returns:
        The fields; an empty cell leaves its field out. Or the first cell that cannot be read.
    """
    fields: dict[str, Any] = {name: cell or UNSET for name, cell in row.items()}
    for name, read in READERS.items():
        cell = row.get(name)
        if cell:
            try:
                fields[name] = read(cell)
            except ValueError as error:
                return RecordError(name, str(error))
    return fields
