"""Turns ids and fields into an `ArchiveItem`, or into one sentence about what is wrong."""

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from thredfi_async import UNSET, CustomerRequest, InvalidRequestError
from thredfi_async._checks.identifiers import as_uuid
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.columns import BUSINESS, CUSTOMER
from thredfi_async.bulk.readers.invalid_line import RecordError

_LEFT_OUT: Final[Mapping[str, Any]] = dict.fromkeys(CustomerRequest.FIELD_NAMES, UNSET)


class ItemMaker:
    """Makes the items of one pass over a file.

    Args:
        business_id: The business of every record, or None where each names its own.
    """

    def __init__(self, business_id: UUID | None) -> None:
        self._business_id = business_id
        self._last_text: object = None
        self._last_id: UUID | None = None

    def make(
        self, business: object, customer: object, fields: Mapping[str, Any] | None, line: int
    ) -> ArchiveItem | RecordError:
        """Make an item.

        Args:
            business: The business's id as the record has it; ignored where one was given for all.
            customer: The customer's id as the record has it.
            fields: The body; what it lacks is left out. None for the server's own record.
            line: The line on which the record begins, from 1.

        Returns:
            The item, or what is wrong with the first wrong value.
        """
        business_id = self._business_id or self._business(business)
        if business_id is None:
            return RecordError(BUSINESS, _not_an_id(business))
        customer_id = identifier(customer)
        if customer_id is None:
            return RecordError(CUSTOMER, _not_an_id(customer))
        if fields is None:
            return ArchiveItem(business_id, customer_id, line=line)
        try:
            body = CustomerRequest(**{**_LEFT_OUT, **fields})
        except InvalidRequestError as error:
            return _first(error.problems)
        return ArchiveItem(business_id, customer_id, body, line=line)

    def _business(self, value: object) -> UUID | None:
        # Files come sorted by business more often than not, and a UUID takes a microsecond to parse.
        if value == self._last_text and self._last_id is not None:
            return self._last_id
        self._last_text, self._last_id = value, identifier(value)
        return self._last_id


def _not_an_id(value: object) -> str:
    if value is None or value == "":
        return "is empty, and must be a UUID"
    if not isinstance(value, str | bytes):
        return f"must be a UUID as text, not {kind(value)}"
    return "must be a UUID such as 3c90c3cc-0d44-4b50-8888-8dd25736052a"


_AROUND: Final = " \t\r\n\u00a0\u200b\u2060\ufeff\u202f"
_WRAPPED: Final = re.compile(r"""=?"(.*)"|\{(.*)\}|'(.*)'|'(.*)|urn:uuid:(.*)""", re.ASCII | re.IGNORECASE | re.DOTALL)
_DIGITS: Final = re.compile(r"[0-9a-f]{32}", re.ASCII | re.IGNORECASE)
_LAYERS: Final = 4
_UUID_BYTES: Final = 16


def identifier(value: object) -> UUID | None:
    """Read an id in every form that can mean only one.

    Args:
        value: A UUID, its 16 bytes, or its text, which Parquet may keep as bytes: as `{…}`, `urn:uuid:…`, 32 digits,
            with an apostrophe in front or as `="…"`, as spreadsheets keep text, and with blanks around it.

    Returns:
        The id; None for anything else. The library's own arguments take its canonical text alone.
    """
    if isinstance(value, bytes):
        if len(value) == _UUID_BYTES:
            return UUID(bytes=value)
        value = value.decode("ascii", "replace")
    if not isinstance(value, str):
        return as_uuid(value)
    text = value
    for _ in range(_LAYERS):
        if (found := as_uuid(text)) is not None:
            return found
        text = text.strip(_AROUND)
        if (wrapped := _WRAPPED.fullmatch(text)) is not None:
            text = next(part for part in wrapped.groups() if part is not None)
    return UUID(text) if _DIGITS.fullmatch(text) else as_uuid(text)


def kind(value: object) -> str:
    """Return a value's type by its JSON name."""
    return "null" if value is None else _KINDS.get(type(value).__name__, type(value).__name__)


_KINDS: Final[Mapping[str, str]] = {
    "bool": "boolean",
    "dict": "object",
    "float": "number",
    "int": "number",
    "list": "array",
    "str": "string",
}


def _first(problems: tuple[str, ...]) -> RecordError:
    where, _, what = problems[0].partition(": ")
    others = "; ".join(problems[1:])
    reason = what.replace("not NoneType", "not null") + (f"; {others}" if others else "")
    return RecordError(where.partition(".")[0].partition("[")[0], reason)
