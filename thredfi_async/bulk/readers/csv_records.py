"""Reads CSV, as RFC 4180 and the standard library define it."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from thredfi_async._checks.json import text_problem
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.columns import BUSINESS, CUSTOMER, INVALID_COLUMNS, Rules, columns_problem, has_body
from thredfi_async.bulk.readers.invalid_line import InvalidLine, RecordError, location
from thredfi_async.bulk.readers.io import CHUNK, Opened
from thredfi_async.bulk.readers.items import ItemMaker
from thredfi_async.bulk.readers.values import body_of

LONGEST_RECORD: Final = 1 << 20
"""Most characters of a record, line ends within quotes included. A longer field has lost its quote."""


class CsvRecords:
    """The records of an open CSV file, its header read.

    Args:
        opened: The file; the caller closes it.
        business_id: The business of every record, or None where each names its own.
        rules: What the caller said about columns.

    Raises:
        SourceError: There is no header, or its columns do not fit a run.
    """

    def __init__(self, opened: Opened, business_id: UUID | None, rules: Rules) -> None:
        self._name = opened.name
        self._maker = ItemMaker(business_id)
        self._lines = _Lines(opened)
        self._reader = csv.reader(self._lines, strict=True)
        self._header = self._read_header()
        problem = columns_problem(self._header, rules)
        if problem is not None:
            raise SourceError(f"{location(self._name, 1, problem.column)}: {problem.reason}")
        self.has_bodies: bool = has_body(self._header)
        self.header: bytes = self._lines.take().encode(errors="surrogateescape")

    def __iter__(self) -> Iterator[ArchiveItem | InvalidLine]:
        """Yield an item for each valid record, and an `InvalidLine` for each other one, in the file's order."""
        while True:
            before = self._lines.start()
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._lines.skip_to_balance()
                yield self._bad(before, RecordError(None, _csv_reason(error)))
                continue
            if row:
                made = self._item(row, before)
                yield made if type(made) is ArchiveItem else self._bad(before, made)

    def _item(self, row: list[str], line: int) -> ArchiveItem | RecordError:
        if self._lines.undecodable:
            return RecordError(None, "is not UTF-8 text")
        if len(row) != len(self._header):
            return RecordError(None, f"has {_columns(len(row))}, and the header has {len(self._header)}")
        named = dict(zip(self._header, row, strict=True))
        business, customer = named.pop(BUSINESS, None), named.pop(CUSTOMER)
        if not self.has_bodies:
            return self._maker.make(business, customer, None, line)
        body = self._body(named)
        return body if isinstance(body, RecordError) else self._maker.make(business, customer, body, line)

    def _body(self, named: dict[str, str]) -> Mapping[str, Any] | RecordError:
        for name in INVALID_COLUMNS:
            named.pop(name, None)
        if not any(named.values()):
            return RecordError(None, "has no value in any column of the body")
        return body_of(named)

    def _read_header(self) -> list[str]:
        self._lines.start()
        try:
            for row in self._reader:
                if self._lines.undecodable:
                    raise SourceError(f"{location(self._name, 1)}: the header is not UTF-8 text")
                if row:
                    return row
        except csv.Error as error:
            raise SourceError(f"{location(self._name, 1)}: the header {_csv_reason(error)}") from None
        raise SourceError(f"{self._name} is empty: there is not even a header")

    def _bad(self, line: int, wrong: RecordError | ArchiveItem) -> InvalidLine:
        assert isinstance(wrong, RecordError)  # noqa: S101 - the only other kind
        raw = self._lines.take().encode(errors="surrogateescape")
        return InvalidLine(self._name, line, wrong.column, wrong.reason, raw)


class _Lines:
    """Gives the file's lines to the CSV reader, and keeps those of the current record."""

    def __init__(self, opened: Opened) -> None:
        opened.skip_mark()
        # Bytes that are not UTF-8 become lone surrogates, so that they make just their own line invalid.
        # A line ends in \n or \r\n. A \r alone within a cell ends none: what follows it is no record, and is not sent.
        self._text = io.TextIOWrapper(opened.stream, "utf-8", errors="surrogateescape", newline="\n")
        self._number = 0
        self._taken: list[str] = []
        self._length = 0
        self.undecodable = False

    def start(self) -> int:
        """Forget the last record, and return the line on which the next one begins."""
        self._taken.clear()
        self._length = 0
        self.undecodable = False
        return self._number + 1

    def take(self) -> str:
        """Return the record as it stands in the file; nothing if it was too long."""
        return "".join(self._taken) if self._length <= LONGEST_RECORD else ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_RECORD + 1)
        if not line:
            raise StopIteration
        self._number += 1
        self._taken.append(line)
        self._length += len(line)
        if not line.isascii() and not self.undecodable:
            self.undecodable = text_problem(line) is not None
        if self._length > LONGEST_RECORD:
            raise csv.Error(_TOO_LONG)
        return line

    def skip_to_balance(self) -> None:
        """Go to the end of a record that cannot be read: the first line end with as many quotes opened as closed.

        A line within quoted text is never taken for a record: it would be sent.
        """
        last = self._taken[-1] if self._taken else "\n"
        open_quotes = sum(line.count('"') for line in self._taken)
        while open_quotes % 2 or not last.endswith("\n"):
            within_line = not last.endswith("\n")
            last = self._text.readline(CHUNK)
            if not last:
                return
            self._number += not within_line
            self._length += len(last)
            open_quotes += last.count('"')
            if self._length <= LONGEST_RECORD:
                self._taken.append(last)


_TOO_LONG: Final = "record too long"
_REASONS: Final[Mapping[str, str]] = {
    "unexpected end of data": "a quote is opened and never closed",
    "',' expected after '\"'": "a closing quote is not followed by a comma; within quotes, a quote is written twice",
    _TOO_LONG: f"is longer than {LONGEST_RECORD:,} characters; is there a quote that is never closed?",
}


def _csv_reason(error: csv.Error) -> str:
    message = str(error)
    if message.startswith("field larger"):
        return (
            f"has a cell of more than {csv.field_size_limit():,} characters; is there a quote that is never closed? "
            "JSON Lines takes longer ones"
        )
    if message.startswith("new-line character"):
        return "has a carriage return outside quotes; lines have to end in LF or CRLF"
    return _REASONS.get(message, "is not CSV")


def _columns(count: int) -> str:
    return f"{count} column{'' if count == 1 else 's'}"
