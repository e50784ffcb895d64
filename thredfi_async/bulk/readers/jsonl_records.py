"""Reads JSON Lines, one object a line, with exact types."""

import io
import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, Final
from uuid import UUID

from thredfi_async._checks.json import as_object
from thredfi_async._codec.json import loads, refusal
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.columns import (
    BUSINESS,
    CUSTOMER,
    INVALID_COLUMNS,
    Rules,
    columns_problem,
    has_body,
    missing_fields,
    unknown_problem,
)
from thredfi_async.bulk.readers.invalid_line import InvalidLine, RecordError, location
from thredfi_async.bulk.readers.io import CHUNK, Opened
from thredfi_async.bulk.readers.items import ItemMaker, kind
from thredfi_async.models import CustomerRequest

LONGEST_LINE: Final = 1 << 20
"""Most bytes of a line. A file without line ends must not be read into memory whole."""
_FIELDS: Final = frozenset(CustomerRequest.FIELD_NAMES)
_LOOKED_AT: Final = 20
"""Lines in which the first object is searched for."""
_IDS: Final = frozenset({BUSINESS, CUSTOMER})
_IGNORED: Final = frozenset(INVALID_COLUMNS)


class JsonlRecords:
    """The records of an open JSON Lines file, its first lines read.

    Args:
        opened: The file; the caller closes it.
        business_id: The business of every record, or None where each names its own.
        rules: What the caller said about keys.

    Raises:
        SourceError: There is no line, or their keys do not fit a run.
    """

    header = b""

    def __init__(self, opened: Opened, business_id: UUID | None, rules: Rules) -> None:
        self._name = opened.name
        self._given = business_id is not None
        self._maker = ItemMaker(business_id)
        self._rules = rules
        opened.skip_mark()
        self._lines = _lines(opened.stream)
        self._head = list(islice(self._lines, _LOOKED_AT))
        if not self._head:
            raise SourceError(f"{self._name} is empty: there is no line to read")
        self.has_bodies: bool = self._look_at_head()

    def __iter__(self) -> Iterator[ArchiveItem | InvalidLine]:
        """Yield an item for each valid line, and an `InvalidLine` for each other one, in the file's order."""
        for number, raw in chain(self._head, self._lines):
            yield self._read(number, raw)

    def _look_at_head(self) -> bool:
        """Check the file by its first line that is an object; any other one is just an invalid line."""
        parsed = ((number, _parsed(raw)) for number, raw in self._head)
        number, fields = next(
            ((number, each) for number, each in parsed if not isinstance(each, RecordError)), (0, None)
        )
        if fields is None:
            first = self._read(*self._head[0])
            raise SourceError(f"{self._name} is not JSON Lines, an object a line: {first}")
        names = [key for key in fields if key not in _IGNORED]
        problem = columns_problem(names, self._rules)
        if problem is not None:
            raise SourceError(f"{location(self._name, number, problem.column)}: {problem.reason}")
        return has_body(names)

    def _read(self, number: int, raw: bytes) -> ArchiveItem | InvalidLine:
        fields = _parsed(raw)
        made = fields if isinstance(fields, RecordError) else self._item(fields, number)
        if isinstance(made, ArchiveItem):
            return made
        return InvalidLine(self._name, number, made.column, made.reason, raw if len(raw) <= LONGEST_LINE else b"")

    def _item(self, fields: dict[str, Any], line: int) -> ArchiveItem | RecordError:
        keys = fields.keys()
        if not keys <= _KNOWN:
            return unknown_problem(next(key for key in keys if key not in _KNOWN))
        if self._given and BUSINESS in keys:
            return RecordError(BUSINESS, "is there, and one business id was given for all")
        body = {name: fields[name] for name in keys & _FIELDS}
        if bool(body) != self.has_bodies:
            return RecordError(None, "has no body, and the lines before have one" if self.has_bodies else _UNEXPECTED)
        if body and (missing := missing_fields(frozenset(body), self._rules)) is not None:
            return missing
        return self._maker.make(fields.get(BUSINESS), fields.get(CUSTOMER), body or None, line)


_KNOWN: Final = _FIELDS | _IDS | _IGNORED
_UNEXPECTED: Final = "has a body, and the first line has none"


def _parsed(raw: bytes) -> dict[str, Any] | RecordError:
    if len(raw) > LONGEST_LINE:
        return RecordError(None, f"is longer than {LONGEST_LINE:,} bytes")
    try:
        value: object = loads(raw)
    except ValueError:
        return RecordError(None, refusal(raw))
    fields = as_object(value)
    if fields is None:
        return RecordError(None, f"must be an object, not {kind(value)}")
    return _repeated_id(raw) or fields


def _repeated_id(raw: bytes) -> RecordError | None:
    """Refuse an id that is there twice: a parser silently takes the last."""
    for name in (CUSTOMER, BUSINESS):
        if raw.count(b'"%b"' % name.encode()) > 1:
            pairs: list[tuple[str, object]] = json.loads(raw, object_pairs_hook=list)
            if [key for key, _ in pairs].count(name) > 1:
                return RecordError(name, "stands there more than once")
    return None


def _lines(stream: io.BufferedReader) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if not line.isspace():
            yield number, line
        while line and not line.endswith(b"\n"):
            line = stream.readline(CHUNK)
